// SPDX-License-Identifier: BSD-3-Clause
// Memory that a peer can take away. A VMM hands over files, which are mapped; if it makes one
// shorter, the next access beyond its end is SIGBUS, in whatever thread: a worker's copy, or the
// vhost library's look at a ring. The handler puts anonymous memory in place of the mapping and
// sets the owner's flag, and the access is done again: it reads zeros, or writes what nobody will
// read.
//
// Life cycle: whoever maps such a file guards it, and releases it before it is unmapped, when no
// thread uses it any more (for workers: after a grace period). A flag that is set stays set.
// Synchronisation: guarding and releasing take a lock. The handler takes none: it reads the places
// of the table as they are, each with a version that tells whether it was being written, and who
// releases one waits until no handler is at work.
#ifndef WEIR_VHOST_BUS_ERROR_H
#define WEIR_VHOST_BUS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

// Installs the handler, once; further calls do nothing. A SIGBUS anywhere else goes to whoever had
// the signal before: by default the process ends. Main thread, behind the EAL's start.
void bus_error_install(void);

// From now on SIGBUS in the len bytes at start, a whole mapping of MAP_SHARED memory, sets *gone
// and replaces the mapping. 0, or -ENOSPC: more mappings than all ports can have. Main or library
// threads.
int bus_error_guard(void *start, size_t len, _Atomic bool *gone);
// Forgets all mappings that would set *gone; when it returns, nobody sets it any more. Main or
// library threads.
void bus_error_release(const _Atomic bool *gone);
// Returns when each SIGBUS that was being handled has set all flags that it sets: one that came
// before a mapping was guarded for another owner is not told to that one. Main or library threads.
void bus_error_wait(void);

// Between the two calls the thread may also touch guest memory that is not guarded yet: the vhost
// library maps a new table and looks at the rings in it before it tells. What faults is replaced
// page by page; bus_error_expect_end returns whether anything did. Each may be called without the
// other. Library threads.
void bus_error_expect(void);
bool bus_error_expect_end(void);

#endif

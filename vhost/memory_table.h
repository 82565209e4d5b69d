// SPDX-License-Identifier: BSD-3-Clause
// The guest's memory: by the table that the vhost library keeps, in mappings that ports of one VM
// share. The library has its own, in which it looks at rings.
#ifndef WEIR_VHOST_MEMORY_TABLE_H
#define WEIR_VHOST_MEMORY_TABLE_H

#include "vhost/control.h"
#include "vhost/protocol.h"

// Copies the library's table, and maps what it speaks of for the workers; only after a
// SET_MEM_TABLE that succeeded. 0 or -ENOMEM. Library threads, in a hook, under the port's lock.
int memory_load(struct vhost_control *c);
// The library keeps its mappings where a new table looks like the last one, and what was taken away
// from them stays lost. So, before it handles such a SET_MEM_TABLE, maps the files of the new one
// there. False if one cannot be mapped. All rings must be down. Library threads, in a hook, under
// the port's lock.
bool memory_renew(struct vhost_control *c, const struct message *m);
// All rings must be down. Under the port's lock.
void memory_drop(struct vhost_control *c);

// Where the workers have what the library has at `at`; NULL if that is in no region. Under the
// port's lock.
void *memory_of_workers(const struct vhost_control *c, const void *at);

// True if a SET_MEM_TABLE that was not handled yet speaks of memory that nobody has written to, so
// that it may not be the memory the guest works in.
bool memory_untouched(const struct message *m);

#endif

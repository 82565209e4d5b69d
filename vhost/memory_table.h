// SPDX-License-Identifier: BSD-3-Clause
// The guest's memory as the vhost library has mapped it.
#ifndef WEIR_VHOST_MEMORY_TABLE_H
#define WEIR_VHOST_MEMORY_TABLE_H

#include "vhost/control.h"
#include "vhost/protocol.h"

// Copies the library's table; only after a SET_MEM_TABLE that succeeded. 0 or -ENOMEM. Library
// threads, in a hook, under the port's lock.
int memory_load(struct vhost_control *c);
// The library keeps its mappings where a new table looks like the last one, and what was taken away
// from them stays lost. So, before it handles such a SET_MEM_TABLE, maps the files of the new one
// there. False if one cannot be mapped. All rings must be down. Library threads, in a hook, under
// the port's lock.
bool memory_renew(struct vhost_control *c, const struct message *m);
// All rings must be down. Under the port's lock.
void memory_drop(struct vhost_control *c);

// True if a SET_MEM_TABLE that was not handled yet speaks of memory that nobody has written to, so
// that it may not be the memory the guest works in.
bool memory_untouched(const struct message *m);

#endif

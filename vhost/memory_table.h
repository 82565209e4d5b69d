// SPDX-License-Identifier: BSD-3-Clause
// The guest's memory as the vhost library has mapped it.
#ifndef WEIR_VHOST_MEMORY_TABLE_H
#define WEIR_VHOST_MEMORY_TABLE_H

#include "vhost/control.h"
#include "vhost/protocol.h"

// Copies the library's table; only after a SET_MEM_TABLE that succeeded. 0 or -ENOMEM. Library
// threads, in a hook, under the port's lock.
int memory_load(struct vhost_control *c);
// All rings must be down. Under the port's lock.
void memory_drop(struct vhost_control *c);

// True if a SET_MEM_TABLE that was not handled yet speaks of memory that nobody has written to, so
// that it may not be the memory the guest works in.
bool memory_untouched(const struct message *m);

#endif

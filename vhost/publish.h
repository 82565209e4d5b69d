// SPDX-License-Identifier: BSD-3-Clause
// Rings between the vhost library and the workers. All of it under the port's lock.
#ifndef WEIR_VHOST_PUBLISH_H
#define WEIR_VHOST_PUBLISH_H

#include "vhost/control.h"

// A bit for each vring.
#define ALL_VRINGS UINT32_MAX

// Takes the rings of `vrings` down; returns after a grace period, when no worker uses them.
void rings_quiesce(struct vhost_control *c, uint32_t vrings);

// Publishes each ring that can be used and is not published. Library threads, in a hook.
void rings_publish(struct vhost_control *c);

// The guest was reset: faults are forgotten.
void rings_reset(struct vhost_control *c);

// Copies the library's table; only after a SET_MEM_TABLE that succeeded. Library threads, in a
// hook.
int memory_load(struct vhost_control *c);
// All rings must be down.
void memory_drop(struct vhost_control *c);

#endif

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

// The vring was just started: notes if the library did not find its place. Library threads, in a
// hook.
void rings_check_started(struct vhost_control *c, unsigned vring);

// Has pair 0's worker make the announcement that vhost_port_announcement speaks of; of several that
// it has not made yet, the last. Library threads, in a hook.
void rings_announce(struct vhost_control *c, const uint8_t mac[6]);

// The guest was reset: faults are forgotten.
void rings_reset(struct vhost_control *c);

#endif

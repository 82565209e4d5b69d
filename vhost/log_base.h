// SPDX-License-Identifier: BSD-3-Clause
// The log of dirty pages as a port has mapped it. The vhost library maps it too, for functions that
// a worker may not call, since they take its queue lock.
#ifndef WEIR_VHOST_LOG_BASE_H
#define WEIR_VHOST_LOG_BASE_H

#include "vhost/control.h"
#include "vhost/protocol.h"

// Maps what a SET_LOG_BASE that was not handled yet speaks of, in place of what there was. If that
// fails there is no log, and while logging is negotiated no ring is published. All rings must be
// down. Library threads, in a hook, under the port's lock.
void log_base_map(struct vhost_control *c, const struct message *m);
// All rings must be down. Under the port's lock.
void log_base_drop(struct vhost_control *c);

#endif

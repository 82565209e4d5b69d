// SPDX-License-Identifier: BSD-3-Clause
// A frame that the switch sends in a guest's name.
#ifndef WEIR_SWITCH_ANNOUNCE_H
#define WEIR_SWITCH_ANNOUNCE_H

#include "switch/pipeline.h"

// If the queue's port has a guest to announce, makes a burst of one frame that looks as if the
// guest had sent it, and is counted so: a RARP request (RFC 903) to all, as QEMU sends them, by
// which every bridge on its way learns the new place of the guest's MAC. It lies in the stash
// alone. False: nothing to announce. Worker.
bool announce(struct pass *pass, const struct queue_ref *queue);

#endif

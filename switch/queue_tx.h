// SPDX-License-Identifier: BSD-3-Clause
// The to-vm queues' part of tx (switch/queue.h): what goes straight, what is held, and what goes on
// when it is due.
#ifndef WEIR_SWITCH_QUEUE_TX_H
#define WEIR_SWITCH_QUEUE_TX_H

#include "switch/hold.h"
#include "switch/pipeline.h"
#include "switch/queue_inbox.h"

// What packets count as together by the rate of a VM that they go to.
struct shape_load queue_load(const struct bunch *bunch);

// Delivers packets, at least one, to a VM whose port has a queue, as far as they are due; holds the
// others. Worker.
void queue_send(struct pass *pass, const struct port_view *out, const struct bunch *bunch);

// Delivers what is due of the worker's own queues, which are those of the ports that it owns;
// lowers pass->next_due, and counts in pass->delivered. Once per round. Worker.
void queues_round(struct pass *pass, struct queue_inbox *inbox);

#endif

// SPDX-License-Identifier: BSD-3-Clause
#include "switch/pipeline.h"

#include "base/likely.h"
#include "switch/announce.h"
#include "switch/fragments.h"
#include "switch/nic.h"

static unsigned take_from_vm(struct pass *pass, const struct queue_ref *queue)
{
	const struct port_view *view = queue->view;
	unsigned max = BURST_MAX;
	if (unlikely(vhost_port_due(view->vhost, queue->pair))) {
		vhost_port_signal(view->vhost, queue->pair);
		if (announce(pass, queue))
			return pass->burst.count;
	}
	struct ring *ring = vhost_port_from_vm(view->vhost, queue->pair);
	if (!ring || !ring_pending(ring)) {
		pass->again = 0;
		return 0;
	}
	bool enabled = vhost_port_from_vm_enabled(view->vhost, queue->pair);
	if (unlikely(view->shaping.is_set) && enabled)
		max = shape_take(&view->port->shaper, &view->shaping, pass->tsc, &pass->again);
	if (unlikely(!max))
		return 0;
	unsigned n = ring_take(ring, &pass->burst, max);
	pass->source = ring;
	// virtio 1.2, 5.1.6.5.5: what a guest queues on a ring it has disabled goes nowhere.
	if (unlikely(!enabled))
		for (unsigned i = 0; i < n; i++)
			packet_drop(&pass->burst.packets[i], DROP_QUEUE_DISABLED);
	return n;
}

unsigned stage_rx(struct pass *pass, const struct queue_ref *queue)
{
	const struct port_view *view = queue->view;
	unsigned n;
	// Before anything else: they follow their first, which has just gone on.
	if (unlikely(pass->fragments_ready) && (n = fragments_follow(pass)))
		return n;
	if (view->nic) {
		n = nic_take(view->nic, queue->pair, &pass->burst, pass->mbufs);
		pass->source = NULL;
	} else {
		n = take_from_vm(pass, queue);
	}
	pass->in = view;
	pass->pair = queue->pair;
	pass->counters = &view->port->counters[queue->pair];
	return n;
}

void stage_release(struct pass *pass)
{
	if (pass->source) {
		ring_complete(pass->source, &pass->signals);
		return;
	}
	rte_pktmbuf_free_bulk(pass->mbufs, pass->burst.count);
	fragments_give_back(pass->fragments);
}

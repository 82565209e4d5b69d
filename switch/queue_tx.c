// SPDX-License-Identifier: BSD-3-Clause
#include "switch/queue_tx.h"

#include "base/likely.h"
#include "switch/hold_pool.h"
#include "switch/worker.h"

enum {
	// In a round, of one queue: as long as some wait all that come are copied, so they are to
	// go faster than they come.
	BURSTS_MAX = 8
};

// --- what is lost -------------------------------------------------------------------------------

static void lose(struct pass *pass, const struct port_view *out, struct queued *lost)
{
	struct queued *back[BURST_MAX];
	unsigned n = 0;
	while (lost) {
		struct queued *next = lost->next;
		const struct packet *p = &held_of(lost)->packet;
		pass_drop_packets(pass, out->port, lost->drop, lost->packets, p);
		back[n++] = lost;
		if (n == BURST_MAX || !next) {
			hold_give(out->queueing.queue->pool, back, n);
			n = 0;
		}
		lost = next;
	}
}

// --- coming -------------------------------------------------------------------------------------

struct shape_load queue_load(const struct bunch *bunch)
{
	struct shape_load sum = {0};
	unsigned offloads = 0;
	for (unsigned i = 0; i < bunch->count; i++) {
		sum.bytes += bunch->packets[i]->len;
		offloads |= bunch->packets[i]->offload;
	}
	sum.packets = bunch->count;
	for (unsigned i = 0; i < bunch->count && unlikely(offloads & OFFLOAD_TSO); i++) {
		struct shape_load load = hold_load(bunch->packets[i]);
		sum.bytes += load.bytes - bunch->packets[i]->len;
		sum.packets += load.packets - 1;
	}
	return sum;
}

// How many packets are due, from the first on; all: what they count as together.
static unsigned due_of(const struct port_view *out, uint64_t tsc, const struct bunch *bunch,
	const struct shape_load *all)
{
	const struct rate_limit *limit = &out->queueing.limit;
	const struct allowance now = allowance_at(&out->queueing.queue->rate, limit, tsc);
	struct allowance left = now;
	allowance_use(&left, limit, all->bytes, all->packets);
	if (likely(allowance_is_left(&left)))
		return bunch->count;
	unsigned i = 0;
	for (left = now; i < bunch->count && allowance_is_left(&left); i++) {
		struct shape_load load = hold_load(bunch->packets[i]);
		allowance_use(&left, limit, load.bytes, load.packets);
	}
	return i;
}

// Into the rings; sum: what they count as. *left: what those refused.
static void send_straight(struct pass *pass, const struct port_view *out, const struct bunch *bunch,
	struct shape_load sum, struct bunch *left)
{
	struct to_vm_queue *queue = out->queueing.queue;
	vm_send(pass, out, bunch, left);
	if (unlikely(left->count)) {
		struct shape_load refused = queue_load(left);
		// It may have got a tag meanwhile.
		sum.bytes -= refused.bytes < sum.bytes ? refused.bytes : sum.bytes;
		sum.packets -= refused.packets;
		atomic_store_explicit(&queue->receiver_at, pass->tsc, memory_order_relaxed);
	}
	if (sum.packets)
		rate_charge(&queue->rate, &out->queueing.limit, pass->tsc, sum.bytes, sum.packets);
}

static void tell_owner(const struct port_view *out)
{
	struct worker *owner = out->queueing.queue->owner;
	queue_inbox_put(&owner->inbox, out->id);
	if (atomic_load_explicit(&owner->asleep, memory_order_relaxed))
		worker_rouse(owner);
}

// NULL: it is lost.
static struct queued *copy(
	struct pass *pass, const struct port_view *out, struct packet *p, uint64_t *coming)
{
	struct shape_load load = hold_load(p);
	enum drop_reason reason = DROP_TO_VM_QUEUE_FULL;
	struct held *held = NULL;
	if (likely(queue_has_room(&out->queueing, *coming, load.bytes))) {
		reason = DROP_TO_VM_NO_BUFFER;
		held = hold_take(out->queueing.queue->pool, p);
	}
	if (unlikely(!held))
		pass_drop_packets(pass, out->port, reason, load.packets, p);
	else
		*coming += load.bytes;
	p->flags &= (uint16_t)~PACKET_BEGUN; // others may get all of it
	return held ? &held->queued : NULL;
}

static void hold(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	struct to_vm_queue *queue = out->queueing.queue;
	struct queued *copies[BURST_MAX], *lost;
	uint64_t coming = 0;
	unsigned n = 0;
	for (unsigned i = 0; i < bunch->count; i++) {
		copies[n] = copy(pass, out, bunch->packets[i], &coming);
		n += copies[n] != NULL;
	}
	if (!n)
		return;
	hold_use(queue->pool, copies, n);
	uint64_t share = hold_pool_share(queue->pool);
	if (queue_add(queue, copies, n, pass->tsc, share, &lost))
		tell_owner(out);
	lose(pass, out, lost);
}

// The first n packets go, the others wait behind them.
static void send_some(
	struct pass *pass, const struct port_view *out, const struct bunch *bunch, unsigned n)
{
	struct bunch due = {.count = 0}, waiting = {.count = 0};
	for (unsigned i = 0; i < n; i++)
		bunch_add(&due, bunch->packets[i]);
	if (n)
		send_straight(pass, out, &due, queue_load(&due), &waiting);
	for (unsigned i = n; i < bunch->count; i++)
		bunch_add(&waiting, bunch->packets[i]);
	hold(pass, out, &waiting);
}

void queue_send(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	struct bunch left;
	if (unlikely(!vhost_port_pairs(out->vhost))) {
		tx_lose(pass, out, bunch);
		return;
	}
	struct shape_load all = {0};
	unsigned due = 0;
	if (likely(queue_is_empty(out->queueing.queue))) {
		all = queue_load(bunch);
		due = due_of(out, pass->tsc, bunch, &all);
	}
	if (unlikely(due < bunch->count)) {
		send_some(pass, out, bunch, due);
		return;
	}
	send_straight(pass, out, bunch, all, &left);
	if (unlikely(left.count))
		hold(pass, out, &left);
}

// --- going --------------------------------------------------------------------------------------

static void put_ready(struct pass *pass, const struct port_view *out)
{
	struct to_vm_queue *queue = out->queueing.queue;
	struct bunch bunch = {.count = 0}, left = {.count = 0};
	for (unsigned i = 0; i < queue->nready; i++) {
		struct packet *p = &held_of(queue->ready[i])->packet;
		// When it came the port may have had other VLANs.
		if (likely(view_is_member(out, p->vlan)))
			bunch_add(&bunch, p);
		else
			pass_drop_packets(
				pass, out->port, DROP_VLAN_NOT_MEMBER, queue->ready[i]->packets, p);
	}
	if (bunch.count)
		vm_send(pass, out, &bunch, &left);
	for (unsigned i = 0; i < left.count; i++) {
		struct shape_load load = hold_load(left.packets[i]);
		queue_refuse(
			queue, &held_of_packet(left.packets[i])->queued, load.bytes, load.packets);
	}
}

// A frame that takes more buffers than the VM ever gives would keep all others for good.
static void give_up(struct pass *pass, const struct port_view *out)
{
	struct to_vm_queue *queue = out->queueing.queue;
	struct queued *first = queue->ready[0];
	const struct packet *p = &held_of(first)->packet;
	uint16_t posted;
	if (!vm_has_buffers(out, p, &posted) ||
		!queue_is_stuck(queue, posted, out->queueing.us, pass->tsc))
		return;
	pass_drop_packets(pass, out->port, DROP_TO_VM_RING_FULL, first->packets, p);
	first->refused = false;
}

static void deliver_ready(struct pass *pass, const struct port_view *out)
{
	struct to_vm_queue *queue = out->queueing.queue;
	struct queued *done[BURST_MAX];
	put_ready(pass, out);
	if (unlikely(queue->ready[0]->refused))
		give_up(pass, out);
	unsigned n = queue_settle(queue, done);
	if (n)
		hold_give(queue->pool, done, n);
	pass->delivered += n;
}

static void deliver_due(struct pass *pass, const struct port_view *out)
{
	const struct queueing *queueing = &out->queueing;
	struct to_vm_queue *queue = queueing->queue;
	struct queued *lost;
	unsigned bursts = 0;
	do {
		queue_fetch(
			queue, &queueing->limit, pass->tsc, hold_pool_share(queue->pool), &lost);
		lose(pass, out, lost);
		if (!queue->nready)
			return;
		deliver_ready(pass, out);
	} while (!queue->nready && ++bursts < BURSTS_MAX && !queue_is_empty(queue) &&
		 rate_is_due(&queue->rate, &queueing->limit, pass->tsc));
}

// When to look again, as agenda_round asks for it.
static uint64_t look_at(void *ctx, uint32_t i, uint64_t due)
{
	struct pass *pass = ctx;
	const struct port_view *out = pass->snapshot->queues[pass->worker].to_vm[i];
	const struct queueing *queueing = &out->queueing;
	struct to_vm_queue *queue = queueing->queue;
	(void)due;
	if (unlikely(queue->version != queueing->version))
		queue_change(queue, queueing);
	// Closed: what waits is taken out when no worker sees the port any more.
	if (queue_is_empty(queue) || unlikely(!out->vhost))
		return UINT64_MAX;
	deliver_due(pass, out);
	return queue_again(queue, queueing, pass->tsc);
}

// Some have got packets after they were empty.
static void open_inbox(struct pass *pass, struct queue_inbox *inbox)
{
	const struct worker_queues *own = &pass->snapshot->queues[pass->worker];
	queue_inbox_open(inbox);
	for (unsigned word = 0; word < INBOX_WORDS; word++) {
		uint64_t bits = queue_inbox_take(inbox, word);
		for (; bits; bits &= bits - 1) {
			unsigned id = word * 64 + (unsigned)__builtin_ctzll(bits);
			const struct port_view *view = pass->snapshot->views[id];
			uint32_t i = view ? view->queueing.number : own->nto_vm;
			// Else it is not there yet, or not any more, or another port has its
			// number now: all of a new snapshot's queues are looked at.
			if (i < own->nto_vm && own->to_vm[i] == view)
				agenda_call(&own->to_vm_agenda, i);
		}
	}
}

void queues_round(struct pass *pass, struct queue_inbox *inbox)
{
	const struct worker_queues *own = &pass->snapshot->queues[pass->worker];
	pass->delivered = 0;
	if (unlikely(queue_inbox_any(inbox)))
		open_inbox(pass, inbox);
	if (!own->nto_vm)
		return;
	uint64_t due = agenda_round(&own->to_vm_agenda, own->nto_vm, pass->tsc, look_at, pass);
	if (due < pass->next_due)
		pass->next_due = due;
}

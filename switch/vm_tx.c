// SPDX-License-Identifier: BSD-3-Clause
// Into a VM's rings: groups packets by queue, takes each queue's lock once, and copies, in the form
// that the receiver negotiated.
#include "switch/pipeline.h"

#include <errno.h>

#include "base/likely.h"
#include "switch/parse.h"
#include "switch/queue_tx.h"

// What was put into a receiver's ring, and what TSO frames that it took whole count beyond that by
// its rate.
struct put {
	struct traffic sent, segments;
};

static void count_segments(struct put *put, const struct packet *p)
{
	struct shape_load load = shape_load(p);
	put->segments.packets += load.packets - 1;
	put->segments.bytes += load.bytes - p->len;
}

static enum drop_reason put_frame(struct ring *ring, const struct frame *frame, struct put *put)
{
	switch (ring_put(ring, frame)) {
	case 0:
		put->sent.packets++;
		put->sent.bytes += frame->head_len + frame->body_len;
		return DROP_NONE;
	case -ENOBUFS:
		return DROP_TO_VM_RING_FULL;
	case -EMSGSIZE:
		return DROP_TO_VM_BUFFER_TOO_SMALL;
	default:
		return DROP_TO_VM_FAULTED;
	}
}

// One packet into the receiver's ring, as one frame or as its segments. Returns DROP_NONE, or why
// (the rest of) it was not put; of a port that can hold packets the packet says then what is left.
static enum drop_reason put_packet(struct pass *pass, const struct port_view *out,
	struct ring *ring, uint64_t features, struct packet *p, struct put *put)
{
	packet_tag_vlan(p, view_tags(out, p->vlan));
	struct segmenter *s = &pass->segmenter;
	// No receiver completes what is in NSH.
	enum drop_reason reason = segment_begin(
		s, p, unlikely(out->is_nsh) ? 0 : features, out->mtu);
	if (reason != DROP_NONE)
		return reason;
	struct frame frame;
	while (reason == DROP_NONE && segment_next(s, &frame))
		reason = put_frame(ring, &frame, put);
	if (likely(!out->queueing.queue) || !(p->offload & OFFLOAD_TSO))
		return reason;
	if (reason != DROP_NONE && s->index > 1) {
		p->flags |= PACKET_BEGUN;
		p->segments_gone = s->index - 1;
	} else if (reason == DROP_NONE && segment_count(s) == 1) {
		count_segments(put, p);
	}
	return reason;
}

// Counts what is left of it as lost: for a port with a rate as that counts, so that all it was sent
// is found again.
static void lose(
	struct pass *pass, const struct port_view *out, enum drop_reason reason, struct packet *p)
{
	pass_drop_packets(
		pass, out->port, reason, out->queueing.queue ? hold_load(p).packets : 1, p);
	p->flags &= (uint16_t)~PACKET_BEGUN; // other receivers may get all of it
}

// Whether the receiver gets the frame as it stands in the stash and the sender's memory: nothing to
// tag, to complete or to cut.
static inline bool is_plain(const struct packet *p, const struct port_view *out)
{
	return !(p->offload | (p->flags & PACKET_TAGGED)) && p->len - p->l3_off <= out->mtu;
}

// How many packets from the first on are plain.
static inline unsigned plain_run(
	struct packet *const *packets, unsigned n, const struct port_view *out)
{
	unsigned i = 0;
	while (i < n && likely(is_plain(packets[i], out)))
		i++;
	return i;
}

// Returns how many it is done with, from the first on: all, but that of a port that can hold
// packets those stay which its full ring refuses.
static unsigned put_bunch(struct pass *pass, const struct port_view *out, struct ring *ring,
	const struct bunch *bunch, struct put *put)
{
	uint64_t features = vhost_port_features(out->vhost);
	unsigned plain_end = 0, i = 0;
	while (i < bunch->count) {
		struct packet *const *next = bunch->packets + i;
		if (i >= plain_end && !out->trunk)
			plain_end = i + plain_run(next, bunch->count - i, out);
		if (i < plain_end) {
			unsigned n = ring_put_plain(ring, next, plain_end - i);
			for (unsigned k = 0; k < n; k++)
				put->sent.bytes += next[k]->len;
			put->sent.packets += n;
			i += n;
			if (i == plain_end)
				continue;
		}
		enum drop_reason reason = put_packet(
			pass, out, ring, features, bunch->packets[i], put);
		if (reason == DROP_TO_VM_RING_FULL && out->queueing.queue)
			break;
		if (reason != DROP_NONE)
			lose(pass, out, reason, bunch->packets[i]);
		i++;
	}
	return i;
}

static void put_queue(struct pass *pass, const struct port_view *out, unsigned pair,
	const struct bunch *bunch, struct bunch *left)
{
	struct put put = {0};
	unsigned done = bunch->count;
	ring_signals_make_room(&pass->signals);
	vhost_port_to_vm_lock(out->vhost, pair);
	struct ring *ring = vhost_port_to_vm(out->vhost, pair);
	if (ring) {
		struct queue_counters *counters = &out->port->counters[pair];
		ring_put_begin(ring, &pass->layout, bunch->count);
		done = put_bunch(pass, out, ring, bunch, &put);
		ring_put_end(ring, &pass->signals);
		counter_add(&counters->to_vm, put.sent.packets, put.sent.bytes);
		if (unlikely(put.segments.packets))
			counter_add(&counters->to_vm_segments, put.segments.packets,
				put.segments.bytes);
	} else {
		tx_lose(pass, out, bunch);
	}
	vhost_port_to_vm_unlock(out->vhost, pair);
	for (; done < bunch->count; done++)
		bunch_add(left, bunch->packets[done]);
}

// The receiver's running queue that a flow keeps to, whichever bits of `pairs` are set.
static unsigned queue_of(const struct packet *p, uint32_t pairs)
{
	unsigned running = (unsigned)__builtin_popcount(pairs);
	unsigned nth = (uint32_t)(((uint64_t)packet_flow_hash(p) * running) >> 32);
	while (nth--)
		pairs &= pairs - 1;
	return (unsigned)__builtin_ctz(pairs);
}

void vm_send(struct pass *pass, const struct port_view *out, const struct bunch *bunch,
	struct bunch *left)
{
	uint32_t pairs = vhost_port_pairs(out->vhost);
	left->count = 0;
	if (!(pairs & (pairs - 1))) {
		put_queue(pass, out, pairs ? (unsigned)__builtin_ctz(pairs) : 0, bunch, left);
		return;
	}
	uint8_t queues[BURST_MAX];
	for (unsigned i = 0; i < bunch->count; i++)
		queues[i] = (uint8_t)queue_of(bunch->packets[i], pairs);
	for (; pairs; pairs &= pairs - 1) {
		unsigned pair = (unsigned)__builtin_ctz(pairs);
		struct bunch own = {.count = 0};
		for (unsigned i = 0; i < bunch->count; i++)
			if (queues[i] == pair)
				bunch_add(&own, bunch->packets[i]);
		if (own.count)
			put_queue(pass, out, pair, &own, left);
	}
}

bool vm_has_buffers(const struct port_view *out, const struct packet *p, uint16_t *posted)
{
	uint32_t pairs = vhost_port_pairs(out->vhost);
	if (!pairs)
		return false;
	unsigned pair = queue_of(p, pairs);
	vhost_port_to_vm_lock(out->vhost, pair);
	const struct ring *ring = vhost_port_to_vm(out->vhost, pair);
	bool has = ring && ring_has_buffers(ring, posted);
	vhost_port_to_vm_unlock(out->vhost, pair);
	return has;
}

// SPDX-License-Identifier: BSD-3-Clause
// Delivers: groups the burst by receiver and queue, takes each queue's lock once, and copies. Each
// packet of an output is counted as sent to the receiver or as a named drop.
#include "switch/pipeline.h"

#include <errno.h>

#include "base/likely.h"
#include "switch/parse.h"
#include "switch/policy.h"
#include "switch/nic.h"
#include "switch/queue_tx.h"

// `p` is one of the n packets.
static void count_drops(struct pass *pass, struct port *port, enum drop_reason reason, uint64_t n,
	const struct packet *p)
{
	pass_drop(pass, port, reason, n, p->data, p->head_len);
}

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
	enum drop_reason reason = segment_begin(s, p, features, out->mtu);
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
	count_drops(pass, out->port, reason, out->queueing.queue ? hold_load(p).packets : 1, p);
	p->flags &= (uint16_t)~PACKET_BEGUN; // other receivers may get all of it
}

// Likewise of packets to a port that is not up.
static void lose_all(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	uint64_t n = out->queueing.queue ? queue_load(bunch).packets : bunch->count;
	count_drops(pass, out->port, out->is_nic ? DROP_TO_NIC_NOT_UP : DROP_TO_VM_NOT_UP, n,
		bunch->packets[0]);
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
		lose_all(pass, out, bunch);
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

static void deliver_to_vm(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	struct bunch none;
	if (unlikely(out->queueing.queue))
		queue_send(pass, out, bunch);
	else
		vm_send(pass, out, bunch, &none);
}

static bool nic_is_up(const struct nic *nic)
{
	return atomic_load_explicit(&nic->running, memory_order_relaxed);
}

static void deliver(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	if (likely(out->vhost))
		deliver_to_vm(pass, out, bunch);
	else if (out->nic && nic_is_up(out->nic))
		nic_send(pass, out, bunch->packets, bunch->count);
	else
		lose_all(pass, out, bunch);
}

static void send_to_port(struct pass *pass, uint16_t id, const struct bunch *bunch)
{
	deliver(pass, pass->snapshot->views[id], bunch);
}

// To more than one port: each one's packets together, in their order.
static void send_mixed(struct pass *pass, struct bunch *unicast)
{
	while (unicast->count) {
		uint16_t id = unicast->packets[0]->out_port;
		struct bunch same = {.count = 0};
		unsigned others = 0;
		for (unsigned i = 0; i < unicast->count; i++) {
			struct packet *p = unicast->packets[i];
			if (p->out_port == id)
				bunch_add(&same, p);
			else
				unicast->packets[others++] = p;
		}
		unicast->count = others;
		send_to_port(pass, id, &same);
	}
}

// A port whose link is down, as is one without a running guest, is no member of the flood set:
// nothing is lost.
static bool is_flooded(const struct port_view *out)
{
	return out->vhost ? vhost_port_pairs(out->vhost) : out->nic && nic_is_up(out->nic);
}

// A copy for a port with groups that does not take it.
static void count_refused(struct pass *pass, const struct port_view *out, const struct packet *p)
{
	if (p->drop != DROP_NONE)
		count_drops(pass, pass->snapshot->views[p->out_port]->port, p->drop, 1, p);
	else
		count_drops(pass, out->port, DROP_GROUP_DENY, 1, p);
}

static void send_flood(struct pass *pass, const struct bunch *flood)
{
	bool reached[BURST_MAX] = {false};
	for (uint16_t n = 0; n < pass->in->npeers; n++) {
		const struct port_view *out = pass->snapshot->views[pass->in->peers[n]];
		if (out == pass->in || !is_flooded(out))
			continue;
		struct bunch members = {.count = 0};
		for (unsigned i = 0; i < flood->count; i++) {
			struct packet *p = flood->packets[i];
			if (!view_is_member(out, p->vlan))
				continue;
			reached[i] = true;
			if (unlikely(out->groups) && !policy_admits_flooded(pass, out, p))
				count_refused(pass, out, p);
			else
				bunch_add(&members, p);
		}
		if (members.count)
			deliver(pass, out, &members);
	}
	for (unsigned i = 0; i < flood->count; i++)
		if (!reached[i])
			count_drops(pass, pass->in->port, DROP_NO_RECEIVER, 1, flood->packets[i]);
}

static struct port *port_of_drop(const struct pass *pass, const struct packet *p)
{
	if (unlikely(p->flags & PACKET_TO_RECEIVER))
		return pass->snapshot->views[p->out_port]->port;
	return pass->in->port;
}

void stage_tx(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	struct bunch unicast, flood;
	uint16_t first = 0, others = 0;
	unicast.count = flood.count = 0;
	for (unsigned i = 0; i < burst->count; i++) {
		struct packet *p = &burst->packets[i];
		if (likely(p->verdict == VERDICT_FORWARD)) {
			if (!unicast.count)
				first = p->out_port;
			others |= p->out_port ^ first;
			bunch_add(&unicast, p);
		} else if (p->verdict == VERDICT_FLOOD) {
			bunch_add(&flood, p);
		} else if (p->verdict == VERDICT_DROP) {
			count_drops(pass, port_of_drop(pass, p), p->drop, 1, p);
		}
	}
	if (others)
		send_mixed(pass, &unicast);
	else if (unicast.count)
		send_to_port(pass, first, &unicast);
	if (flood.count)
		send_flood(pass, &flood);
}

// SPDX-License-Identifier: BSD-3-Clause
// Delivers: groups the burst by receiver and queue, takes each queue's lock once, and copies. Each
// packet of an output is counted as sent to the receiver or as a named drop.
#include "switch/pipeline.h"

#include <errno.h>

#include "switch/parse.h"

// Packets of the burst as bits.
typedef uint32_t packet_set;

#define FOR_EACH_IN(i, set) \
	for (packet_set rest_ = (set), i; rest_ && ((i = (packet_set)__builtin_ctz(rest_)), 1); \
		rest_ &= rest_ - 1)

static void count_drops(struct pass *pass, struct port *port, enum drop_reason reason, uint64_t n)
{
	drop_count(&port->drops[pass->worker], reason, n);
}

// One packet into the receiver's ring, as one frame or as its segments. Returns DROP_NONE, or why
// (the rest of) it was lost.
static enum drop_reason put_packet(struct pass *pass, const struct port_view *out,
	struct ring *ring, uint64_t features, struct packet *p, struct traffic *sent)
{
	bool tagged = out->trunk && p->vlan != out->untagged_vlan;
	packet_set_tag(p, tagged ? (p->vlan_tpid ? p->vlan_tpid : 0x8100) : 0,
		(uint16_t)((p->vlan_tci & 0xf000) | p->vlan));

	struct segmenter *s = &pass->segmenter;
	enum drop_reason reason = segment_begin(s, p, features, out->mtu);
	if (reason != DROP_NONE)
		return reason;
	struct frame frame;
	while (segment_next(s, &frame)) {
		switch (ring_put(ring, &frame)) {
		case 0:
			sent->packets++;
			sent->bytes += frame.head_len + frame.body_len;
			break;
		case -ENOBUFS:
			return DROP_TO_VM_RING_FULL;
		case -EMSGSIZE:
			return DROP_TO_VM_BUFFER_TOO_SMALL;
		default:
			return DROP_TO_VM_FAULTED;
		}
	}
	return DROP_NONE;
}

static void put_queue(
	struct pass *pass, const struct port_view *out, unsigned pair, packet_set packets)
{
	struct traffic sent = {0};
	vhost_port_to_vm_lock(out->vhost, pair);
	struct ring *ring = vhost_port_to_vm(out->vhost, pair);
	if (!ring) {
		vhost_port_to_vm_unlock(out->vhost, pair);
		count_drops(
			pass, out->port, DROP_TO_VM_NOT_UP, (uint64_t)__builtin_popcount(packets));
		return;
	}
	uint64_t features = vhost_port_features(out->vhost);
	ring_put_begin(ring, &pass->layout, (unsigned)__builtin_popcount(packets));
	FOR_EACH_IN (i, packets) {
		enum drop_reason reason = put_packet(
			pass, out, ring, features, &pass->burst.packets[i], &sent);
		if (reason != DROP_NONE)
			count_drops(pass, out->port, reason, 1);
	}
	ring_put_end(ring);
	counter_add(&out->port->counters[pair].to_vm, sent.packets, sent.bytes);
	vhost_port_to_vm_unlock(out->vhost, pair);
}

// The receiver's running queue that a flow keeps to, whichever bits of `pairs` are set.
static unsigned queue_of(const struct packet *p, uint32_t pairs)
{
	unsigned nth = (uint32_t)(((uint64_t)p->hash * (unsigned)__builtin_popcount(pairs)) >> 32);
	while (nth--)
		pairs &= pairs - 1;
	return (unsigned)__builtin_ctz(pairs);
}

static void deliver(struct pass *pass, const struct port_view *out, packet_set packets)
{
	uint32_t pairs = vhost_port_pairs(out->vhost);
	if (!(pairs & (pairs - 1))) {
		put_queue(pass, out, pairs ? (unsigned)__builtin_ctz(pairs) : 0, packets);
		return;
	}
	packet_set of_queue[QUEUE_PAIRS_MAX] = {0};
	FOR_EACH_IN (i, packets)
		of_queue[queue_of(&pass->burst.packets[i], pairs)] |= 1u << i;
	for (; pairs; pairs &= pairs - 1) {
		unsigned pair = (unsigned)__builtin_ctz(pairs);
		if (of_queue[pair])
			put_queue(pass, out, pair, of_queue[pair]);
	}
}

static void send_unicast(struct pass *pass, packet_set unicast)
{
	struct burst *burst = &pass->burst;
	while (unicast) {
		uint16_t id = burst->packets[__builtin_ctz(unicast)].out_port;
		packet_set same = 0;
		FOR_EACH_IN (i, unicast)
			same |= (packet_set)(burst->packets[i].out_port == id) << i;
		const struct port_view *out = pass->snapshot->views[id];
		if (out->vhost)
			deliver(pass, out, same);
		else
			count_drops(pass, out->port, DROP_TO_VM_NOT_UP,
				(uint64_t)__builtin_popcount(same));
		unicast &= ~same;
	}
}

// A port without a running guest is no member of the flood set: its link is down, nothing is lost.
static void send_flood(struct pass *pass, packet_set flood)
{
	packet_set reached = 0;
	for (uint16_t n = 0; n < pass->in->npeers; n++) {
		const struct port_view *out = pass->snapshot->views[pass->in->peers[n]];
		if (out == pass->in || !out->vhost || !vhost_port_pairs(out->vhost))
			continue;
		packet_set members = 0;
		FOR_EACH_IN (i, flood)
			members |= (packet_set)view_is_member(out, pass->burst.packets[i].vlan)
				   << i;
		if (members)
			deliver(pass, out, members);
		reached |= members;
	}
	if (flood & ~reached)
		count_drops(pass, pass->in->port, DROP_NO_RECEIVER,
			(uint64_t)__builtin_popcount(flood & ~reached));
}

void stage_tx(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	packet_set unicast = 0, flood = 0;
	for (unsigned i = 0; i < burst->count; i++) {
		const struct packet *p = &burst->packets[i];
		if (p->verdict == VERDICT_FORWARD)
			unicast |= 1u << i;
		else if (p->verdict == VERDICT_FLOOD)
			flood |= 1u << i;
		else
			count_drops(pass, pass->in->port, p->drop, 1);
	}
	send_unicast(pass, unicast);
	if (flood)
		send_flood(pass, flood);
}

// SPDX-License-Identifier: BSD-3-Clause
// Finds the connections of a burst's packets, by one lookup each, and advances them. What is known,
// and resolved under today's policy between the ports that it still goes between, leaves this stage
// with its output: the entry says where the MAC table has both addresses, and one compare of each
// tells whether that is still so. Everything else is left to forward, which finds the receiver, and
// to policy, which decides.
//
// Before forward, so that a known connection needs no lookup of addresses. Behind guard: who speaks
// for others advances nobody's connection.
#include "switch/pipeline.h"

#include "base/likely.h"

// The packets that have a key, beside pass->keys.
struct keyed {
	unsigned count;
	struct packet *packets[BURST_MAX];
};

// Groups' traffic begins no connection: policy decides each packet of it.
static bool is_to_group(const struct packet *p)
{
	return p->data[0] & 1;
}

static bool make_key(struct pass *pass, struct packet *p, struct conn_key *key)
{
	uint32_t zone = pass->in->zone | p->vlan;
	bool sound;
	if (is_to_group(p))
		return false;
	if (likely(conn_key_of(key, p, zone)))
		return true;
	if (!track_error_key(p, zone, key, &sound))
		return false;
	p->flags |= PACKET_ICMP_ERROR;
	if (!sound)
		packet_drop(p, DROP_CONNECTION_INVALID);
	return sound;
}

static void make_keys(struct pass *pass, struct keyed *keyed)
{
	struct packet *end = &pass->burst.packets[pass->burst.count];
	keyed->count = 0;
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		if (unlikely(!make_key(pass, p, &pass->keys[keyed->count]))) {
			p->flags |= PACKET_UNDECIDED;
			continue;
		}
		p->flags |= PACKET_KEYED;
		p->key = (uint8_t)keyed->count;
		keyed->packets[keyed->count++] = p;
	}
}

// Whether both addresses are where the entry says, the receiver's behind the port that it was
// resolved for. Then the source's age is refreshed as forward would, and the packet has its output.
static inline bool forward_known(
	struct pass *pass, struct packet *p, struct conn *conn, unsigned direction)
{
	const struct port_view *in = pass->in;
	const struct mac_table *macs = in->bridge->macs;
	uint64_t tag = mac_key_tag(p->vlan);
	uint16_t from = atomic_load_explicit(&conn->macs[direction][0], memory_order_relaxed);
	uint16_t to = atomic_load_explicit(&conn->macs[direction][1], memory_order_relaxed);
	struct mac_found source = mac_find_at(macs, from, mac_key_source(p->data, tag));
	struct mac_found receiver = mac_find_at(macs, to, mac_key_destination(p->data, tag));
	uint16_t port = (uint16_t)(receiver.target >> 16);
	if (unlikely(source.target >> 16 != in->id) || unlikely(!port) ||
		unlikely(atomic_load_explicit(&conn->ports[!direction], memory_order_relaxed) !=
			 port))
		return false;
	const struct port_view *out = pass->snapshot->views[port];
	if (unlikely(!out) || unlikely(out == in) || unlikely(out->bridge != in->bridge) ||
		unlikely(!view_is_member(out, p->vlan)))
		return false;
	mac_seen(source.entry, pass->now_s);
	p->verdict = VERDICT_FORWARD;
	p->out_port = port;
	return true;
}

// An error speaks of its connection and is not part of it: it changes nothing there, and goes where
// forward sends it.
static void connect_error(struct packet *p, uint32_t index)
{
	if (index)
		p->flags |= PACKET_CONNECTION | PACKET_UNDECIDED;
	else
		packet_drop(p, DROP_CONNECTION_INVALID);
}

static inline void connect_packet(struct pass *pass, struct packet *p, uint32_t index)
{
	const struct conn_key *key = &pass->keys[p->key];
	p->conn = index;
	if (unlikely(p->flags & PACKET_ICMP_ERROR)) {
		connect_error(p, index);
		return;
	}
	if (unlikely(!index)) {
		p->flags |= PACKET_UNDECIDED;
		return;
	}
	struct conn *conn = conn_at(pass->tracker.table, index);
	p->flags |= PACKET_CONNECTION;
	// What policy may deny must not advance it.
	uint32_t epoch = pass->snapshot->epoch;
	if (unlikely(atomic_load_explicit(&conn->epoch, memory_order_relaxed) != epoch) ||
		unlikely(atomic_load_explicit(&conn->ports[key->direction], memory_order_relaxed) !=
			 pass->in->id)) {
		p->flags |= PACKET_UNDECIDED;
		return;
	}
	enum drop_reason reason = track_next(&pass->tracker, index, conn, key, p);
	if (unlikely(reason != DROP_NONE)) {
		packet_drop(p, reason);
		return;
	}
	p->flags |= PACKET_TRACKED;
	// Begun anew it is to be resolved anew.
	if (unlikely(atomic_load_explicit(&conn->epoch, memory_order_relaxed) != epoch) ||
		unlikely(!forward_known(pass, p, conn, key->direction)))
		p->flags |= PACKET_UNDECIDED;
}

void stage_connect(struct pass *pass)
{
	if (likely(!pass->in->connects))
		return;
	struct keyed keyed;
	uint32_t found[BURST_MAX];
	pass->tracker = (struct tracker){
		.table = pass->snapshot->conns,
		.settings = &pass->snapshot->track,
		.now_s = pass->now_s,
	};
	make_keys(pass, &keyed);
	conn_keys_hash(pass->tracker.table, pass->keys, keyed.count);
	conn_find_burst(pass->tracker.table, pass->keys, keyed.count, found);
	pass->lookups += keyed.count;
	pass->tracked += keyed.count;
	for (unsigned i = 0; i < keyed.count; i++)
		connect_packet(pass, keyed.packets[i], found[i]);
}

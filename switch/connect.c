// SPDX-License-Identifier: BSD-3-Clause
// Finds the connections of a burst's packets, by one lookup each. What is known, and resolved under
// today's policy between the ports that it still goes between, advances its entry and leaves this
// stage with its output: the entry says where the MAC table has both addresses, and one compare of
// each tells whether that is still so. Everything else is left to forward, which finds the
// receiver, and to policy, which decides, and advances the entry if it lets the packet go on.
//
// Before forward, so that a known connection needs no lookup of addresses. Behind guard: who speaks
// for others advances nobody's connection.
#include "switch/pipeline.h"

#include "base/likely.h"
#include "switch/chain_way.h"
#include "switch/keys.h"

// Packets in a row mostly go one way: the last one's addresses, the places where the MAC table had
// them, and the port that they led to.
struct way {
	uint64_t source, destination; // keys; 0: there is none yet
	uint32_t places;
	uint16_t port;
};

// Looks both addresses up where the entry says. The source's age is refreshed as forward would.
static bool find_way(struct pass *pass, uint16_t vlan, const struct conn *conn, unsigned direction,
	struct way *way)
{
	const struct port_view *in = pass->in;
	const struct mac_table *macs = in->bridge->macs;
	struct mac_found source = mac_find_at(macs, (uint16_t)way->places, way->source);
	struct mac_found receiver = mac_find_at(macs, way->places >> 16, way->destination);
	uint16_t port = (uint16_t)(receiver.target >> 16);
	if (unlikely(source.target >> 16 != in->id) || unlikely(!port) ||
		unlikely(conn_port(conn, !direction) != port))
		return false;
	const struct port_view *out = pass->snapshot->views[port];
	if (unlikely(!out) || unlikely(out == in) || unlikely(out->bridge != in->bridge) ||
		unlikely(!view_is_member(out, vlan)))
		return false;
	mac_seen(source.entry, pass->now_s);
	way->port = port;
	return true;
}

// Whether both addresses are where the entry says, the receiver's behind the port that it was
// resolved for. Then the packet has its output.
static inline bool forward_known(struct pass *pass, struct packet *p, struct conn *conn,
	unsigned direction, struct way *last)
{
	uint64_t tag = mac_key_tag(p->vlan);
	struct way way = {
		.source = mac_key_source(p->data, tag),
		.destination = mac_key_destination(p->data, tag),
		.places = atomic_load_explicit(&conn->places[direction], memory_order_relaxed),
	};
	if (unlikely(way.source != last->source) ||
		unlikely(way.destination != last->destination) ||
		unlikely(way.places != last->places) ||
		unlikely(conn_port(conn, !direction) != last->port)) {
		if (unlikely(!find_way(pass, p->vlan, conn, direction, &way)))
			return false;
		*last = way;
	}
	p->verdict = VERDICT_FORWARD;
	p->out_port = last->port;
	return true;
}

// A reply to what has begun behind an NF that changes addresses goes there, also where that has
// kept the address of who began it, and the reply has that one's MAC address. Not inline: it is
// rare, and what is not would be larger.
static __attribute__((noinline)) bool forward_behind(
	struct pass *pass, struct packet *p, const struct conn *conn, unsigned direction)
{
	const struct port_view *host = chain_host_of(pass, conn);
	const struct mac_table *macs = pass->in->bridge->macs;
	uint64_t source = mac_key_source(p->data, mac_key_tag(p->vlan));
	if (!host || conn_original_direction(conn) == direction ||
		!mac_refresh(macs, source, mac_hash(macs, source), pass->in->id, pass->now_s))
		return false;
	p->verdict = VERDICT_FORWARD;
	p->out_port = host->id;
	return true;
}

// What policy may deny must not advance it; nor what it may find to be nobody's, for its other end
// has not shown itself and can be behind a port without groups.
static inline bool is_settled(const struct pass *pass, const struct conn *conn, unsigned direction)
{
	return likely(conn_epoch(conn) == pass->snapshot->epoch) &&
	       likely(conn_port(conn, direction) == pass->in->id) &&
	       likely(conn_port(conn, !direction));
}

// The packets of a connection advance it in their order: what comes behind one that is undecided is
// undecided, too. `waiting` has a bit for such connections, which some may share.
static inline void connect_packet(
	struct pass *pass, struct packet *p, uint32_t index, struct way *last, uint64_t *waiting)
{
	const struct conn_key *key = &pass->keys[p->key];
	struct conn *conn = conn_at(pass->tracker.table, index);
	uint64_t bit = UINT64_C(1) << (index % 64);
	p->conn = index;
	if (unlikely(!index)) {
		p->flags |= PACKET_UNDECIDED;
		return;
	}
	p->flags |= PACKET_CONNECTION;
	// An error speaks of its connection and is not part of it: it changes nothing there, and
	// goes where forward sends it. Nor does anything else before its way is known, since
	// forward and policy may drop it.
	if (unlikely(p->flags & PACKET_ICMP_ERROR)) {
		p->flags |= PACKET_UNDECIDED;
		return;
	}
	if (unlikely(*waiting & bit) || unlikely(!is_settled(pass, conn, key->direction)) ||
		(unlikely(!forward_known(pass, p, conn, key->direction, last)) &&
			!forward_behind(pass, p, conn, key->direction))) {
		p->flags |= PACKET_UNDECIDED;
		*waiting |= bit;
		return;
	}
	enum drop_reason reason = track_packet(&pass->tracker, index, conn, key, p);
	if (unlikely(reason != DROP_NONE)) {
		// What begins it anew has to be allowed first.
		if (reason == TRACK_ANEW || reason == TRACK_ANEW_ANSWERED) {
			p->flags |= PACKET_UNDECIDED;
			*waiting |= bit;
		} else {
			packet_drop(p, reason);
		}
		return;
	}
	p->flags |= PACKET_TRACKED;
	if (unlikely(conn_is_chained(conn))) {
		p->flags |= PACKET_CHAINED;
		__builtin_prefetch(&conn->chain);
	}
	// Another worker may have begun it anew meanwhile.
	if (unlikely(conn_epoch(conn) != pass->snapshot->epoch))
		p->flags |= PACKET_UNDECIDED;
}

void connect_keyed(struct pass *pass, const struct keyed *keyed, const uint32_t *found)
{
	struct way last = {0};
	uint64_t waiting = 0;
	for (unsigned i = 0; i < keyed->count; i++)
		connect_packet(pass, keyed->packets[i], found[i], &last, &waiting);
}

void stage_connect(struct pass *pass)
{
	if (likely(!pass->in->connects))
		return;
	struct keyed keyed;
	uint32_t found[BURST_MAX];
	keys_make(pass, &keyed);
	keys_find(pass, &keyed, found);
	connect_keyed(pass, &keyed, found);
}

// SPDX-License-Identifier: BSD-3-Clause
// Decides what connect could not: first packets, connections resolved under another policy or
// between other ports, and packets that belong to no connection.
//
// A connection is resolved for its original direction, whoever sent the packet that asks: from-vm
// rules of the port where it began, to-vm rules of the port it goes to. A reply is never asked
// about by itself. What is denied leaves the entry as it is, so that each further packet is decided
// anew; so does a packet that would begin the conversation anew in it, and may not.
//
// Where the receiver is not known, and the packet flooded, each receiver's rules are asked in tx,
// and the connection is resolved when its other end shows itself. What comes from a port without
// groups can then be nobody's: whatever speaks against it keeps it from ports with groups only.
#include "switch/chain_way.h"
#include "switch/policy_private.h"

#include <string.h>

#include "base/likely.h"
#include "switch/fragments.h"

// A packet before it in the burst may have begun it.
static void find_or_begin(
	struct pass *pass, struct packet *p, const struct conn_key *key, const struct ends *ends)
{
	p->conn = conn_find(pass->tracker.table, key);
	pass->lookups++;
	if (p->conn) {
		p->flags |= PACKET_CONNECTION;
		policy_go_on(pass, p, key, ends->to);
	} else if (p->flags & PACKET_LATER_FRAGMENT) {
		// Its first has begun none, or that has gone.
		policy_refuse(pass, p, DROP_CONNECTION_INVALID, pass->in->id);
	} else {
		policy_begin(pass, p, key, ends);
	}
}

// --- the stage

// An error comes from anywhere on the way, and goes to that end of the connection which sent what
// it quotes, and nowhere else.
static void decide_error(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct port_view *out)
{
	struct ends ends = {NULL, NULL};
	// It may quote nothing that can be believed; what it speaks of may have begun before it in
	// the burst.
	p->conn = p->flags & PACKET_KEYED ? conn_find(pass->tracker.table, key) : 0;
	if (!p->conn) {
		policy_refuse(pass, p, DROP_CONNECTION_INVALID, pass->in->id);
		return;
	}
	p->flags |= PACKET_CONNECTION;
	p->flags &= (uint16_t)~PACKET_CHAINED;
	struct conn *conn = conn_at(pass->tracker.table, p->conn);
	if (!policy_resolve(pass, p, key, conn, &ends))
		return;
	out = policy_receiver(pass, key, conn, out);
	if (out && conn_port(conn, !key->direction) != out->id)
		policy_drop(pass, p, DROP_GROUP_DENY, out->id);
}

static void turn_round(struct conn_tuple *tuple)
{
	uint8_t address[sizeof(tuple->source)];
	uint16_t port = tuple->sport;
	memcpy(address, tuple->source, sizeof(address));
	memcpy(tuple->source, tuple->destination, sizeof(address));
	memcpy(tuple->destination, address, sizeof(address));
	tuple->sport = tuple->dport;
	tuple->dport = port;
}

// Whether a chain takes what goes between these ports with this key, whoever began it. At most
// ports nothing begins that one could take.
static bool is_taken(const struct pass *pass, const struct ends *ends, const struct conn_key *key)
{
	struct rule_query query;
	if (likely(!ends->from->nchains) && likely(!ends->to->nchains))
		return false;
	policy_query(key, key->direction, &query);
	if (chain_match(pass, ends->from, ends->to, &query.tuple))
		return true;
	turn_round(&query.tuple);
	return chain_match(pass, ends->to, ends->from, &query.tuple);
}

// Between ports without groups only what goes through a chain is tracked, and what would if its
// other end began it: else the answer would pass for a beginning. A packet that can begin nothing
// is asked about as if it began a connection.
static bool is_chains(struct pass *pass, const struct packet *p, const struct ends *ends)
{
	if (!pass->in->is_chained || packet_is_to_group(p))
		return false;
	if (!(p->flags & PACKET_KEYED))
		return policy_evades_chain(pass, p, ends);
	if (pass->in->is_host)
		return true;
	if (p->flags & PACKET_CONNECTION && conn_is_chained(conn_at(pass->tracker.table, p->conn)))
		return true;
	return is_taken(pass, ends, &pass->keys[p->key]);
}

// What is flooded past a chain that may concern it. False: it is dropped. What cannot be told is
// kept from all receivers if it is refused below.
static bool flood_keeps_to_chains(struct pass *pass, struct packet *p, const struct ends *ends)
{
	if (packet_is_to_group(p) && policy_bypasses_chain(pass, p)) {
		policy_drop(pass, p, DROP_CHAIN_BYPASS, pass->in->id);
		return false;
	}
	if (!packet_is_to_group(p) && policy_evades_chain(pass, p, ends))
		p->flags |= PACKET_CHAINED;
	return true;
}

static void decide(struct pass *pass, struct packet *p)
{
	const struct port_view *in = pass->in;
	bool known = p->verdict == VERDICT_FORWARD;
	const struct port_view *out = known ? pass->snapshot->views[p->out_port] : NULL;
	const struct ends ends = {in, out};
	const struct conn_key *key = &pass->keys[p->key];
	// Nobody's rules.
	if (known && !in->groups && !out->groups && likely(!is_chains(pass, p, &ends)))
		return;
	if (!known && in->is_chained && !flood_keeps_to_chains(pass, p, &ends))
		return;
	if (p->flags & PACKET_ICMP_ERROR)
		decide_error(pass, p, key, out);
	else if (!(p->flags & PACKET_KEYED) || packet_is_to_group(p))
		policy_decide_alone(pass, p, &ends);
	else if (p->flags & PACKET_CONNECTION)
		policy_go_on(pass, p, key, out);
	else
		find_or_begin(pass, p, key, &ends);
}

static inline bool is_on_its_way(const struct packet *p)
{
	return p->verdict == VERDICT_FORWARD || p->verdict == VERDICT_FLOOD;
}

// What became of a first fragment becomes of the others, also of those behind it in the burst.
static void decide_fragment(struct pass *pass, struct packet *p)
{
	uint32_t zone = pass->in->zone | p->vlan;
	bool later = p->flags & PACKET_LATER_FRAGMENT;
	if (later && is_on_its_way(p) && !fragment_stays(pass, p, zone))
		return;
	if (p->flags & PACKET_UNDECIDED && is_on_its_way(p))
		decide(pass, p);
	if (!later && p->verdict == VERDICT_DROP)
		fragment_refuse(pass, p, zone);
}

void stage_policy(struct pass *pass)
{
	if (likely(!pass->in->connects))
		return;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		const uint16_t fragment = PACKET_KEYED | PACKET_FRAGMENT;
		if (unlikely((p->flags & (fragment | PACKET_STEERED)) == fragment))
			decide_fragment(pass, p);
		else if (unlikely(p->flags & PACKET_UNDECIDED) && is_on_its_way(p))
			decide(pass, p);
	}
}

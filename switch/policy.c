// SPDX-License-Identifier: BSD-3-Clause
// Decides what connect could not: first packets, connections resolved under another policy or
// between other ports, and packets that belong to no connection.
//
// A connection is resolved for its original direction, whoever sent the packet that asks: from-vm
// rules of the port where it began, to-vm rules of the port it goes to. A reply is never asked
// about by itself. What is denied leaves the entry as it is, so that each further packet is decided
// anew.
//
// Where the receiver is not known, and the packet flooded, each receiver's rules are asked in tx,
// and the connection is resolved when its other end shows itself. What comes from a port without
// groups can then be nobody's: whatever speaks against it keeps it from ports with groups only.
#include "switch/policy_private.h"

#include <errno.h>

#include "base/likely.h"
#include "switch/fragments.h"

// Where the MAC table has both addresses now, so that the next packet finds its way by the entry.
static void note_places(
	struct pass *pass, const struct packet *p, struct conn *conn, unsigned direction)
{
	const struct mac_table *macs = pass->in->bridge->macs;
	uint64_t tag = mac_key_tag(p->vlan);
	uint64_t source = mac_key_source(p->data, tag),
		 destination = mac_key_destination(p->data, tag);
	struct mac_found from = mac_find(macs, source, mac_hash(macs, source));
	struct mac_found to = mac_find(macs, destination, mac_hash(macs, destination));
	if (from.entry && to.entry)
		atomic_store_explicit(&conn->places[direction],
			(uint32_t)mac_place(macs, to.entry) << 16 | mac_place(macs, from.entry),
			memory_order_relaxed);
	pass->lookups += 2;
}

static void note_resolved(const struct pass *pass, struct conn *conn, unsigned original,
	const struct ends *ends, const uint32_t rules[2])
{
	for (unsigned i = 0; i < 2; i++)
		atomic_store_explicit(&conn->rules[i], rules[i], memory_order_relaxed);
	atomic_store_explicit(&conn->ports[original], ends->from->id, memory_order_relaxed);
	atomic_store_explicit(
		&conn->ports[!original], ends->to ? ends->to->id : 0, memory_order_relaxed);
	atomic_store_explicit(&conn->epoch, pass->snapshot->epoch, memory_order_relaxed);
}

// Who pays for a connection: the port it begins at, if that has groups, else the one it goes to.
static const struct port_view *owner_of(const struct ends *ends)
{
	return ends->from->groups || !ends->to || !ends->to->groups ? ends->from : ends->to;
}

// No connection allows it. Where nobody's rules may be the ones that count, tx drops it, receiver
// by receiver.
static void refuse(const struct pass *pass, struct packet *p, const struct port_view *out,
	enum drop_reason reason, uint16_t port)
{
	if (out || pass->in->groups)
		policy_drop(pass, p, reason, port);
	else
		p->flags &= (uint16_t)~PACKET_CONNECTION;
}

// --- connections that are there

// Whether it is resolved for today's policy and these ends, as far as they are known.
static bool is_resolved(const struct pass *pass, const struct conn *conn, unsigned original,
	const struct ends *ends)
{
	const struct port_view *of[2] = {
		original ? ends->to : ends->from, original ? ends->from : ends->to};
	for (unsigned i = 0; i < 2; i++)
		if (of[i] && conn_port(conn, i) != of[i]->id)
			return false;
	return conn_epoch(conn) == pass->snapshot->epoch;
}

// An end that this packet does not show is where it was.
static void complete_ends(
	const struct pass *pass, const struct conn *conn, unsigned original, struct ends *ends)
{
	const struct port_view *const *views = pass->snapshot->views;
	if (!ends->from)
		ends->from = views[conn_port(conn, original)];
	if (!ends->to)
		ends->to = views[conn_port(conn, !original)];
}

static bool resolve(struct pass *pass, struct packet *p, const struct conn_key *key,
	struct conn *conn, struct ends *ends)
{
	unsigned original = conn_original_direction(conn);
	struct rule_query query;
	uint32_t rules[2];
	if (is_resolved(pass, conn, original, ends))
		return true;
	complete_ends(pass, conn, original, ends);
	// Where it began there is no port any more.
	if (!ends->from) {
		packet_drop(p, DROP_GROUP_DENY);
		return false;
	}
	policy_query(key, original, &query);
	if (!policy_allows(pass, ends, &query, p, rules))
		return false;
	note_resolved(pass, conn, original, ends, rules);
	return true;
}

static bool is_reply(const struct conn_key *key, const struct conn *conn)
{
	return key->direction != conn_original_direction(conn);
}

static struct ends ends_of(const struct pass *pass, const struct conn_key *key,
	const struct conn *conn, const struct port_view *out)
{
	if (is_reply(key, conn))
		return (struct ends){out, pass->in};
	return (struct ends){pass->in, out};
}

// A reply goes to the port where the connection began. At another one nobody has asked for it:
// anyone can send a packet in the name of an address there, to be answered past that port's rules.
// So its rules are asked as if the reply began a connection. If the address has really moved, its
// own next packet says so.
static bool reaches_asker(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct conn *conn, const struct port_view *out)
{
	const struct ends ends = {pass->in, out};
	struct rule_query query;
	uint32_t rules[2];
	if (!out || !out->groups || !is_reply(key, conn) ||
		conn_port(conn, !key->direction) == out->id)
		return true;
	policy_query(key, key->direction, &query);
	return policy_allows(pass, &ends, &query, p, rules);
}

static void go_on(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct port_view *out)
{
	struct conn *conn = conn_at(pass->tracker.table, p->conn);
	struct ends ends = ends_of(pass, key, conn, out);
	if (!reaches_asker(pass, p, key, conn, out) || !resolve(pass, p, key, conn, &ends))
		return;
	if (!(p->flags & PACKET_TRACKED)) {
		enum drop_reason reason = track_packet(&pass->tracker, p->conn, conn, key, p);
		if (reason != DROP_NONE) {
			refuse(pass, p, out, reason, pass->in->id);
			return;
		}
		p->flags |= PACKET_TRACKED;
		// Begun anew it may have another original direction.
		ends = ends_of(pass, key, conn, out);
		if (!conn_epoch(conn) && !resolve(pass, p, key, conn, &ends))
			return;
	}
	if (p->verdict == VERDICT_FORWARD)
		note_places(pass, p, conn, key->direction);
}

// --- connections that begin

// Lets it be found. Another worker may have made it in this moment, out of another packet: then
// that one is it.
static void publish(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct port_view *out, uint32_t index)
{
	struct conn_table *table = pass->tracker.table;
	struct conn *conn = conn_at(table, index);
	enum conn_state state = atomic_load_explicit(&conn->state, memory_order_relaxed);
	if (p->verdict == VERDICT_FORWARD)
		note_places(pass, p, conn, key->direction);
	p->conn = conn_publish(table, pass->worker, index,
		pass->now_s + pass->tracker.settings->timeouts_s[state]);
	if (!p->conn) {
		refuse(pass, p, out, DROP_CONNECTION_TABLE_FULL, pass->in->id);
		return;
	}
	p->flags |= PACKET_CONNECTION;
	if (p->conn == index)
		p->flags |= PACKET_TRACKED;
	else
		go_on(pass, p, key, out);
}

static void begin(
	struct pass *pass, struct packet *p, const struct conn_key *key, const struct ends *ends)
{
	struct conn_table *table = pass->tracker.table;
	const struct port_view *owner = owner_of(ends);
	struct rule_query query;
	uint32_t rules[2], index;
	policy_query(key, key->direction, &query);
	if (!policy_allows(pass, ends, &query, p, rules))
		return;
	int rc = conn_reserve(
		table, pass->worker, key, owner->id, owner->conn_limit, pass->now_s, &index);
	if (rc) {
		refuse(pass, p, ends->to,
			rc == -EDQUOT ? DROP_CONNECTION_LIMIT : DROP_CONNECTION_TABLE_FULL,
			owner->id);
		return;
	}
	struct conn *conn = conn_at(table, index);
	enum drop_reason reason = track_first(&pass->tracker, conn, key, p);
	if (reason != DROP_NONE) {
		conn_cancel(table, pass->worker, index);
		refuse(pass, p, ends->to, reason, pass->in->id);
		return;
	}
	// Only for what begins a connection: stray packets use up nobody's budget.
	if (owner->new_connections.cost &&
		!budget_take(&owner->port->new_connections, &owner->new_connections, pass->tsc)) {
		conn_cancel(table, pass->worker, index);
		refuse(pass, p, ends->to, DROP_CONNECTION_RATE, owner->id);
		return;
	}
	note_resolved(pass, conn, key->direction, ends, rules);
	publish(pass, p, key, ends->to, index);
}

// A packet before it in the burst may have begun it.
static void find_or_begin(
	struct pass *pass, struct packet *p, const struct conn_key *key, const struct ends *ends)
{
	p->conn = conn_find(pass->tracker.table, key);
	pass->lookups++;
	if (p->conn) {
		p->flags |= PACKET_CONNECTION;
		go_on(pass, p, key, ends->to);
	} else if (p->flags & PACKET_LATER_FRAGMENT) {
		packet_drop(p, DROP_CONNECTION_INVALID); // its first has begun none
	} else {
		begin(pass, p, key, ends);
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
		refuse(pass, p, out, DROP_CONNECTION_INVALID, pass->in->id);
		return;
	}
	p->flags |= PACKET_CONNECTION;
	struct conn *conn = conn_at(pass->tracker.table, p->conn);
	if (!resolve(pass, p, key, conn, &ends))
		return;
	if (out && conn_port(conn, !key->direction) != out->id)
		policy_drop(pass, p, DROP_GROUP_DENY, out->id);
}

static void decide(struct pass *pass, struct packet *p)
{
	const struct port_view *in = pass->in;
	bool known = p->verdict == VERDICT_FORWARD;
	const struct port_view *out = known ? pass->snapshot->views[p->out_port] : NULL;
	const struct ends ends = {in, out};
	const struct conn_key *key = &pass->keys[p->key];
	// Nobody's rules.
	if (known && !in->groups && !out->groups)
		return;
	if (p->flags & PACKET_ICMP_ERROR)
		decide_error(pass, p, key, out);
	else if (!(p->flags & PACKET_KEYED))
		policy_decide_alone(pass, p, &ends);
	else if (p->flags & PACKET_CONNECTION)
		go_on(pass, p, key, out);
	else
		find_or_begin(pass, p, key, &ends);
}

// What became of a first fragment becomes of the others, also of those behind it in the burst.
static void share_verdict(struct pass *pass, struct packet *p)
{
	uint32_t zone = pass->in->zone | p->vlan;
	if (p->flags & PACKET_LATER_FRAGMENT) {
		if (p->verdict == VERDICT_FORWARD || p->verdict == VERDICT_FLOOD)
			fragment_stays(pass, p, zone);
	} else if (p->verdict == VERDICT_DROP) {
		fragment_refuse(pass, p, zone);
	}
}

void stage_policy(struct pass *pass)
{
	if (likely(!pass->in->connects))
		return;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		const uint16_t fragment = PACKET_KEYED | PACKET_FRAGMENT;
		if (unlikely(p->flags & PACKET_UNDECIDED) &&
			(p->verdict == VERDICT_FORWARD || p->verdict == VERDICT_FLOOD))
			decide(pass, p);
		if (unlikely((p->flags & fragment) == fragment))
			share_verdict(pass, p);
	}
}

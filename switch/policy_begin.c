// SPDX-License-Identifier: BSD-3-Clause
// Connections that begin, those that begin anew in an entry that is there, and those that go on.
//
// Both kinds of beginnings are asked about and paid for before anything changes: the rules, then
// the owner's count, then its budget. A beginning anew that is denied leaves the old connection as
// it was, to end by itself.
#include "switch/policy_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/likely.h"
#include "switch/chain_way.h"

// Who pays for a connection: the port it begins at, if that has groups or is that of a network
// function which changes addresses, else the one it comes to. That pays apart from what it begins
// itself, which nobody outside may use up.
struct payer {
	const struct port_view *port;
	bool came;
};

static struct payer payer_of(const struct ends *ends)
{
	bool came = !ends->from->groups && !ends->from->is_host && ends->to && ends->to->groups;
	return (struct payer){came ? ends->to : ends->from, came};
}

// Only for what begins a connection: stray packets use up nobody's budget.
static bool has_budget(const struct pass *pass, const struct payer *payer)
{
	const struct port_view *view = payer->port;
	return !view->new_connections.cost || budget_take(&view->port->new_connections[payer->came],
						      &view->new_connections, pass->tsc);
}

// --- anew

// By a packet for which track_begins or track_next has said so.
static void begin_anew(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct port_view *out, enum drop_reason how)
{
	struct conn_table *table = pass->tracker.table;
	struct conn *conn = conn_at(table, p->conn);
	unsigned original = how == TRACK_ANEW_ANSWERED ? !key->direction : key->direction;
	struct ends ends = policy_ends_of(pass, key, original, out);
	struct answer answer;
	int generation;
	if (!policy_reaches_asker(pass, p, key, conn, original, out) ||
		!policy_ask(pass, p, key, conn, original, &ends, &answer))
		return;
	struct payer payer = payer_of(&ends);
	uint16_t owner = conn_owner(payer.port->id, payer.came);
	if (!conn_owner_take(table, conn, owner, payer.port->conn_limit)) {
		policy_refuse(pass, p, DROP_CONNECTION_LIMIT, payer.port->id);
		return;
	}
	if (!has_budget(pass, &payer)) {
		conn_owner_give(table, owner);
		policy_refuse(pass, p, DROP_CONNECTION_RATE, payer.port->id);
		return;
	}
	enum drop_reason reason = track_anew(
		&pass->tracker, p->conn, conn, key, p, owner, &generation);
	if (reason != DROP_NONE) {
		policy_refuse(pass, p, reason, pass->in->id);
		return;
	}
	p->flags |= PACKET_TRACKED;
	if (generation >= 0)
		policy_note_resolved(pass, conn, (uint8_t)generation, original, &ends, &answer);
	policy_go_on(pass, p, key, out);
}

// --- connections that are there

// False: it does not go on as a part of the connection, and all is said about it.
static bool advance(struct pass *pass, struct packet *p, const struct conn_key *key,
	struct conn *conn, const struct port_view *out)
{
	enum drop_reason reason = track_packet(&pass->tracker, p->conn, conn, key, p);
	if (reason == TRACK_ANEW || reason == TRACK_ANEW_ANSWERED)
		begin_anew(pass, p, key, out, reason);
	else if (reason != DROP_NONE)
		policy_refuse(pass, p, reason, pass->in->id);
	else
		p->flags |= PACKET_TRACKED;
	return reason == DROP_NONE;
}

// Whether what has begun meanwhile is of another chain than this packet of an NF tells.
static bool is_of_another(const struct pass *pass, const struct packet *p, const struct conn *conn)
{
	return unlikely(pass->in->marks) && conn_epoch(conn) == pass->snapshot->epoch &&
	       conn_chain(conn) != p->chain;
}

void policy_go_on(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct port_view *out)
{
	struct conn *conn = conn_at(pass->tracker.table, p->conn);
	if (is_of_another(pass, p, conn)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	out = policy_receiver(pass, key, conn, out);
	// First: it need not be allowed what the old connection was, nor the other way round.
	enum drop_reason how = p->flags & PACKET_TRACKED
				       ? DROP_NONE
				       : track_begins(&pass->tracker, conn, key, p);
	if (how != DROP_NONE) {
		begin_anew(pass, p, key, out, how);
		return;
	}
	unsigned original = conn_original_direction(conn);
	struct ends ends = policy_ends_of(pass, key, original, out);
	if (!policy_reaches_asker(pass, p, key, conn, original, out) ||
		!policy_resolve(pass, p, key, conn, &ends))
		return;
	if (!(p->flags & PACKET_TRACKED) && !advance(pass, p, key, conn, out))
		return;
	if (p->verdict == VERDICT_FORWARD)
		policy_note_places(pass, p, conn, key->direction);
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
		policy_note_places(pass, p, conn, key->direction);
	p->conn = conn_publish(table, pass->worker, index,
		pass->now_s + pass->tracker.settings->timeouts_s[state]);
	if (!p->conn) {
		policy_refuse(pass, p, DROP_CONNECTION_TABLE_FULL, pass->in->id);
		return;
	}
	p->flags |= PACKET_CONNECTION;
	if (p->conn == index)
		p->flags |= PACKET_TRACKED;
	else
		policy_go_on(pass, p, key, out);
}

static void begin(struct pass *pass, struct packet *p, const struct conn_key *key,
	unsigned original, const struct port_view *out, const struct ends *ends)
{
	struct conn_table *table = pass->tracker.table;
	struct payer payer = payer_of(ends);
	struct rule_query query;
	struct answer answer;
	uint32_t index;
	policy_query(key, original, &query);
	policy_ask_chain(pass, p, NULL, ends, &query, &answer);
	// To an NF that changes addresses goes what its chain takes, as to a load balancer. Nothing
	// else begins there: the NF could not tell for whom it is, and the entry would only keep
	// that from beginning it.
	if (ends->to && ends->to->is_host && !chain_begins_at(pass, ends->to, answer.chain)) {
		policy_drop(pass, p, DROP_CHAIN_STRAY, pass->in->id);
		return;
	}
	if (!policy_allows(pass, ends, &query, p, &answer) ||
		!policy_chain_allows(pass, ends, &query, p, &answer))
		return;
	int rc = conn_reserve(table, pass->worker, key, conn_owner(payer.port->id, payer.came),
		payer.port->conn_limit, pass->now_s, &index);
	if (rc) {
		policy_refuse(pass, p,
			rc == -EDQUOT ? DROP_CONNECTION_LIMIT : DROP_CONNECTION_TABLE_FULL,
			payer.port->id);
		return;
	}
	struct conn *conn = conn_at(table, index);
	struct tracker tracker = pass->tracker;
	tracker.liberal = policy_is_liberal(ends);
	enum drop_reason reason = track_first(&tracker, conn, key, original, p);
	if (reason != DROP_NONE) {
		conn_cancel(table, pass->worker, index);
		policy_refuse(pass, p, reason, pass->in->id);
		return;
	}
	if (!has_budget(pass, &payer)) {
		conn_cancel(table, pass->worker, index);
		policy_refuse(pass, p, DROP_CONNECTION_RATE, payer.port->id);
		return;
	}
	policy_note_resolved(pass, conn, conn_generation(conn), original, ends, &answer);
	publish(pass, p, key, out, index);
}

// Whether the packet answers what has begun unseen: it comes first since a chain has just come, or
// the entry has gone. That conversation is the chain's, and would get past it for good.
static bool is_answer(const struct pass *pass, const struct packet *p, const struct conn_key *key,
	const struct ends *ends)
{
	struct rule_query query;
	if (likely(!pass->in->is_chained) || pass->in->is_host || !ends->to ||
		!(p->flags & PACKET_L4))
		return false;
	policy_query(key, key->direction, &query);
	if (chain_match(pass, ends->from, ends->to, &query.tuple))
		return false;
	policy_query(key, !key->direction, &query);
	uint16_t chain = chain_match(pass, ends->to, ends->from, &query.tuple);
	if (!chain)
		return false;
	// Where nothing in it tells a beginning, as of UDP, the L4 port that the chain serves does.
	return p->l4_proto == IPPROTO_TCP ? !(p->data[p->l4_off + 13] & TH_SYN)
					  : pass->snapshot->chains[chain]->ndports;
}

// Whether it may be such an answer, of UDP, to an end that nobody knows yet. What began by it would
// be in no chain for good; so nothing does before that end shows itself.
static bool may_answer(const struct pass *pass, const struct packet *p, const struct conn_key *key,
	const struct ends *ends)
{
	struct rule_query query;
	if (likely(ends->to) || !pass->in->is_chained || pass->in->is_host ||
		p->l4_proto != IPPROTO_UDP)
		return false;
	policy_query(key, key->direction, &query);
	if (chain_match(pass, ends->from, NULL, &query.tuple))
		return false;
	policy_query(key, !key->direction, &query);
	return chain_may_come(pass, ends->from, &query.tuple);
}

void policy_begin(
	struct pass *pass, struct packet *p, const struct conn_key *key, const struct ends *ends)
{
	if (unlikely(may_answer(pass, p, key, ends))) {
		policy_decide_alone(pass, p, ends);
		return;
	}
	bool answers = is_answer(pass, p, key, ends);
	const struct ends its = answers ? (struct ends){ends->to, ends->from} : *ends;
	begin(pass, p, key, answers ? !key->direction : key->direction, ends->to, &its);
}

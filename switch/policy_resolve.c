// SPDX-License-Identifier: BSD-3-Clause
// What a connection remembers of the policy: the ports at its ends, the rules that let it pass, and
// where both addresses are. Whether that still holds, and what replaces it.
#include "switch/chain_way.h"
#include "switch/policy_private.h"

void policy_note_places(
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

void policy_note_resolved(const struct pass *pass, struct conn *conn, uint8_t generation,
	unsigned original, const struct ends *ends, const struct answer *answer)
{
	struct conn_resolved resolved = {
		.epoch = pass->snapshot->epoch,
		.rules = {answer->rules[0], answer->rules[1]},
		.chain = answer->chain,
		.liberal = policy_is_liberal(ends),
	};
	resolved.ports[original] = ends->from->id;
	resolved.ports[!original] = ends->to ? ends->to->id : 0;
	bool was_in_it = conn_epoch(conn) && conn_chain(conn) == answer->chain;
	if (pass->snapshot->macs && !was_in_it)
		chain_macs_forget(&pass->snapshot->macs[conn - conn_at(pass->tracker.table, 0)]);
	conn_resolve(pass->tracker.table, conn, generation, &resolved);
	if (!answer->chain)
		return;
	const struct chain_view *chain = pass->snapshot->chains[answer->chain];
	chain_choose(pass, chain, conn);
	if (!was_in_it)
		chain_count_begun(chain, pass->worker);
}

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

bool policy_ask(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct conn *conn, unsigned original, struct ends *ends, struct answer *answer)
{
	struct rule_query query;
	complete_ends(pass, conn, original, ends);
	// Where it began there is no port any more.
	if (!ends->from) {
		policy_refuse(pass, p, DROP_GROUP_DENY, pass->in->id);
		return false;
	}
	policy_query(key, original, &query);
	policy_ask_chain(pass, p, conn, ends, &query, answer);
	// Resolved as if it were in none, it would get past the later hops. The NF's own next
	// packet says in which one it is now.
	if (ends->from->is_host && !answer->chain) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return false;
	}
	return policy_allows(pass, ends, &query, p, answer) &&
	       policy_chain_allows(pass, ends, &query, p, answer);
}

bool policy_resolve(struct pass *pass, struct packet *p, const struct conn_key *key,
	struct conn *conn, struct ends *ends)
{
	uint8_t generation = conn_generation(conn);
	unsigned original = conn_original_direction(conn);
	struct answer answer;
	if (is_resolved(pass, conn, original, ends)) {
		p->flags |= conn_is_chained(conn) ? PACKET_CHAINED : 0;
		return true;
	}
	if (!policy_ask(pass, p, key, conn, original, ends, &answer))
		return false;
	policy_note_resolved(pass, conn, generation, original, ends, &answer);
	return true;
}

bool policy_still_allows(
	struct pass *pass, struct packet *p, const struct conn_key *key, struct conn *conn)
{
	struct ends ends = {NULL, NULL};
	return policy_resolve(pass, p, key, conn, &ends);
}

const struct port_view *policy_receiver(const struct pass *pass, const struct conn_key *key,
	const struct conn *conn, const struct port_view *out)
{
	const struct port_view *host = chain_host_of(pass, conn);
	return host && key->direction != conn_original_direction(conn) ? host : out;
}

struct ends policy_ends_of(const struct pass *pass, const struct conn_key *key, unsigned original,
	const struct port_view *out)
{
	if (key->direction != original)
		return (struct ends){out, pass->in};
	return (struct ends){pass->in, out};
}

// A reply goes to the port where the connection began. At another one nobody has asked for it:
// anyone can send a packet in the name of an address there, to be answered past that port's rules.
// So its rules are asked as if the reply began a connection. If the address has really moved, its
// own next packet says so.
bool policy_reaches_asker(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct conn *conn, unsigned original, const struct port_view *out)
{
	const struct ends ends = {pass->in, out};
	struct rule_query query;
	struct answer answer;
	if (!out || !out->groups || key->direction == original ||
		conn_port(conn, !key->direction) == out->id)
		return true;
	policy_query(key, key->direction, &query);
	return policy_allows(pass, &ends, &query, p, &answer);
}

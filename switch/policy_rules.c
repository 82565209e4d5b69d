// SPDX-License-Identifier: BSD-3-Clause
// Asks the rules of a packet's or a connection's ends, and decides what has no connection (ARP,
// neighbour discovery, groups' traffic) packet by packet.
#include "switch/policy_private.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "conntrack/wire.h"
#include "switch/chain_way.h"

void policy_drop(const struct pass *pass, struct packet *p, enum drop_reason reason, uint16_t port)
{
	packet_drop(p, reason);
	if (port == pass->in->id)
		return;
	p->out_port = port;
	p->flags |= PACKET_TO_RECEIVER;
}

void policy_refuse(
	const struct pass *pass, struct packet *p, enum drop_reason reason, uint16_t port)
{
	if (p->verdict != VERDICT_FLOOD || pass->in->groups || p->flags & PACKET_CHAINED) {
		policy_drop(pass, p, reason, port);
		return;
	}
	p->drop = (uint8_t)reason;
	p->out_port = port;
}

void policy_query(const struct conn_key *key, unsigned direction, struct rule_query *query)
{
	struct conn_tuple *tuple = &query->tuple;
	*query = (struct rule_query){0};
	conn_key_tuple(key, direction, tuple);
	// Of ICMP queries the key has the request's type where others have the L4 port asked for.
	if (tuple->protocol == IPPROTO_ICMP || tuple->protocol == IPPROTO_ICMPV6) {
		query->icmp_type = (uint8_t)ntohs(tuple->dport);
		if (tuple->reply)
			query->icmp_type = icmp_reply_to(
				tuple->family == CONN_IPV6, (uint8_t)ntohs(tuple->sport));
		tuple->sport = tuple->dport = 0;
	}
}

const struct group_list *policy_groups_of(const struct pass *pass, const struct port_view *view,
	const struct conn_tuple *tuple, const uint8_t *address, struct group_list *found)
{
	if (view && view->groups)
		return view->groups;
	zones_find(pass->snapshot->zones, tuple->zone, tuple->family, address, found);
	return found;
}

// Whether these groups allow it, to or from whom they stand for.
static bool groups_allow(const struct pass *pass, enum rule_direction direction,
	const struct group_list *own, const struct ends *ends, const struct rule_query *query,
	uint32_t *rule)
{
	const struct conn_tuple *t = &query->tuple;
	bool inward = direction == RULE_TO_VM;
	struct group_list found;
	const struct group_list *peer = policy_groups_of(pass, inward ? ends->from : ends->to, t,
		inward ? t->source : t->destination, &found);
	bool allowed = rules_allow(pass->snapshot->rules, direction, own, peer, query, rule);
	if (*rule)
		rules_hit(pass->snapshot->rules, pass->worker, *rule);
	return allowed;
}

// Whether one end's rules allow it.
static bool end_allows(const struct pass *pass, enum rule_direction direction,
	const struct ends *ends, const struct rule_query *query, uint32_t *rule)
{
	const struct port_view *own = direction == RULE_TO_VM ? ends->to : ends->from;
	*rule = 0;
	return !own || !own->groups ||
	       groups_allow(pass, direction, own->groups, ends, query, rule);
}

// Whether the groups that stand in the chain do.
static bool chain_allows(const struct pass *pass, const struct chain_view *chain,
	const struct ends *ends, const struct rule_query *query)
{
	uint32_t rule;
	for (unsigned i = 0; i < chain->ninside; i++) {
		const struct group_list *own = &chain->inside[i].groups;
		if (!groups_allow(pass, RULE_TO_VM, own, ends, query, &rule) ||
			!groups_allow(pass, RULE_FROM_VM, own, ends, query, &rule))
			return false;
	}
	return true;
}

// What begins behind an NF is in the chain that the NF says, and stays there. Packets that others
// send do not say it: where the port alone does not, either, it is the one that was said before.
static uint16_t chain_behind(const struct pass *pass, const struct packet *p,
	const struct conn *conn, const struct port_view *from)
{
	uint16_t chain = from == pass->in ? p->chain
			 : from->behind   ? from->behind
					  : conn_chain(conn);
	return from->is_host && chain_begins_at(pass, from, chain) ? chain : 0;
}

void policy_ask_chain(const struct pass *pass, struct packet *p, const struct conn *conn,
	const struct ends *ends, const struct rule_query *query, struct answer *answer)
{
	answer->chain = ends->from->places ? chain_behind(pass, p, conn, ends->from)
					   : chain_match(pass, ends->from, ends->to, &query->tuple);
	p->flags &= (uint16_t)~PACKET_CHAINED;
	p->flags |= answer->chain ? PACKET_CHAINED : 0;
}

bool policy_chain_allows(const struct pass *pass, const struct ends *ends,
	const struct rule_query *query, struct packet *p, const struct answer *answer)
{
	// Behind an NF they have been asked with the addresses that it has changed.
	if (!answer->chain || ends->from->is_host ||
		chain_allows(pass, pass->snapshot->chains[answer->chain], ends, query))
		return true;
	policy_refuse(pass, p, DROP_GROUP_DENY, ends->from->id);
	return false;
}

bool policy_allows(const struct pass *pass, const struct ends *ends, const struct rule_query *query,
	struct packet *p, struct answer *answer)
{
	if (!end_allows(pass, RULE_FROM_VM, ends, query, &answer->rules[0])) {
		policy_refuse(pass, p, DROP_GROUP_DENY, ends->from->id);
		return false;
	}
	if (!end_allows(pass, RULE_TO_VM, ends, query, &answer->rules[1])) {
		policy_refuse(pass, p, DROP_GROUP_DENY, ends->to->id);
		return false;
	}
	return true;
}

// --- packets without a connection

static bool has_ports(const struct packet *p)
{
	return p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP ||
	       p->l4_proto == IPPROTO_SCTP;
}

static void query_of_packet(
	const struct pass *pass, const struct packet *p, struct rule_query *query)
{
	// A later fragment has its first one's L4 ports by its key alone.
	if (p->flags & PACKET_KEYED && p->flags & PACKET_FRAGMENT) {
		policy_query(&pass->keys[p->key], pass->keys[p->key].direction, query);
		return;
	}
	const uint8_t *l3 = p->data + p->l3_off;
	bool v4 = p->flags & PACKET_IPV4;
	bool ports = has_ports(p);
	*query = (struct rule_query){
		.tuple = {.zone = pass->in->zone | p->vlan,
			.protocol = p->l4_proto,
			.family = v4 ? CONN_IPV4 : CONN_IPV6},
		.fragment = (p->flags & (PACKET_FRAGMENT | PACKET_L4)) == PACKET_FRAGMENT,
	};
	memcpy(query->tuple.source, l3 + (v4 ? 12 : 8), v4 ? 4 : 16);
	memcpy(query->tuple.destination, l3 + (v4 ? 16 : 24), v4 ? 4 : 16);
	if (ports && p->flags & PACKET_L4) {
		memcpy(&query->tuple.sport, p->data + p->l4_off, 2);
		memcpy(&query->tuple.dport, p->data + p->l4_off + 2, 2);
	}
	if (!ports && p->flags & PACKET_L4) {
		query->icmp_type = p->data[p->l4_off];
		query->icmp_code = p->data[p->l4_off + 1];
	}
}

static bool is_ip(const struct packet *p)
{
	return p->flags & (PACKET_IPV4 | PACKET_IPV6);
}

// Of other protocols than IP a rule can allow ARP only.
static bool allows_other(const struct pass *pass, const struct packet *p)
{
	bool allowed = p->ether_type == ETH_P_ARP && pass->snapshot->built_in >> BUILT_IN_ARP & 1;
	if (allowed)
		rules_hit(pass->snapshot->rules, pass->worker,
			rules_built_in_id(BUILT_IN_ARP, RULE_TO_VM));
	return allowed;
}

// A packet whose L4 header cannot be told has no place in any connection.
static bool is_broken(const struct packet *p)
{
	uint8_t icmp = p->flags & PACKET_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	return (has_ports(p) || p->l4_proto == icmp) && !(p->flags & (PACKET_L4 | PACKET_FRAGMENT));
}

// IPv6 whose extension headers could not be followed to their end: more than are parsed, or beyond
// the stash. No rule can tell what is behind them.
static bool is_unreadable(const struct packet *p)
{
	if (!(p->flags & PACKET_IPV6) || p->flags & PACKET_FRAGMENT)
		return false;
	switch (p->l4_proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
		return true;
	default:
		return false;
	}
}

bool policy_evades_chain(const struct pass *pass, const struct packet *p, const struct ends *ends)
{
	struct rule_query query;
	if (!is_ip(p) || !(is_broken(p) || is_unreadable(p) || p->flags & PACKET_ICMP_ERROR))
		return false;
	query_of_packet(pass, p, &query);
	return chain_may_match(pass, ends->from, ends->to, &query.tuple, false);
}

static bool is_to_one_address(const struct packet *p)
{
	const uint8_t *l3 = p->data + p->l3_off;
	if (p->flags & PACKET_IPV6)
		return l3[24] != 0xff;
	return p->flags & PACKET_IPV4 && l3[16] < 224; // 224/4 groups; 240/4 with the broadcast
}

bool policy_bypasses_chain(const struct pass *pass, const struct packet *p)
{
	struct rule_query query;
	if (!is_to_one_address(p))
		return false;
	query_of_packet(pass, p, &query);
	return chain_may_match(pass, pass->in, NULL, &query.tuple, p->flags & PACKET_L4);
}

void policy_decide_alone(const struct pass *pass, struct packet *p, const struct ends *ends)
{
	struct rule_query query;
	struct answer answer;
	if (!is_ip(p)) {
		if (ends->to && ends->to->groups && !allows_other(pass, p))
			policy_drop(pass, p, DROP_GROUP_DENY, ends->to->id);
		return;
	}
	if (is_broken(p)) {
		policy_refuse(pass, p, DROP_CONNECTION_INVALID, pass->in->id);
		return;
	}
	if (is_unreadable(p)) {
		policy_refuse(pass, p, DROP_HEADERS_TOO_LONG, pass->in->id);
		return;
	}
	query_of_packet(pass, p, &query);
	policy_allows(pass, ends, &query, p, &answer);
}

// Where it was sent, though it may have come by a network function.
static const struct port_view *sender_of(const struct pass *pass, const struct packet *p)
{
	if (!pass->in->places || !(p->flags & PACKET_CONNECTION))
		return pass->in;
	const struct conn *conn = conn_at(pass->tracker.table, p->conn);
	return pass->snapshot->views[conn_port(conn, pass->keys[p->key].direction)];
}

bool policy_admits_flooded(struct pass *pass, const struct port_view *out, const struct packet *p)
{
	struct rule_query query;
	uint32_t rule;
	if (p->drop != DROP_NONE)
		return false;
	if (!is_ip(p))
		return allows_other(pass, p);
	if (p->flags & PACKET_CONNECTION) {
		const struct conn *conn = conn_at(pass->tracker.table, p->conn);
		const struct conn_key *key = &pass->keys[p->key];
		if (conn_port(conn, !key->direction) == out->id)
			return true;
	}
	// It has one receiver.
	if (p->flags & PACKET_ICMP_ERROR)
		return false;
	query_of_packet(pass, p, &query);
	const struct ends ends = {sender_of(pass, p), out};
	return end_allows(pass, RULE_TO_VM, &ends, &query, &rule);
}

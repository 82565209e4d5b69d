// SPDX-License-Identifier: BSD-3-Clause
// What workers ask of the compiled groups: built-in rules first, then the port's groups in order.
#include "switch/rules_private.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>

enum {
	DHCP_SERVER = 67,
	DHCP_CLIENT = 68,
	DHCPV6_CLIENT = 546,
	DHCPV6_SERVER = 547,
	MLDV2_REPORT = 143 // RFC 3810
};

static bool is_between(const struct conn_tuple *tuple, uint16_t sport, uint16_t dport)
{
	return tuple->sport == htons(sport) && tuple->dport == htons(dport);
}

// A client's side only: a VM that serves others needs rules for that.
static int built_in_udp(enum rule_direction direction, const struct conn_tuple *tuple)
{
	bool inward = direction == RULE_TO_VM;
	if (tuple->family == CONN_IPV4)
		return is_between(tuple, inward ? DHCP_SERVER : DHCP_CLIENT,
			       inward ? DHCP_CLIENT : DHCP_SERVER)
			       ? BUILT_IN_DHCP
			       : -1;
	return is_between(tuple, inward ? DHCPV6_SERVER : DHCPV6_CLIENT,
		       inward ? DHCPV6_CLIENT : DHCPV6_SERVER)
		       ? BUILT_IN_DHCPV6
		       : -1;
}

// Multicast membership goes with neighbour discovery: where switches listen to MLD, no solicitation
// reaches a host whose reports, or the queries for them, are dropped (RFC 4890, 4.4.1).
static int built_in_icmpv6(enum rule_direction direction, uint8_t type)
{
	switch (type) {
	case ND_ROUTER_SOLICIT:
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
	case MLD_LISTENER_QUERY:
	case MLD_LISTENER_REPORT:
	case MLD_LISTENER_REDUCTION:
	case MLDV2_REPORT:
		return BUILT_IN_ND;
	case ND_ROUTER_ADVERT:
	case ND_REDIRECT:
		return direction == RULE_TO_VM ? BUILT_IN_RA : -1;
	default:
		return -1;
	}
}

// The built-in rule for it, whether or not it is on; -1: none.
static int built_in_of(enum rule_direction direction, const struct rule_query *query)
{
	const struct conn_tuple *tuple = &query->tuple;
	if (query->fragment)
		return -1;
	if (tuple->protocol == IPPROTO_UDP)
		return built_in_udp(direction, tuple);
	if (tuple->protocol == IPPROTO_ICMPV6 && tuple->family == CONN_IPV6)
		return built_in_icmpv6(direction, query->icmp_type);
	return -1;
}

bool rules_allow(const struct rules *rules, enum rule_direction direction,
	const struct group_list *own, const struct group_list *peer, const struct rule_query *query,
	uint32_t *rule)
{
	int built_in = built_in_of(direction, query);
	if (built_in >= 0 && rules->built_in >> built_in & 1) {
		*rule = rules_built_in_id((enum config_built_in)built_in, direction);
		return true;
	}
	for (uint16_t i = 0; i < own->count; i++) {
		uint32_t found = rules_ask(rules, own->of[i], direction, peer, query);
		if (!found)
			continue;
		*rule = rules->rules[found - 1].id;
		return rules->rules[found - 1].allow;
	}
	*rule = 0;
	return direction == RULE_FROM_VM;
}

void rules_hit(const struct rules *rules, uint16_t worker, uint32_t rule)
{
	_Atomic uint64_t *count = rule_hits_at(rules->hits, worker, rule);
	atomic_store_explicit(
		count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

// SPDX-License-Identifier: BSD-3-Clause
// Asks rte_acl for the first rule of a group that matches (see switch/rules_acl.c).
#include "switch/rules_private.h"

#include <netinet/in.h>
#include <rte_acl.h>
#include <string.h>

static void make_key(struct acl_key *key, uint16_t group, enum rule_direction direction,
	const struct rule_query *query)
{
	const struct conn_tuple *tuple = &query->tuple;
	memset(key, 0, sizeof(*key));
	key->own_low = (uint8_t)group;
	key->own_high = (uint8_t)(group >> 8 | (query->fragment ? 0 : OWN_HAS_L4));
	key->protocol = tuple->protocol;
	if (tuple->protocol == IPPROTO_ICMP || tuple->protocol == IPPROTO_ICMPV6) {
		key->ports[0] = htons(query->icmp_type);
		key->ports[1] = htons(query->icmp_code);
	} else {
		key->ports[0] = tuple->sport;
		key->ports[1] = tuple->dport;
	}
	memcpy(key->address, direction == RULE_TO_VM ? tuple->source : tuple->destination,
		sizeof(key->address));
}

static uint32_t better(uint32_t a, uint32_t b)
{
	return b && (!a || b < a) ? b : a;
}

// By anyone's rules and by those for each group of the peer.
static uint32_t ask_peers(const struct rte_acl_ctx *acl, const struct acl_key *key, uint8_t flags,
	const struct group_list *peer)
{
	struct acl_key keys[1 + PORT_GROUPS_MAX];
	const uint8_t *data[1 + PORT_GROUPS_MAX];
	uint32_t results[1 + PORT_GROUPS_MAX] = {0}, first = 0, n = 0;
	if (flags & GROUP_HAS_ANY)
		keys[n++] = *key;
	for (uint16_t i = 0; i < peer->count && flags & GROUP_HAS_PEERS; i++) {
		keys[n] = *key;
		keys[n++].peer = htons(1 + peer->of[i]);
	}
	if (!n)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		data[i] = (const uint8_t *)&keys[i];
	rte_acl_classify(acl, data, results, n, 1);
	for (uint32_t i = 0; i < n; i++)
		first = better(first, results[i]);
	return first;
}

uint32_t rules_ask(const struct rules *rules, uint16_t group, enum rule_direction direction,
	const struct group_list *peer, const struct rule_query *query)
{
	const struct rules_acl *acl = &rules->acl[direction];
	uint8_t flags = rules->of[group][direction].flags;
	bool v4 = query->tuple.family == CONN_IPV4;
	struct acl_key key;
	uint32_t first = 0, by_address = 0;
	make_key(&key, group, direction, query);
	if (flags & (GROUP_HAS_ANY | GROUP_HAS_PEERS))
		first = ask_peers(acl->of[ACL_PEERS], &key, flags, peer);
	if (flags & (v4 ? GROUP_HAS_IPV4 : GROUP_HAS_IPV6)) {
		const uint8_t *data = (const uint8_t *)&key;
		rte_acl_classify(acl->of[v4 ? ACL_IPV4 : ACL_IPV6], &data, &by_address, 1, 1);
	}
	return better(first, by_address);
}

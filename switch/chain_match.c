// SPDX-License-Identifier: BSD-3-Clause
// Which chain takes a connection: the first that matches.
#include "switch/chain_way.h"
#include "switch/policy_private.h"

#include <netinet/in.h>
#include <string.h>

static bool is_inside(
	const struct config_prefix *network, enum conn_family family, const uint8_t *address)
{
	unsigned whole = network->length / 8, rest = network->length % 8;
	if ((network->family == AF_INET6) != (family == CONN_IPV6) ||
		memcmp(network->address, address, whole))
		return false;
	return !rest || !((network->address[whole] ^ address[whole]) >> (8 - rest));
}

static bool is_in_group(const struct pass *pass, const struct port_view *view,
	const struct conn_tuple *tuple, const uint8_t *address, uint16_t group)
{
	struct group_list found;
	const struct group_list *groups = policy_groups_of(pass, view, tuple, address, &found);
	for (uint16_t i = 0; i < groups->count; i++)
		if (groups->of[i] == group)
			return true;
	return false;
}

// `unknown`: what a port's end is if nobody knows which one is there.
static bool matches_end(const struct pass *pass, const struct chain_end *end,
	const struct port_view *view, const struct conn_tuple *tuple, const uint8_t *address,
	bool unknown)
{
	switch (end->kind) {
	case CHAIN_END_ANY:
		return true;
	case CHAIN_END_PORT:
		return view ? view->id == end->number : unknown;
	case CHAIN_END_GROUP:
		return is_in_group(pass, view, tuple, address, end->number);
	case CHAIN_END_CIDR:
		return is_inside(&end->cidr, tuple->family, address);
	}
	return false;
}

static bool matches_dport(const struct chain_view *chain, const struct conn_tuple *tuple)
{
	uint16_t dport = ntohs(tuple->dport);
	for (uint16_t i = 0; i < chain->ndports; i++)
		if (dport >= chain->dports[i].first && dport <= chain->dports[i].last)
			return true;
	return !chain->ndports;
}

static bool matches_protocol(const struct chain_view *chain, const struct conn_tuple *tuple)
{
	return (chain->protocol == RULE_ANY_PROTOCOL || chain->protocol == tuple->protocol) &&
	       matches_dport(chain, tuple);
}

static bool matches_ends(const struct pass *pass, const struct chain_view *chain,
	const struct port_view *from, const struct port_view *to, const struct conn_tuple *tuple,
	bool unknown)
{
	return matches_end(pass, &chain->from, from, tuple, tuple->source, unknown) &&
	       matches_end(pass, &chain->to, to, tuple, tuple->destination, unknown);
}

uint16_t chain_match(const struct pass *pass, const struct port_view *from,
	const struct port_view *to, const struct conn_tuple *tuple)
{
	for (uint16_t i = 0; i < from->nchains; i++) {
		const struct chain_view *chain = pass->snapshot->chains[from->chains[i]];
		if (matches_protocol(chain, tuple) &&
			matches_ends(pass, chain, from, to, tuple, false))
			return chain->number;
	}
	return 0;
}

bool chain_may_match(const struct pass *pass, const struct port_view *from,
	const struct port_view *to, const struct conn_tuple *tuple, bool readable)
{
	for (uint16_t i = 0; i < from->nchains; i++) {
		const struct chain_view *chain = pass->snapshot->chains[from->chains[i]];
		if ((!readable || matches_protocol(chain, tuple)) &&
			matches_ends(pass, chain, from, to, tuple, true))
			return true;
	}
	return false;
}

bool chain_may_come(
	const struct pass *pass, const struct port_view *to, const struct conn_tuple *tuple)
{
	// No list of a port's has those that could come to it; behind the last one is an empty one.
	for (const struct chain_view *chain = pass->snapshot->all_chains; chain->chain; chain++)
		if (chain->ndports && (!chain->bridge || chain->bridge == to->bridge) &&
			matches_protocol(chain, tuple) &&
			matches_ends(pass, chain, NULL, to, tuple, true))
			return true;
	return false;
}

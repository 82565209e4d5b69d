// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_rules.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t rules_seed(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = (uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec;
	printf("seed %#lx\n", seed);
	return seed;
}

uint64_t rules_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

uint32_t rules_below(uint64_t *seed, uint32_t bound)
{
	return (uint32_t)((rules_random(seed) >> 11) % bound);
}

static uint16_t some_port(uint64_t *seed)
{
	static const uint16_t ports[] = {0, 1, 53, 80, 255, 256, 257, 443, 511, 512, 1000, 1023,
		1024, 2000, 32767, 32768, 65279, 65280, 65534, 65535};
	return ports[rules_below(seed, sizeof(ports) / sizeof(*ports))];
}

static uint8_t some_protocol(uint64_t *seed)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6,
		IPPROTO_SCTP, IPPROTO_GRE, 0, 255};
	return protocols[rules_below(seed, sizeof(protocols))];
}

static void some_address(uint8_t *bytes, uint64_t *seed, bool v6)
{
	memset(bytes, 0, 16);
	bytes[0] = v6 ? 0xfd : 10;
	for (unsigned i = 1; i < (v6 ? 16 : 4); i++)
		bytes[i] = rules_below(seed, 4) ? 0 : (uint8_t)(rules_below(seed, 2) * 0x81);
}

static void some_network(struct config_prefix *prefix, uint64_t *seed)
{
	bool v6 = rules_below(seed, 2);
	unsigned bits = v6 ? 128 : 32;
	prefix->family = v6 ? AF_INET6 : AF_INET;
	some_address(prefix->address, seed, v6);
	prefix->length = (uint8_t)(rules_below(seed, 3) ? rules_below(seed, bits + 1) : bits);
	for (unsigned i = prefix->length; i < bits; i++)
		prefix->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static uint16_t some_ranges(struct config_range *ranges, uint64_t *seed)
{
	uint16_t count = (uint16_t)(rules_below(seed, 2) * rules_below(seed, 4));
	for (uint16_t i = 0; i < count; i++) {
		uint16_t a = some_port(seed), b = rules_below(seed, 2) ? a : some_port(seed);
		ranges[i] = (struct config_range){a < b ? a : b, a < b ? b : a};
	}
	return count;
}

void rules_make(struct config_rule *rule, uint64_t *seed, size_t ngroups)
{
	memset(rule, 0, sizeof(*rule));
	rule->allow = (uint8_t)rules_below(seed, 2);
	rule->protocol = rules_below(seed, 5) ? some_protocol(seed) : RULE_ANY_PROTOCOL;
	rule->peer_kind = (uint8_t)rules_below(seed, 3);
	rule->icmp_type = rule->icmp_code = -1;
	if (rule->protocol == IPPROTO_ICMP || rule->protocol == IPPROTO_ICMPV6) {
		rule->icmp_type = (int16_t)(rules_below(seed, 4) - 1);
		if (rule->icmp_type >= 0)
			rule->icmp_code = (int16_t)(rules_below(seed, 3) - 1);
	}
	if (rule->protocol == IPPROTO_TCP || rule->protocol == IPPROTO_UDP ||
		rule->protocol == IPPROTO_SCTP) {
		rule->nsports = some_ranges(rule->sports, seed);
		rule->ndports = some_ranges(rule->dports, seed);
	}
	if (rule->peer_kind == PEER_NETWORK)
		some_network(&rule->network, seed);
	if (rule->peer_kind == PEER_GROUP)
		snprintf(rule->group, sizeof(rule->group), "g%u",
			rules_below(seed, (uint32_t)ngroups));
}

static struct config_rule *some_rules(uint64_t *seed, size_t ngroups, size_t most, size_t *count)
{
	*count = rules_below(seed, (uint32_t)most + 1);
	struct config_rule *rules = calloc(*count + 1, sizeof(*rules));
	for (size_t i = 0; i < *count; i++)
		rules_make(&rules[i], seed, ngroups);
	return rules;
}

struct config *rules_config(uint64_t *seed, size_t ngroups, size_t most)
{
	struct config *config = calloc(1, sizeof(*config));
	config->groups = calloc(ngroups + 1, sizeof(*config->groups));
	config->ngroups = ngroups;
	for (size_t i = 0; i < ngroups; i++) {
		struct config_group *group = &config->groups[i];
		snprintf(group->name, sizeof(group->name), "g%zu", i);
		group->to_vm = some_rules(seed, ngroups, most, &group->nto_vm);
		group->from_vm = some_rules(seed, ngroups, most, &group->nfrom_vm);
	}
	return config;
}

void rules_make_query(struct rule_query *query, uint64_t *seed)
{
	bool v6 = rules_below(seed, 2);
	struct conn_tuple *tuple = &query->tuple;
	memset(query, 0, sizeof(*query));
	tuple->family = v6 ? CONN_IPV6 : CONN_IPV4;
	tuple->protocol = some_protocol(seed);
	some_address(tuple->source, seed, v6);
	some_address(tuple->destination, seed, v6);
	tuple->sport = htons(some_port(seed));
	tuple->dport = htons(some_port(seed));
	query->icmp_type = (uint8_t)rules_below(seed, 4);
	query->icmp_code = (uint8_t)rules_below(seed, 3);
	query->fragment = !rules_below(seed, 10);
}

void rules_make_list(struct group_list *list, uint64_t *seed, size_t ngroups, uint16_t most)
{
	uint16_t wanted = (uint16_t)rules_below(seed, most + 1u);
	list->count = 0;
	for (uint16_t i = 0; i < wanted; i++) {
		uint16_t group = (uint16_t)rules_below(seed, (uint32_t)ngroups);
		bool has = false;
		for (uint16_t k = 0; k < list->count; k++)
			has |= list->of[k] == group;
		if (!has)
			list->of[list->count++] = group;
	}
}

// --- the walk

static bool in_ranges(const struct config_range *ranges, uint16_t count, uint16_t port)
{
	for (uint16_t i = 0; i < count; i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return true;
	return !count;
}

static bool in_network(
	const struct config_prefix *network, const struct conn_tuple *tuple, const uint8_t *address)
{
	if ((network->family == AF_INET) != (tuple->family == CONN_IPV4))
		return false;
	for (unsigned bit = 0; bit < network->length; bit++)
		if ((network->address[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool peer_matches(const struct config *config, const struct config_rule *rule,
	const struct group_list *peer, const struct conn_tuple *tuple, const uint8_t *address)
{
	if (rule->peer_kind == PEER_NETWORK)
		return in_network(&rule->network, tuple, address);
	for (uint16_t i = 0; i < peer->count && rule->peer_kind == PEER_GROUP; i++)
		if (!strcmp(config->groups[peer->of[i]].name, rule->group))
			return true;
	return rule->peer_kind == PEER_ANY;
}

static bool matches(const struct config_rule *rule, const struct rule_query *query)
{
	const struct conn_tuple *tuple = &query->tuple;
	if (rule->protocol != RULE_ANY_PROTOCOL && rule->protocol != tuple->protocol)
		return false;
	if (query->fragment && (rule->nsports || rule->ndports || rule->icmp_type >= 0))
		return false;
	if (!in_ranges(rule->sports, rule->nsports, ntohs(tuple->sport)) ||
		!in_ranges(rule->dports, rule->ndports, ntohs(tuple->dport)))
		return false;
	return (rule->icmp_type < 0 || rule->icmp_type == query->icmp_type) &&
	       (rule->icmp_code < 0 || rule->icmp_code == query->icmp_code);
}

struct rules_answer rules_walk(const struct config *config, enum rule_direction direction,
	const struct group_list *own, const struct group_list *peer, const struct rule_query *query)
{
	bool inward = direction == RULE_TO_VM;
	const uint8_t *address = inward ? query->tuple.source : query->tuple.destination;
	for (uint16_t i = 0; i < own->count; i++) {
		const struct config_group *group = &config->groups[own->of[i]];
		const struct config_rule *rules = inward ? group->to_vm : group->from_vm;
		size_t count = inward ? group->nto_vm : group->nfrom_vm;
		for (size_t k = 0; k < count; k++)
			if (matches(&rules[k], query) &&
				peer_matches(config, &rules[k], peer, &query->tuple, address))
				return (struct rules_answer){
					rules[k].allow, own->of[i], (uint32_t)k + 1};
	}
	return (struct rules_answer){.allowed = !inward};
}

struct rules *rules_of(const struct config *config, const struct rules *before)
{
	struct error err = {0};
	struct rules *rules = NULL;
	cr_assert(!rules_compile(&rules, config, 2, before, &err), "%s", err.text);
	return rules;
}

void rules_ask_both(const struct rules *rules, const struct config *config, uint64_t *seed)
{
	uint64_t began = *seed;
	struct rule_query query;
	struct group_list own, peer;
	enum rule_direction direction = (enum rule_direction)rules_below(seed, 2);
	rules_make_query(&query, seed);
	rules_make_list(&own, seed, config->ngroups, 4);
	rules_make_list(&peer, seed, config->ngroups, 4);
	struct rules_answer answer = rules_walk(config, direction, &own, &peer, &query);
	uint32_t id = UINT32_MAX, expected = 0;
	bool allowed = rules_allow(rules, direction, &own, &peer, &query, &id);
	if (answer.position)
		expected = rules_id_of(
			rules, config->groups[answer.group].name, direction, answer.position);
	cr_assert_eq(allowed, answer.allowed, "seed %#lx", began);
	cr_assert_eq(id, expected, "seed %#lx: rule %u instead of %u", began, id, expected);
}

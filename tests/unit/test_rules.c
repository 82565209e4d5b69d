// SPDX-License-Identifier: BSD-3-Clause
// Compiled security groups beside a plain walk over their rules. rte_acl needs the EAL, so each
// test starts one.
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/schema.h"
#include "tests/unit/kit_eal.h"
#include "tests/unit/kit_rules.h"
#include "tests/unit/kit_schema.h"

TestSuite(rules, .init = kit_eal_start, .fini = kit_eal_stop);

static void compare(uint64_t seed, size_t ngroups, size_t most, unsigned questions)
{
	struct config *config = rules_config(&seed, ngroups, most);
	struct rules *rules = rules_of(config, NULL);
	for (unsigned i = 0; i < questions; i++)
		rules_ask_both(rules, config, &seed);
	rules_free(rules);
	config_free(config);
}

Test(rules, few_groups_answer_as_a_walk_does)
{
	uint64_t seed = rules_seed();
	for (unsigned i = 0; i < 60; i++)
		compare(rules_random(&seed), 1 + rules_below(&seed, 5), 12, 3000);
}

Test(rules, long_groups_answer_as_a_walk_does)
{
	uint64_t seed = rules_seed();
	for (unsigned i = 0; i < 5; i++)
		compare(rules_random(&seed), 2, 150, 10000);
}

// More than a byte tells apart.
Test(rules, many_groups_answer_as_a_walk_does)
{
	compare(rules_seed(), 700, 4, 60000);
}

// --- ids and counts ----------------------------------------------------------------------------

// Compiles in place of *rules, as the switch does.
static void replace(struct rules **rules, const char *text)
{
	struct config *config = check(text);
	struct rules *after = rules_of(config, *rules);
	cr_expect(!rules_differ(after, config));
	cr_expect(!*rules || rules_differ(*rules, config));
	rules_free(*rules);
	*rules = after;
	config_free(config);
}

static uint64_t hits(const struct rules *rules, uint32_t id)
{
	struct rule_info info;
	cr_assert(rules_info(rules, id, &info), "rule %u", id);
	return info.hits;
}

static void is_at(const struct rules *rules, uint32_t id, const char *group,
	enum rule_direction direction, uint32_t position, uint64_t count)
{
	struct rule_info info;
	cr_assert(rules_info(rules, id, &info), "rule %u", id);
	cr_expect_str_eq(info.group, group);
	cr_expect_eq(info.direction, direction);
	cr_expect_eq(info.position, position);
	cr_expect_eq(info.hits, count);
	cr_expect(info.rule && !info.built_in);
	cr_expect_eq(rules_id_of(rules, group, direction, position), id);
	cr_expect_lt(id, rules_id_end(rules));
}

static void hit(const struct rules *rules, uint32_t id, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		rules_hit(rules, i % 2, id);
}

Test(rules, what_stays_the_same_keeps_id_and_count)
{
	struct rules *rules = NULL;
	struct rule_info info;
	replace(&rules, "groups: {a: {to-vm: [{allow: tcp}, {allow: udp}], from-vm: [{deny: tcp}]},"
			" b: {to-vm: [{allow: tcp}]}}");
	uint32_t tcp = rules_id_of(rules, "a", RULE_TO_VM, 1);
	uint32_t udp = rules_id_of(rules, "a", RULE_TO_VM, 2);
	uint32_t out = rules_id_of(rules, "a", RULE_FROM_VM, 1);
	uint32_t b = rules_id_of(rules, "b", RULE_TO_VM, 1);
	hit(rules, tcp, 5);
	hit(rules, udp, 7);
	hit(rules, b, 2);
	is_at(rules, tcp, "a", RULE_TO_VM, 1, 5);

	replace(&rules, "groups: {x: {to-vm: [{allow: tcp}]}, b: {to-vm: [{allow: tcp}]},"
			" a: {to-vm: [{deny: sctp}, {allow: udp}, {allow: tcp}], from-vm: [{deny: "
			"tcp}]}}");
	is_at(rules, tcp, "a", RULE_TO_VM, 3, 5);
	is_at(rules, udp, "a", RULE_TO_VM, 2, 7);
	is_at(rules, out, "a", RULE_FROM_VM, 1, 0);
	is_at(rules, b, "b", RULE_TO_VM, 1, 2);
	uint32_t sctp = rules_id_of(rules, "a", RULE_TO_VM, 1);
	is_at(rules, sctp, "a", RULE_TO_VM, 1, 0);
	hit(rules, sctp, 3);

	// What comes back is new.
	replace(&rules, "groups: {a: {to-vm: [{allow: tcp}]}}");
	is_at(rules, tcp, "a", RULE_TO_VM, 1, 5);
	cr_expect(!rules_info(rules, udp, &info) && !rules_info(rules, b, &info));
	replace(&rules, "groups: {a: {to-vm: [{allow: tcp}, {deny: sctp}]}}");
	uint32_t again = rules_id_of(rules, "a", RULE_TO_VM, 2);
	cr_expect_neq(again, sctp);
	is_at(rules, again, "a", RULE_TO_VM, 2, 0);
	cr_expect(!rules_info(rules, sctp, &info));
	rules_free(rules);
}

// Of rules that are equal, the first stays the first.
Test(rules, equal_rules_stay_apart)
{
	struct rules *rules = NULL;
	replace(&rules, "groups: {a: {to-vm: [{allow: tcp}, {allow: tcp}]}}");
	uint32_t first = rules_id_of(rules, "a", RULE_TO_VM, 1);
	uint32_t second = rules_id_of(rules, "a", RULE_TO_VM, 2);
	cr_expect_neq(first, second);
	replace(&rules, "groups: {a: {to-vm: [{deny: udp}, {allow: tcp}]}}");
	is_at(rules, first, "a", RULE_TO_VM, 2, 0);
	rules_free(rules);
}

// Ids go round; none is given again at once, and one that is has no old counts.
Test(rules, ids_are_given_again_clean)
{
	struct rules *rules = NULL;
	uint32_t last = 0;
	bool again = false;
	for (unsigned i = 0; i < 6 && !again; i++) {
		struct config *config = calloc(1, sizeof(*config));
		config->groups = calloc(1, sizeof(*config->groups));
		config->ngroups = 1;
		strcpy(config->groups[0].name, "a");
		config->groups[0].nto_vm = RULES_MAX / 2;
		config->groups[0].to_vm = calloc(RULES_MAX / 2, sizeof(struct config_rule));
		for (unsigned k = 0; k < RULES_MAX / 2; k++) {
			// All of another protocol, and few in the eyes of rte_acl.
			struct config_rule *rule = &config->groups[0].to_vm[k];
			rule->protocol = (uint16_t)(20 + i);
			rule->icmp_type = rule->icmp_code = -1;
		}
		struct rules *after = rules_of(config, rules);
		rules_free(rules);
		rules = after;
		config_free(config);
		uint32_t id = rules_id_of(rules, "a", RULE_TO_VM, 1);
		again = id < last;
		last = id;
		cr_expect_eq(hits(rules, id), 0);
		for (unsigned k = 1; k <= RULES_MAX / 2; k++)
			hit(rules, rules_id_of(rules, "a", RULE_TO_VM, k), 1);
	}
	cr_expect(again);
	rules_free(rules);
}

// --- built-in rules ----------------------------------------------------------------------------

static const struct group_list nobody;

static uint32_t decided_by(const struct rules *rules, enum rule_direction direction,
	const struct rule_query *query, bool allowed)
{
	const struct group_list own = {1, {0}};
	uint32_t rule;
	cr_expect_eq(rules_allow(rules, direction, &own, &nobody, query, &rule), allowed);
	return rule;
}

static struct rule_query udp(enum conn_family family, uint16_t sport, uint16_t dport)
{
	return (struct rule_query){.tuple = {.protocol = IPPROTO_UDP,
					   .family = family,
					   .sport = htons(sport),
					   .dport = htons(dport)}};
}

static struct rule_query icmpv6(uint8_t type)
{
	return (struct rule_query){
		.tuple = {.protocol = IPPROTO_ICMPV6, .family = CONN_IPV6}, .icmp_type = type};
}

static const struct built_in_case {
	enum config_built_in built_in;
	enum rule_direction direction;
	bool is_udp;
	enum conn_family family;
	uint16_t a, b; // L4 ports, or the type
	bool holds;
} built_in_cases[] = {
	{BUILT_IN_DHCP, RULE_FROM_VM, true, CONN_IPV4, 68, 67, true},
	{BUILT_IN_DHCP, RULE_TO_VM, true, CONN_IPV4, 67, 68, true},
	{BUILT_IN_DHCP, RULE_TO_VM, true, CONN_IPV4, 68, 67, false},
	{BUILT_IN_DHCP, RULE_FROM_VM, true, CONN_IPV4, 67, 68, false},
	{BUILT_IN_DHCP, RULE_TO_VM, true, CONN_IPV6, 67, 68, false},
	{BUILT_IN_DHCPV6, RULE_FROM_VM, true, CONN_IPV6, 546, 547, true},
	{BUILT_IN_DHCPV6, RULE_TO_VM, true, CONN_IPV6, 547, 546, true},
	{BUILT_IN_DHCPV6, RULE_TO_VM, true, CONN_IPV6, 546, 547, false},
	{BUILT_IN_DHCPV6, RULE_TO_VM, true, CONN_IPV4, 547, 546, false},
	{BUILT_IN_ND, RULE_FROM_VM, false, CONN_IPV6, ND_ROUTER_SOLICIT, 0, true},
	{BUILT_IN_ND, RULE_TO_VM, false, CONN_IPV6, ND_NEIGHBOR_SOLICIT, 0, true},
	{BUILT_IN_ND, RULE_TO_VM, false, CONN_IPV6, ND_NEIGHBOR_ADVERT, 0, true},
	{BUILT_IN_ND, RULE_TO_VM, false, CONN_IPV6, MLD_LISTENER_QUERY, 0, true},
	{BUILT_IN_ND, RULE_FROM_VM, false, CONN_IPV6, 143, 0, true},
	{BUILT_IN_RA, RULE_TO_VM, false, CONN_IPV6, ND_ROUTER_ADVERT, 0, true},
	{BUILT_IN_RA, RULE_FROM_VM, false, CONN_IPV6, ND_ROUTER_ADVERT, 0, false},
	{BUILT_IN_RA, RULE_TO_VM, false, CONN_IPV6, ICMP6_ECHO_REQUEST, 0, false},
};

// With groups that deny all, a built-in rule or the group's first decides.
static void built_ins_hold(const struct rules *rules, bool on)
{
	for (size_t i = 0; i < sizeof(built_in_cases) / sizeof(*built_in_cases); i++) {
		const struct built_in_case *c = &built_in_cases[i];
		struct rule_query query = c->is_udp ? udp(c->family, c->a, c->b)
						    : icmpv6((uint8_t)c->a);
		bool holds = on && c->holds;
		uint32_t expected = holds ? rules_built_in_id(c->built_in, c->direction)
					  : rules_id_of(rules, "a", c->direction, 1);
		cr_expect_eq(
			decided_by(rules, c->direction, &query, holds), expected, "case %zu", i);
		query.fragment = true;
		cr_expect_eq(decided_by(rules, c->direction, &query, false),
			rules_id_of(rules, "a", c->direction, 1), "case %zu", i);
	}
}

#define DENY_ALL "groups: {a: {to-vm: [{deny: any}], from-vm: [{deny: any}]}}\n"

Test(rules, built_in_rules_come_first)
{
	struct rules *rules = NULL;
	struct rule_info info;
	replace(&rules, DENY_ALL);
	built_ins_hold(rules, true);
	uint32_t id = rules_built_in_id(BUILT_IN_DHCP, RULE_FROM_VM);
	hit(rules, id, 3);
	cr_assert(rules_info(rules, id, &info));
	cr_expect_str_eq(info.built_in, "dhcp");
	cr_expect_str_eq(info.group, "");
	cr_expect(info.hits == 3 && info.direction == RULE_FROM_VM && !info.rule);
	replace(&rules, DENY_ALL "switch: {built-in-rules: [arp]}");
	built_ins_hold(rules, false);
	cr_expect(!rules_info(rules, id, &info));
	cr_expect(rules_info(rules, rules_built_in_id(BUILT_IN_ARP, RULE_TO_VM), &info));
	cr_expect(!rules_info(rules, 0, &info) && !rules_info(rules, UINT32_MAX, &info));
	rules_free(rules);
}

Test(rules, without_a_rule_in_is_denied_and_out_allowed)
{
	struct rules *rules = NULL;
	struct rule_query query = udp(CONN_IPV4, 1000, 53);
	replace(&rules, "groups: {a: , b: {to-vm: [{allow: udp, from: 10.0.0.0/8}]}}");
	cr_expect_eq(decided_by(rules, RULE_TO_VM, &query, false), 0);
	cr_expect_eq(decided_by(rules, RULE_FROM_VM, &query, true), 0);
	rules_free(rules);
}

Test(rules, a_port_lists_its_groups_in_its_order)
{
	struct config *config = check(PORT "    groups: [c, a]\ngroups: {a: , b: , c: }");
	struct rules *rules = rules_of(config, NULL);
	struct group_list list;
	rules_group_list(rules, &config->ports[0], &list);
	cr_assert_eq(list.count, 2);
	cr_expect(list.of[0] == 2 && list.of[1] == 0);
	cr_expect_eq(rules_id_of(rules, "d", RULE_TO_VM, 1), 0);
	cr_expect_eq(rules_id_of(rules, "a", RULE_TO_VM, 1), 0);
	rules_free(rules);
	config_free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
// Compiled security groups beside a plain walk over their rules. rte_acl needs the EAL, so each
// test starts one, in memory of its own.
#include <errno.h>
#include <netinet/in.h>
#include <rte_eal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "ctl/schema/schema.h"
#include "tests/unit/kit_rules.h"

static void start_eal(void)
{
	char prefix[32];
	snprintf(prefix, sizeof(prefix), "--file-prefix=rules-%d", getpid());
	char *argv[] = {"test_rules", "--no-huge", "--no-pci", "--no-shconf", "-m", "256",
		"--no-telemetry", "--log-level=lib.eal:error", "--lcores=0@0", prefix};
	cr_assert_geq(rte_eal_init(sizeof(argv) / sizeof(*argv), argv), 0);
}

static void stop_eal(void)
{
	rte_eal_cleanup();
}

TestSuite(rules, .init = start_eal, .fini = stop_eal);

static struct rules *compile(const struct config *config, const struct rules *before)
{
	struct error err = {0};
	struct rules *rules = NULL;
	cr_assert(!rules_compile(&rules, config, 2, before, &err), "%s", err.text);
	return rules;
}

static void ask(const struct rules *rules, const struct config *config, uint64_t *seed)
{
	uint64_t began = *seed;
	struct rule_query query;
	struct group_list own, peer;
	enum rule_direction direction = (enum rule_direction)rules_below(seed, 2);
	rules_make_query(&query, seed);
	rules_make_list(&own, seed, config->ngroups, 4);
	rules_make_list(&peer, seed, config->ngroups, 4);
	struct rules_answer answer = rules_walk(config, direction, &own, &peer, &query);
	uint32_t id = 12345, expected = 0;
	bool allowed = rules_allow(rules, direction, &own, &peer, &query, &id);
	if (answer.position)
		expected = rules_id_of(
			rules, config->groups[answer.group].name, direction, answer.position);
	cr_assert_eq(allowed, answer.allowed, "seed %#lx", began);
	cr_assert_eq(id, expected, "seed %#lx: rule %u instead of %u", began, id, expected);
}

// Built-in rules are off, or they would answer some.
static void compare(uint64_t seed, size_t ngroups, size_t most, unsigned questions)
{
	struct config *config = rules_config(&seed, ngroups, most);
	struct rules *rules = compile(config, NULL);
	for (unsigned i = 0; i < questions; i++)
		ask(rules, config, &seed);
	rules_free(rules);
	config_free(config);
}

static uint64_t some_seed(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = (uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec;
	printf("seed %#lx\n", seed);
	return seed;
}

Test(rules, few_groups_answer_as_a_walk_does)
{
	uint64_t seed = some_seed();
	for (unsigned i = 0; i < 60; i++)
		compare(rules_random(&seed), 1 + rules_below(&seed, 5), 12, 3000);
}

Test(rules, long_groups_answer_as_a_walk_does)
{
	uint64_t seed = some_seed();
	for (unsigned i = 0; i < 5; i++)
		compare(rules_random(&seed), 2, 150, 10000);
}

// More than a byte tells apart.
Test(rules, many_groups_answer_as_a_walk_does)
{
	compare(some_seed(), 700, 4, 60000);
}

// --- many

static struct config *many(size_t ngroups, size_t nrules)
{
	struct config *config = calloc(1, sizeof(*config));
	config->groups = calloc(ngroups, sizeof(*config->groups));
	config->ngroups = ngroups;
	for (size_t g = 0; g < ngroups; g++) {
		struct config_group *group = &config->groups[g];
		snprintf(group->name, sizeof(group->name), "g%zu", g);
		group->to_vm = calloc(nrules, sizeof(*group->to_vm));
		group->nto_vm = nrules;
		for (size_t i = 0; i < nrules; i++)
			group->to_vm[i] = (struct config_rule){.allow = 1,
				.protocol = IPPROTO_TCP,
				.icmp_type = -1,
				.icmp_code = -1};
	}
	return config;
}

static void set_network(struct config_rule *rule, uint32_t address, uint8_t length)
{
	address = htonl(address);
	rule->peer_kind = PEER_NETWORK;
	rule->network.family = AF_INET;
	rule->network.length = length;
	memcpy(rule->network.address, &address, sizeof(address));
}

static void set_ports(struct config_rule *rule, uint16_t first, uint16_t last)
{
	rule->ndports = 1;
	rule->dports[0] = (struct config_range){first, last};
}

static void is_compiled(const struct config *config, const char *what, uint64_t seed)
{
	struct rules *rules = compile(config, NULL);
	printf("%s: compiled in %.1f ms\n", what, (double)rules_compile_ns(rules) / 1e6);
	for (unsigned i = 0; i < 2000; i++)
		ask(rules, config, &seed);
	// Beside the old ones.
	struct rules *after = compile(config, rules);
	rules_free(rules);
	rules_free(after);
}

Test(rules, ten_thousand_networks_with_ports)
{
	uint64_t seed = some_seed();
	struct config *config = many(1, 10000);
	for (unsigned i = 0; i < 10000; i++) {
		struct config_rule *rule = &config->groups[0].to_vm[i];
		set_network(rule, 10u << 24 | (i % 5000) << 8, 24);
		set_ports(rule, (uint16_t)rules_random(&seed), UINT16_MAX);
	}
	is_compiled(config, "10,000 rules, networks and ranges", seed);
	config_free(config);
}

Test(rules, ten_thousand_ports)
{
	uint64_t seed = some_seed();
	struct config *config = many(1, 10000);
	for (unsigned i = 0; i < 10000; i++)
		set_ports(&config->groups[0].to_vm[i], (uint16_t)(i * 6), (uint16_t)(i * 6 + 3));
	is_compiled(config, "10,000 rules, ranges of ports", seed);
	config_free(config);
}

Test(rules, ten_thousand_random_rules)
{
	uint64_t seed = some_seed();
	struct config *config = many(1, 10000);
	for (unsigned i = 0; i < 10000; i++) {
		struct config_rule *rule = &config->groups[0].to_vm[i];
		set_network(rule, (uint32_t)rules_random(&seed), 32);
		rule->protocol = rules_below(&seed, 2) ? IPPROTO_TCP : IPPROTO_UDP;
		uint16_t first = (uint16_t)rules_random(&seed);
		if (rules_below(&seed, 2))
			set_ports(rule, first, first);
		unsigned length = 8 + rules_below(&seed, 25);
		for (unsigned bit = length; bit < 32; bit++)
			rule->network.address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		rule->network.length = (uint8_t)length;
	}
	is_compiled(config, "10,000 rules, random networks of all lengths", seed);
	config_free(config);
}

Test(rules, a_thousand_groups_of_ten)
{
	uint64_t seed = some_seed();
	struct config *config = many(1000, 10);
	for (size_t g = 0; g < config->ngroups; g++)
		for (size_t i = 0; i < 10; i++)
			rules_make(&config->groups[g].to_vm[i], &seed, config->ngroups);
	is_compiled(config, "1,000 groups of 10 rules", seed);
	config_free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
// Many rules: how long compiling takes, how much memory, and what a question costs then.
#include <errno.h>
#include <netinet/in.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "ctl/schema/schema.h"
#include "tests/unit/kit_eal.h"
#include "tests/unit/kit_rules.h"

TestSuite(rules_many, .init = kit_eal_start, .fini = kit_eal_stop);

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

static double heap_mib(void)
{
	struct rte_malloc_socket_stats stats;
	rte_malloc_get_socket_stats(0, &stats);
	return (double)stats.heap_allocsz_bytes / (1 << 20);
}

static void time_questions(const struct rules *rules, size_t ngroups, uint64_t seed)
{
	enum {
		QUESTIONS = 4096
	};
	struct rule_query *queries = calloc(QUESTIONS, sizeof(*queries));
	struct group_list *owns = calloc(QUESTIONS, sizeof(*owns));
	const struct group_list peer = {0};
	struct timespec a, b;
	for (unsigned i = 0; i < QUESTIONS; i++) {
		rules_make_query(&queries[i], &seed);
		queries[i].tuple.family = CONN_IPV4;
		queries[i].tuple.protocol = IPPROTO_TCP;
		owns[i].count = 1;
		owns[i].of[0] = (uint16_t)rules_below(&seed, ngroups);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	uint32_t rule, sum = 0;
	for (unsigned i = 0; i < 100 * QUESTIONS; i++) {
		rules_allow(rules, RULE_TO_VM, &owns[i % QUESTIONS], &peer, &queries[i % QUESTIONS],
			&rule);
		sum += rule;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("    %.0f ns a question (%u)\n",
		((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
			(100 * QUESTIONS),
		sum);
	free(queries);
	free(owns);
}

static void is_compiled(const struct config *config, const char *what, uint64_t seed)
{
	double before = heap_mib();
	struct rules *rules = rules_of(config, NULL);
	printf("%s: compiled in %.1f ms, %.1f MiB\n", what, (double)rules_compile_ns(rules) / 1e6,
		heap_mib() - before);
	time_questions(rules, config->ngroups, seed);
	for (unsigned i = 0; i < 2000; i++)
		rules_ask_both(rules, config, &seed);
	// Beside the old ones.
	struct rules *after = rules_of(config, rules);
	rules_free(rules);
	rules_free(after);
}

Test(rules_many, ten_thousand_networks_with_ports)
{
	uint64_t seed = rules_seed();
	struct config *config = many(1, 10000);
	for (unsigned i = 0; i < 10000; i++) {
		struct config_rule *rule = &config->groups[0].to_vm[i];
		set_network(rule, 10u << 24 | (i % 5000) << 8, 24);
		set_ports(rule, (uint16_t)rules_random(&seed), UINT16_MAX);
	}
	is_compiled(config, "10,000 rules, networks and ranges", seed);
	config_free(config);
}

Test(rules_many, ten_thousand_ports)
{
	uint64_t seed = rules_seed();
	struct config *config = many(1, 10000);
	for (unsigned i = 0; i < 10000; i++)
		set_ports(&config->groups[0].to_vm[i], (uint16_t)(i * 6), (uint16_t)(i * 6 + 3));
	is_compiled(config, "10,000 rules, ranges of ports", seed);
	config_free(config);
}

Test(rules_many, ten_thousand_random_rules)
{
	uint64_t seed = rules_seed();
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

Test(rules_many, a_thousand_groups_of_ten)
{
	uint64_t seed = rules_seed();
	struct config *config = many(1000, 10);
	for (size_t g = 0; g < config->ngroups; g++)
		for (size_t i = 0; i < 10; i++)
			rules_make(&config->groups[g].to_vm[i], &seed, config->ngroups);
	is_compiled(config, "1,000 groups of 10 rules", seed);
	config_free(config);
}

Test(rules_many, a_thousand_plain_groups_of_ten)
{
	uint64_t seed = rules_seed();
	struct config *config = many(1000, 10);
	for (size_t g = 0; g < config->ngroups; g++)
		for (size_t i = 0; i < 10; i++)
			set_ports(&config->groups[g].to_vm[i], i * 1000 + 80, i * 1000 + 80);
	is_compiled(config, "1,000 groups of 10 rules, plain", seed);
	config_free(config);
}

// 256 pairs of L4 ports in each.
Test(rules_many, what_does_not_fit_changes_nothing)
{
	struct error err = {0};
	struct config *config = many(1, 10);
	struct rules *rules = rules_of(config, NULL), *after = NULL;
	config_free(config);
	double heap = heap_mib();
	config = many(1, 20000);
	for (unsigned i = 0; i < 20000; i++) {
		struct config_rule *rule = &config->groups[0].to_vm[i];
		rule->nsports = rule->ndports = RULE_RANGES_MAX;
		for (unsigned k = 0; k < RULE_RANGES_MAX; k++)
			rule->sports[k] = rule->dports[k] = (struct config_range){k, k};
	}
	cr_expect_eq(rules_compile(&after, config, 2, rules, &err), -ENOMEM);
	cr_expect_null(after);
	cr_expect_str_eq(err.text, "groups: no room in switch.memory for the to-vm rules: give it "
				   "more, or rules fewer "
				   "L4 ranges, and networks that overlap less");
	cr_expect_float_eq(heap_mib(), heap, 0.01);
	rules_free(rules);
	config_free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
// Random security groups and questions about them, and what the answer must be, by a plain walk
// over the configuration that shares nothing with the switch's own code.
#ifndef WEIR_TESTS_UNIT_KIT_RULES_H
#define WEIR_TESTS_UNIT_KIT_RULES_H

#include "switch/rules.h"

// From the clock, and printed.
uint64_t rules_seed(void);
// xorshift; never 0.
uint64_t rules_random(uint64_t *seed);
uint32_t rules_below(uint64_t *seed, uint32_t bound);

// `ngroups` groups g0, g1, … of up to `most` rules in each direction; config_free.
struct config *rules_config(uint64_t *seed, size_t ngroups, size_t most);
// A rule about few addresses and L4 ports, so that many match; of a group below ngroups.
void rules_make(struct config_rule *rule, uint64_t *seed, size_t ngroups);
void rules_make_query(struct rule_query *query, uint64_t *seed);
// Up to `most` different groups.
void rules_make_list(struct group_list *list, uint64_t *seed, size_t ngroups, uint16_t most);

// The first rule that matches, as its group's index and its position from 1; 0: none.
struct rules_answer {
	bool allowed;
	uint16_t group;
	uint32_t position;
};
struct rules_answer rules_walk(const struct config *config, enum rule_direction direction,
	const struct group_list *own, const struct group_list *peer,
	const struct rule_query *query);

// Compiled for two workers; rules_free.
struct rules *rules_of(const struct config *config, const struct rules *before);
// A random question to both, which must agree.
void rules_ask_both(const struct rules *rules, const struct config *config, uint64_t *seed);

#endif

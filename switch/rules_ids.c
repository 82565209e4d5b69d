// SPDX-License-Identifier: BSD-3-Clause
// Which rule is which, when others come and go around it: a rule is the same as before if its
// group's name, its direction and what it says are. Of several that are equal, the first is the
// first. So a rule keeps its id, by which connections name it, and its counts.
#include "switch/rules_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A rule and what it is known by.
struct known {
	const char *group;
	const struct rule *rule;
};

static int compare_known(const struct known *x, const struct known *y)
{
	int order = strcmp(x->group, y->group);
	if (order)
		return order;
	if (x->rule->direction != y->rule->direction)
		return x->rule->direction < y->rule->direction ? -1 : 1;
	return memcmp(x->rule->config, y->rule->config, sizeof(*x->rule->config));
}

static int in_order(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	int order = compare_known(x, y);
	if (order)
		return order;
	// Equal ones in the order in which they stand.
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static struct known *sort_rules(const struct rules *rules)
{
	struct known *known = calloc((size_t)rules->nrules + 1, sizeof(*known));
	for (uint32_t i = 0; known && i < rules->nrules; i++) {
		const struct rule *rule = &rules->rules[i];
		known[i] = (struct known){rules->groups[rule->group].name, rule};
	}
	if (known)
		qsort(known, rules->nrules, sizeof(*known), in_order);
	return known;
}

static void take_id(struct rules *rules, uint32_t index, uint32_t id)
{
	rules->rules[index].id = id;
	rules->by_id[id - BUILT_IN_IDS] = index + 1;
}

// Both are sorted, so equal ones meet.
static void keep_ids(
	struct rules *rules, const struct known *now, const struct known *then, uint32_t nthen)
{
	uint32_t k = 0;
	for (uint32_t i = 0; i < rules->nrules; i++) {
		while (k < nthen && compare_known(&then[k], &now[i]) < 0)
			k++;
		if (k < nthen && !compare_known(&then[k], &now[i]))
			take_id(rules, (uint32_t)(now[i].rule - rules->rules), then[k++].rule->id);
	}
}

// A free id that `before` does not have either: workers may still count under it.
static void new_id(struct rules *rules, const struct rules *before, uint32_t index)
{
	const uint32_t room = RULE_IDS - BUILT_IN_IDS;
	uint32_t at = rules->next_id;
	while (rules->by_id[at] || (before && before->by_id[at]))
		at = (at + 1) % room;
	rules->next_id = (at + 1) % room;
	take_id(rules, index, at + BUILT_IN_IDS);
	for (uint16_t w = 0; w < rules->hits->nworkers; w++)
		atomic_store_explicit(
			rule_hits_at(rules->hits, w, at + BUILT_IN_IDS), 0, memory_order_relaxed);
}

static struct rule_hits *hits_new(uint16_t nworkers)
{
	// Pages that no rule's id lies in are never touched.
	struct rule_hits *hits = calloc(
		1, sizeof(*hits) + (size_t)nworkers * RULE_IDS * sizeof(hits->of[0]));
	if (hits)
		hits->nworkers = nworkers;
	return hits;
}

void rule_hits_put(struct rule_hits *hits)
{
	if (hits && !--hits->references)
		free(hits);
}

int rules_give_ids(struct rules *rules, const struct rules *before, uint16_t nworkers)
{
	struct known *now = sort_rules(rules), *then = before ? sort_rules(before) : NULL;
	rules->by_id = calloc(RULE_IDS - BUILT_IN_IDS, sizeof(*rules->by_id));
	rules->hits = before ? before->hits : hits_new(nworkers);
	if (rules->hits)
		rules->hits->references++;
	int rc = now && (then || !before) && rules->by_id && rules->hits ? 0 : -ENOMEM;
	if (!rc && before) {
		rules->next_id = before->next_id;
		keep_ids(rules, now, then, before->nrules);
	}
	for (uint32_t i = 0; i < rules->nrules && !rc; i++)
		if (!rules->rules[i].id)
			new_id(rules, before, i);
	free(then);
	free(now);
	return rc;
}

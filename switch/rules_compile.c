// SPDX-License-Identifier: BSD-3-Clause
// From the configuration's groups to their compiled form, and what the control plane reads of it.
// All of it is the main thread's: workers see rules that are complete, and what they change of them
// is the counts only.
#include "switch/rules_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// --- the copy

static struct config_rule *copy_rules(const struct config_rule *rules, size_t count)
{
	struct config_rule *copy = calloc(count + 1, sizeof(*copy));
	if (copy && count)
		memcpy(copy, rules, count * sizeof(*copy));
	return copy;
}

static int copy_groups(struct rules *rules, const struct config *config)
{
	rules->groups = calloc(config->ngroups + 1, sizeof(*rules->groups));
	rules->of = calloc(config->ngroups + 1, sizeof(*rules->of));
	rules->by_name = calloc(config->ngroups + 1, sizeof(*rules->by_name));
	if (!rules->groups || !rules->of || !rules->by_name)
		return -ENOMEM;
	for (size_t i = 0; i < config->ngroups; i++) {
		const struct config_group *from = &config->groups[i];
		struct config_group *to = &rules->groups[rules->ngroups++];
		*to = *from;
		to->to_vm = copy_rules(from->to_vm, from->nto_vm);
		to->from_vm = copy_rules(from->from_vm, from->nfrom_vm);
		if (!to->to_vm || !to->from_vm)
			return -ENOMEM;
	}
	return 0;
}

// --- names

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct config_group *groups = ctx;
	return strcmp(groups[*(const uint16_t *)a].name, groups[*(const uint16_t *)b].name);
}

static void sort_names(struct rules *rules)
{
	for (uint16_t i = 0; i < rules->ngroups; i++)
		rules->by_name[i] = i;
	qsort_r(rules->by_name, rules->ngroups, sizeof(*rules->by_name), by_name, rules->groups);
}

int rules_group_number(const struct rules *rules, const char *name)
{
	unsigned from = 0, to = rules->ngroups;
	while (from < to) {
		unsigned middle = (from + to) / 2;
		int order = strcmp(name, rules->groups[rules->by_name[middle]].name);
		if (!order)
			return rules->by_name[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return -1;
}

// --- the rules, by group and direction

static uint8_t flag_of(const struct config_rule *rule)
{
	if (rule->peer_kind != PEER_NETWORK)
		return rule->peer_kind == PEER_ANY ? GROUP_HAS_ANY : GROUP_HAS_PEERS;
	return rule->network.family == AF_INET ? GROUP_HAS_IPV4 : GROUP_HAS_IPV6;
}

static void list_direction(struct rules *rules, uint16_t group, enum rule_direction direction)
{
	const struct config_group *from = &rules->groups[group];
	const struct config_rule *list = direction == RULE_TO_VM ? from->to_vm : from->from_vm;
	size_t count = direction == RULE_TO_VM ? from->nto_vm : from->nfrom_vm;
	struct group_rules *of = &rules->of[group][direction];
	*of = (struct group_rules){.first = rules->nrules, .count = (uint32_t)count};
	for (size_t i = 0; i < count; i++) {
		of->flags |= flag_of(&list[i]);
		rules->rules[rules->nrules++] = (struct rule){
			.config = &list[i],
			.group = group,
			.direction = (uint8_t)direction,
			.allow = list[i].allow,
		};
	}
}

static int list_rules(struct rules *rules)
{
	size_t count = 0;
	for (uint16_t i = 0; i < rules->ngroups; i++)
		count += rules->groups[i].nto_vm + rules->groups[i].nfrom_vm;
	rules->rules = calloc(count + 1, sizeof(*rules->rules));
	for (uint16_t i = 0; i < rules->ngroups && rules->rules; i++) {
		list_direction(rules, i, RULE_TO_VM);
		list_direction(rules, i, RULE_FROM_VM);
	}
	return rules->rules ? 0 : -ENOMEM;
}

int rules_compile(struct rules **out, const struct config *config, uint16_t nworkers,
	const struct rules *before, struct error *err)
{
	uint64_t start = now_ns();
	struct rules *rules = calloc(1, sizeof(*rules));
	int rc = rules ? copy_groups(rules, config) : -ENOMEM;
	if (!rc) {
		rules->built_in = config->sw.built_in;
		sort_names(rules);
		rc = list_rules(rules);
	}
	if (!rc)
		rc = rules_give_ids(rules, before, nworkers);
	if (rc)
		error_set(err, -rc, "no memory for the groups");
	for (unsigned direction = 0; direction < RULE_DIRECTIONS && !rc; direction++)
		rc = rules_acl_init(&rules->acl[direction], rules, direction, err);
	if (rc) {
		rules_free(rules);
		return rc;
	}
	rules->compile_ns = now_ns() - start;
	*out = rules;
	return 0;
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	for (unsigned direction = 0; direction < RULE_DIRECTIONS; direction++)
		rules_acl_fini(&rules->acl[direction]);
	for (uint16_t i = 0; i < rules->ngroups; i++) {
		free(rules->groups[i].to_vm);
		free(rules->groups[i].from_vm);
	}
	rule_hits_put(rules->hits);
	free(rules->by_id);
	free(rules->rules);
	free(rules->of);
	free(rules->by_name);
	free(rules->groups);
	free(rules);
}

static bool lists_equal(
	const struct config_rule *a, size_t na, const struct config_rule *b, size_t nb)
{
	return na == nb && (!na || !memcmp(a, b, na * sizeof(*a)));
}

bool rules_differ(const struct rules *rules, const struct config *config)
{
	if (rules->built_in != config->sw.built_in || rules->ngroups != config->ngroups)
		return true;
	for (uint16_t i = 0; i < rules->ngroups; i++) {
		const struct config_group *a = &rules->groups[i], *b = &config->groups[i];
		if (strcmp(a->name, b->name) ||
			!lists_equal(a->to_vm, a->nto_vm, b->to_vm, b->nto_vm) ||
			!lists_equal(a->from_vm, a->nfrom_vm, b->from_vm, b->nfrom_vm))
			return true;
	}
	return false;
}

uint64_t rules_compile_ns(const struct rules *rules)
{
	return rules->compile_ns;
}

void rules_group_list(
	const struct rules *rules, const struct config_port *port, struct group_list *list)
{
	list->count = 0;
	for (uint16_t i = 0; i < port->ngroups; i++) {
		int number = rules_group_number(rules, port->groups[i]);
		if (number >= 0)
			list->of[list->count++] = (uint16_t)number;
	}
}

// --- what the control plane reads

static uint64_t hits_of(const struct rules *rules, uint32_t id)
{
	uint64_t sum = 0;
	for (uint16_t w = 0; w < rules->hits->nworkers; w++)
		sum += atomic_load_explicit(rule_hits_at(rules->hits, w, id), memory_order_relaxed);
	return sum;
}

static bool built_in_info(const struct rules *rules, uint32_t id, struct rule_info *info)
{
	static const char *const names[] = {
		[BUILT_IN_ARP] = "arp",
		[BUILT_IN_ND] = "nd",
		[BUILT_IN_RA] = "ra",
		[BUILT_IN_DHCP] = "dhcp",
		[BUILT_IN_DHCPV6] = "dhcpv6",
	};
	unsigned built_in = (id - 1) / RULE_DIRECTIONS;
	*info = (struct rule_info){
		.group = "",
		.direction = (id - 1) % RULE_DIRECTIONS,
		.position = built_in + 1,
		.built_in = names[built_in],
		.hits = hits_of(rules, id),
	};
	return rules->built_in >> built_in & 1;
}

bool rules_info(const struct rules *rules, uint32_t id, struct rule_info *info)
{
	if (id && id < BUILT_IN_IDS)
		return built_in_info(rules, id, info);
	if (!id || id >= RULE_IDS || !rules->by_id[id - BUILT_IN_IDS])
		return false;
	uint32_t index = rules->by_id[id - BUILT_IN_IDS] - 1;
	const struct rule *rule = &rules->rules[index];
	*info = (struct rule_info){
		.group = rules->groups[rule->group].name,
		.direction = rule->direction,
		.position = 1 + index - rules->of[rule->group][rule->direction].first,
		.rule = rule->config,
		.hits = hits_of(rules, id),
	};
	return true;
}

uint32_t rules_id_end(const struct rules *rules)
{
	uint32_t end = RULE_IDS;
	while (end > BUILT_IN_IDS && !rules->by_id[end - 1 - BUILT_IN_IDS])
		end--;
	return end;
}

uint32_t rules_id_of(const struct rules *rules, const char *group, enum rule_direction direction,
	uint32_t position)
{
	int number = rules_group_number(rules, group);
	if (number < 0)
		return 0;
	const struct group_rules *of = &rules->of[number][direction];
	if (!position || position > of->count)
		return 0;
	return rules->rules[of->first + position - 1].id;
}

uint32_t rules_id_at(const struct rules *rules, const char *group, size_t position)
{
	int number = rules_group_number(rules, group);
	for (unsigned i = 0; number >= 0 && i < RULE_DIRECTIONS; i++) {
		const struct group_rules *of = &rules->of[number][i];
		if (position < of->count)
			return rules->rules[of->first + position].id;
		position -= of->count;
	}
	return 0;
}

const char *rules_group_at(
	const struct rules *rules, size_t position, uint32_t counts[RULE_DIRECTIONS])
{
	if (position >= rules->ngroups)
		return NULL;
	uint16_t number = rules->by_name[position];
	for (unsigned i = 0; i < RULE_DIRECTIONS; i++)
		counts[i] = rules->of[number][i].count;
	return rules->groups[number].name;
}

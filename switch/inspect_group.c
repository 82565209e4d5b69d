// SPDX-License-Identifier: BSD-3-Clause
// What the control plane asks of the security groups: the compiled ones, with hits. Counts are read
// while workers write them.
#include <string.h>

#include "switch/private.h"

static void state_of(const struct rule_info *info, uint32_t id, struct rule_state *state)
{
	*state = (struct rule_state){
		.id = id,
		.group = info->group,
		.from_vm = info->direction == RULE_FROM_VM,
		.position = info->position,
		.rule = info->rule,
		.built_in = info->built_in,
		.hits = info->hits,
	};
}

bool switch_rule_find(const struct weir_switch *sw, uint32_t id, struct rule_state *state)
{
	struct rule_info info;
	if (!sw->rules || !rules_info(sw->rules, id, &info))
		return false;
	state_of(&info, id, state);
	return true;
}

static bool built_in_at(const struct weir_switch *sw, size_t position, struct rule_state *state)
{
	for (unsigned i = 0; i < RULE_DIRECTIONS * BUILT_IN_COUNT; i++) {
		enum rule_direction direction = i < BUILT_IN_COUNT ? RULE_TO_VM : RULE_FROM_VM;
		uint32_t id = rules_built_in_id(
			(enum config_built_in)(i % BUILT_IN_COUNT), direction);
		if (switch_rule_find(sw, id, state) && !position--)
			return true;
	}
	return false;
}

bool switch_rule_at(
	const struct weir_switch *sw, const char *group, size_t position, struct rule_state *state)
{
	if (!*group)
		return built_in_at(sw, position, state);
	return sw->rules && switch_rule_find(sw, rules_id_at(sw->rules, group, position), state);
}

static uint32_t ports_in(const struct weir_switch *sw, const char *group)
{
	uint32_t n = 0;
	for (size_t i = 0; i < sw->nports; i++) {
		const struct config_port *port = &sw->ports[i]->config;
		for (uint16_t k = 0; k < port->ngroups; k++)
			n += !strcmp(port->groups[k], group);
	}
	return n;
}

static uint64_t hits_in(
	const struct rules *rules, const char *group, enum rule_direction direction, uint32_t count)
{
	uint64_t sum = 0;
	for (uint32_t i = 1; i <= count; i++) {
		struct rule_info info;
		uint32_t id = rules_id_of(rules, group, direction, i);
		if (rules_info(rules, id, &info))
			sum += info.hits;
	}
	return sum;
}

const char *switch_group_name(const struct weir_switch *sw, size_t position)
{
	uint32_t counts[RULE_DIRECTIONS];
	return sw->rules ? rules_group_at(sw->rules, position, counts) : NULL;
}

bool switch_group_at(const struct weir_switch *sw, size_t position, struct group_info *info)
{
	uint32_t counts[RULE_DIRECTIONS];
	const char *name = sw->rules ? rules_group_at(sw->rules, position, counts) : NULL;
	if (!name)
		return false;
	*info = (struct group_info){
		.name = name,
		.to_vm = counts[RULE_TO_VM],
		.from_vm = counts[RULE_FROM_VM],
		.ports = ports_in(sw, name),
		.hits = hits_in(sw->rules, name, RULE_TO_VM, counts[RULE_TO_VM]) +
			hits_in(sw->rules, name, RULE_FROM_VM, counts[RULE_FROM_VM]),
	};
	return true;
}

// SPDX-License-Identifier: BSD-3-Clause
// The rules of one direction for rte_acl. Its cost grows with what overlaps: a rule that leaves a
// field open is copied below each value of it. So each field of a key that tells rules apart comes
// first and is exact (the group's number), and what would multiply is kept apart: rules that ask
// for a group or for anyone have no address in their keys, and rules that ask for a network have
// no group of the peer. That makes three contexts, each for all groups:
//
//     peers   own group, peer's group or 0, protocol, L4 ports
//     v4, v6  own group, protocol, network, L4 ports
//
// A group is asked in `peers` once as 0, for rules that ask for anyone, and once for each group of
// the peer; then by the address. The first rule of all that match is what counts, so what rte_acl
// gives back is the rule's place. A group that has no rules of a kind is not asked there.
//
// Fields are in host byte order in rules and in network byte order in keys. A key is one byte and
// then words of four, of which rte_acl loads one at a time. rte_acl takes its memory from the EAL's
// heap, for as long as the rules live: both the rules as added, and what it builds of them.
#include "switch/rules_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_acl.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum acl_field {
	FIELD_OWN_LOW,
	FIELD_OWN_HIGH,
	FIELD_PROTOCOL,
	FIELD_PEER,
	FIELD_SPORT,
	FIELD_DPORT,
	FIELD_ADDRESS, // up to four words
	FIELDS = FIELD_ADDRESS + 4
};

RTE_ACL_RULE_DEF(acl_rule, FIELDS);

static unsigned address_words(enum acl_kind kind)
{
	return kind == ACL_PEERS ? 0 : kind == ACL_IPV4 ? 1 : 4;
}

static unsigned field_count(enum acl_kind kind)
{
	return FIELD_ADDRESS + address_words(kind);
}

static void add_field(struct rte_acl_config *config, uint8_t type, unsigned field, uint8_t size,
	uint8_t input, size_t offset)
{
	config->defs[config->num_fields++] = (struct rte_acl_field_def){
		.type = type,
		.size = size,
		.field_index = (uint8_t)field,
		.input_index = input,
		.offset = (uint32_t)offset,
	};
}

// Addresses before L4 ports: more rules differ there.
static void make_config(struct rte_acl_config *config, enum acl_kind kind)
{
	*config = (struct rte_acl_config){.num_categories = 1};
	uint8_t input = 0;
	add_field(config, RTE_ACL_FIELD_TYPE_BITMASK, FIELD_OWN_LOW, 1, input++,
		offsetof(struct acl_key, own_low));
	add_field(config, RTE_ACL_FIELD_TYPE_BITMASK, FIELD_OWN_HIGH, 1, input,
		offsetof(struct acl_key, own_high));
	add_field(config, RTE_ACL_FIELD_TYPE_BITMASK, FIELD_PROTOCOL, 1, input,
		offsetof(struct acl_key, protocol));
	add_field(config, RTE_ACL_FIELD_TYPE_BITMASK, FIELD_PEER, 2, input++,
		offsetof(struct acl_key, peer));
	for (unsigned i = 0; i < address_words(kind); i++)
		add_field(config, RTE_ACL_FIELD_TYPE_MASK, FIELD_ADDRESS + i, 4, input++,
			offsetof(struct acl_key, address) + 4 * i);
	add_field(config, RTE_ACL_FIELD_TYPE_RANGE, FIELD_SPORT, 2, input,
		offsetof(struct acl_key, ports));
	add_field(config, RTE_ACL_FIELD_TYPE_RANGE, FIELD_DPORT, 2, input,
		offsetof(struct acl_key, ports) + 2);
}

static enum acl_kind kind_of(const struct config_rule *rule)
{
	if (rule->peer_kind != PEER_NETWORK)
		return ACL_PEERS;
	return rule->network.family == AF_INET ? ACL_IPV4 : ACL_IPV6;
}

// The L4 ports that a rule asks for, or an ICMP type and code in their place.
struct ranges {
	unsigned count[2];
	struct config_range of[2][RULE_RANGES_MAX];
	bool any; // nothing is asked
};

static struct config_range one_or_all(int16_t value)
{
	uint16_t number = (uint16_t)value;
	return value < 0 ? (struct config_range){0, UINT16_MAX}
			 : (struct config_range){number, number};
}

static void find_ranges(const struct config_rule *rule, struct ranges *ranges)
{
	ranges->any = !rule->nsports && !rule->ndports && rule->icmp_type < 0;
	ranges->count[0] = rule->nsports ? rule->nsports : 1;
	ranges->count[1] = rule->ndports ? rule->ndports : 1;
	memcpy(ranges->of[0], rule->sports, sizeof(ranges->of[0]));
	memcpy(ranges->of[1], rule->dports, sizeof(ranges->of[1]));
	if (!rule->nsports)
		ranges->of[0][0] = one_or_all(rule->icmp_type);
	if (!rule->ndports)
		ranges->of[1][0] = one_or_all(rule->icmp_code);
}

static void set_address(struct acl_rule *out, const struct config_prefix *network, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		uint32_t word;
		int left = network->length - (int)(32 * i);
		memcpy(&word, network->address + 4 * i, sizeof(word));
		out->field[FIELD_ADDRESS + i].value.u32 = ntohl(word);
		out->field[FIELD_ADDRESS + i].mask_range.u32 = left < 0    ? 0
							       : left > 32 ? 32
									   : (uint32_t)left;
	}
}

// All of a rule but its L4 ports.
static void set_rule(struct acl_rule *out, const struct rules *rules, uint32_t index,
	const struct ranges *ranges)
{
	const struct rule *rule = &rules->rules[index];
	const struct config_rule *config = rule->config;
	const struct group_rules *of = &rules->of[rule->group][rule->direction];
	struct rte_acl_field *field = out->field;
	memset(out, 0, sizeof(*out));
	out->data.category_mask = 1;
	out->data.priority = (int32_t)(RTE_ACL_MAX_PRIORITY - (index - of->first));
	out->data.userdata = index + 1;
	field[FIELD_OWN_LOW].value.u8 = (uint8_t)rule->group;
	field[FIELD_OWN_LOW].mask_range.u8 = 0xff;
	field[FIELD_OWN_HIGH].value.u8 = (uint8_t)(rule->group >> 8 |
						   (ranges->any ? 0 : OWN_HAS_L4));
	field[FIELD_OWN_HIGH].mask_range.u8 = ranges->any ? 0xff ^ OWN_HAS_L4 : 0xff;
	if (config->protocol != RULE_ANY_PROTOCOL) {
		field[FIELD_PROTOCOL].value.u8 = (uint8_t)config->protocol;
		field[FIELD_PROTOCOL].mask_range.u8 = 0xff;
	}
	enum acl_kind kind = kind_of(config);
	if (kind == ACL_PEERS) {
		field[FIELD_PEER].mask_range.u16 = UINT16_MAX;
		if (config->peer_kind == PEER_GROUP)
			field[FIELD_PEER].value.u16 = (uint16_t)(1 + rules_group_number(
									     rules, config->group));
	}
	set_address(out, &config->network, address_words(kind));
}

static int add_rule(struct rte_acl_ctx *acl, const struct rules *rules, uint32_t index)
{
	struct acl_rule out;
	struct ranges ranges;
	find_ranges(rules->rules[index].config, &ranges);
	set_rule(&out, rules, index, &ranges);
	for (unsigned s = 0; s < ranges.count[0]; s++) {
		for (unsigned d = 0; d < ranges.count[1]; d++) {
			out.field[FIELD_SPORT].value.u16 = ranges.of[0][s].first;
			out.field[FIELD_SPORT].mask_range.u16 = ranges.of[0][s].last;
			out.field[FIELD_DPORT].value.u16 = ranges.of[1][d].first;
			out.field[FIELD_DPORT].mask_range.u16 = ranges.of[1][d].last;
			int rc = rte_acl_add_rules(acl, (const struct rte_acl_rule *)&out, 1);
			if (rc)
				return rc;
		}
	}
	return 0;
}

// How many rules a context has, each of its L4 ranges counted.
static uint64_t count_rules(
	const struct rules *rules, enum rule_direction direction, enum acl_kind kind)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < rules->nrules; i++) {
		struct ranges ranges;
		if (rules->rules[i].direction != direction ||
			kind_of(rules->rules[i].config) != kind)
			continue;
		find_ranges(rules->rules[i].config, &ranges);
		count += ranges.count[0] * ranges.count[1];
	}
	return count;
}

static int build(struct rte_acl_ctx *acl, const struct rules *rules, enum rule_direction direction,
	enum acl_kind kind)
{
	struct rte_acl_config config;
	make_config(&config, kind);
	int rc = 0;
	for (uint32_t i = 0; i < rules->nrules && !rc; i++)
		if (rules->rules[i].direction == direction &&
			kind_of(rules->rules[i].config) == kind)
			rc = add_rule(acl, rules, i);
	return rc ? rc : rte_acl_build(acl, &config);
}

static int make_kind(struct rules_acl *acl, const struct rules *rules,
	enum rule_direction direction, enum acl_kind kind)
{
	static unsigned number; // names are unique in a process; main thread
	char name[RTE_ACL_NAMESIZE];
	uint64_t count = count_rules(rules, direction, kind);
	if (!count)
		return 0;
	snprintf(name, sizeof(name), "rules-%u", number++);
	const struct rte_acl_param param = {
		.name = name,
		.socket_id = -1, // any
		.rule_size = RTE_ACL_RULE_SZ(field_count(kind)),
		.max_rule_num = (uint32_t)count,
	};
	acl->of[kind] = rte_acl_create(&param);
	if (!acl->of[kind])
		return -ENOMEM;
	return build(acl->of[kind], rules, direction, kind);
}

int rules_acl_init(struct rules_acl *acl, const struct rules *rules, enum rule_direction direction,
	struct error *err)
{
	int rc = 0;
	for (unsigned kind = 0; kind < ACL_KINDS && !rc; kind++)
		rc = make_kind(acl, rules, direction, kind);
	if (!rc)
		return 0;
	return error_set(err, -rc,
		"groups: no room in switch.memory for the %s rules: give it more, or rules fewer "
		"L4 ranges, and networks that overlap less",
		direction == RULE_TO_VM ? "to-vm" : "from-vm");
}

void rules_acl_fini(struct rules_acl *acl)
{
	for (unsigned kind = 0; kind < ACL_KINDS; kind++)
		rte_acl_free(acl->of[kind]);
}

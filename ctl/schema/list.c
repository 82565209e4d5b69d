// SPDX-License-Identifier: BSD-3-Clause
// Values that are lists, or may be: do they fit their key, and which item does not?
#include <stdio.h>
#include <string.h>

#include "ctl/schema/key.h"

bool type_is_list(enum key_type type)
{
	return type >= TYPE_PEER && type <= TYPE_PREFIXES;
}

size_t list_count(const struct node *node)
{
	return node->type == NODE_LIST ? node->count : 1;
}

const struct node *list_item(const struct node *node, size_t index)
{
	return node->type == NODE_LIST ? node->items[index] : node;
}

static bool ints_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	uint64_t seen[4096 / 64] = {0};
	char range[80];
	if (node->type == NODE_SCALAR)
		return key->words && !strcmp(node->text, key->words[0]);
	if (node->type != NODE_LIST || !node->count || node->count > key->count)
		return false;
	for (size_t i = 0; i < node->count; i++) {
		uint64_t number;
		*culprit = node->items[i];
		if (!node_integer(*culprit, &number) || number < key->min || number > key->max) {
			key_range(key, range, sizeof(range));
			snprintf(expected, EXPECTED_SIZE, "integers %s", range);
			return false;
		}
		if (seen[number / 64] >> number % 64 & 1) {
			snprintf(expected, EXPECTED_SIZE, "each number once");
			return false;
		}
		seen[number / 64] |= 1ull << number % 64;
	}
	return true;
}

static bool devices_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	if (node->type != NODE_LIST || !node->count || node->count > key->count)
		return false;
	const struct key one = {.type = TYPE_DEVICE};
	for (size_t i = 0; i < node->count; i++) {
		struct value value;
		*culprit = node->items[i];
		if (!value_parse(&one, *culprit, &value, expected))
			return false;
	}
	return true;
}

static bool words_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	uint64_t seen = 0;
	if (node->type != NODE_LIST)
		return false;
	for (size_t i = 0; i < node->count; i++) {
		const struct key one = {.type = TYPE_ENUM, .words = key->words};
		struct value value;
		*culprit = node->items[i];
		if (!value_parse(&one, *culprit, &value, expected))
			return false;
		if (seen >> value.number & 1) {
			snprintf(expected, EXPECTED_SIZE, "each word once");
			return false;
		}
		seen |= 1ull << value.number;
	}
	return true;
}

uint64_t words_bits(const struct key *key, const struct node *node)
{
	uint64_t bits = 0;
	for (size_t i = 0; i < node->count; i++) {
		uint64_t index = 0;
		key_word(key, node->items[i]->text, &index);
		bits |= 1ull << index;
	}
	return bits;
}

// Short lists: each name is compared with all before it.
static bool names_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	const struct key one = {.type = TYPE_NAME};
	size_t count = list_count(node);
	if (node->type == NODE_MAP || !count || count > key->count)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct value value;
		*culprit = list_item(node, i);
		if (!value_parse(&one, *culprit, &value, expected))
			return false;
		for (size_t k = 0; k < i; k++) {
			if (!strcmp(list_item(node, k)->text, (*culprit)->text)) {
				snprintf(expected, EXPECTED_SIZE, "each name once");
				return false;
			}
		}
	}
	return true;
}

static bool ports_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	size_t count = list_count(node);
	if (node->type == NODE_MAP || !count || count > key->count)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct config_range range;
		*culprit = list_item(node, i);
		if (!range_parse(*culprit, &range)) {
			snprintf(expected, EXPECTED_SIZE,
				"an L4 port from 0 to 65535 or a range such as 1000-2000");
			return false;
		}
	}
	return true;
}

// Of a network that is none it names that, not the map around it.
static bool end_fits(const struct node *node, const struct node **culprit, char *expected)
{
	struct config_chain_end end;
	if (end_parse(node, &end))
		return true;
	if (end.kind == CHAIN_END_CIDR) {
		*culprit = node->items[0];
		snprintf(expected, EXPECTED_SIZE,
			"an IP address or a network without host bits such as 10.0.0.0/24");
	}
	return false;
}

bool list_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	struct config_rule rule;
	*culprit = node;
	key_expect(key, expected, EXPECTED_SIZE);
	switch (key->type) {
	case TYPE_PEER:
		return peer_parse(node, &rule);
	case TYPE_END:
		return end_fits(node, culprit, expected);
	case TYPE_PORTS:
		return ports_parse(key, node, culprit, expected);
	case TYPE_WORDS:
		return words_parse(key, node, culprit, expected);
	case TYPE_NAMES:
		return names_parse(key, node, culprit, expected);
	case TYPE_DEVICES:
		return devices_parse(key, node, culprit, expected);
	case TYPE_PREFIXES:
		return prefixes_parse(key, node, culprit, expected);
	default:
		return ints_parse(key, node, culprit, expected);
	}
}

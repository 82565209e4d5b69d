// SPDX-License-Identifier: BSD-3-Clause
// Whether two values mean the same, however they are written.
#include <string.h>

#include "ctl/schema/key.h"

static bool scalars_equal(const struct key *key, const struct node *a, const struct node *b)
{
	char expected[EXPECTED_SIZE];
	struct value x;
	struct value y;
	if (!value_parse(key, a, &x, expected) || !value_parse(key, b, &y, expected))
		return false;
	if (key->type == TYPE_ADDRESS)
		return !memcmp(&x.address, &y.address, sizeof(x.address));
	return type_is_text(key->type) ? !strcmp(x.text, y.text) : x.number == y.number;
}

static bool ports_equal(const struct node *a, const struct node *b)
{
	size_t count = list_count(a);
	if (count != list_count(b))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct config_range x;
		struct config_range y;
		if (!range_parse(list_item(a, i), &x) || !range_parse(list_item(b, i), &y) ||
			x.first != y.first || x.last != y.last)
			return false;
	}
	return true;
}

static bool names_equal(const struct node *a, const struct node *b)
{
	size_t count = list_count(a);
	if (count != list_count(b))
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct node *x = list_item(a, i), *y = list_item(b, i);
		if (x->type != NODE_SCALAR || y->type != NODE_SCALAR || strcmp(x->text, y->text))
			return false;
	}
	return true;
}

static bool peers_equal(const struct node *a, const struct node *b)
{
	struct config_rule x;
	struct config_rule y;
	return peer_parse(a, &x) && peer_parse(b, &y) && !memcmp(&x, &y, sizeof(x));
}

static bool ends_equal(const struct node *a, const struct node *b)
{
	struct config_chain_end x;
	struct config_chain_end y;
	return end_parse(a, &x) && end_parse(b, &y) && !memcmp(&x, &y, sizeof(x));
}

static bool words_equal(const struct key *key, const struct node *a, const struct node *b)
{
	char expected[EXPECTED_SIZE];
	const struct node *culprit;
	if (!list_parse(key, a, &culprit, expected) || !list_parse(key, b, &culprit, expected))
		return false;
	return words_bits(key, a) == words_bits(key, b);
}

bool order_equal(const struct node *a, const struct node *b)
{
	bool equal = a->count == b->count;
	for (size_t i = 0; equal && i < a->count; i++)
		equal = !strcmp(a->items[i]->key, b->items[i]->key);
	return equal;
}

bool value_equal(const struct key *key, const struct node *a, const struct node *b)
{
	if (node_equal(a, b))
		return true;
	switch (key->type) {
	case TYPE_PORTS:
		return ports_equal(a, b);
	case TYPE_NAMES:
		return names_equal(a, b);
	case TYPE_PEER:
		return peers_equal(a, b);
	case TYPE_END:
		return ends_equal(a, b);
	case TYPE_WORDS:
		return words_equal(key, a, b);
	default:
		return key->type != TYPE_LATER && key->type <= TYPE_PROTOCOL &&
		       scalars_equal(key, a, b);
	}
}

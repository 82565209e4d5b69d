// SPDX-License-Identifier: BSD-3-Clause
// Walks a document beside the schema table and lands every value in struct config. Defaults have
// been written into a copy of the tree first, so that there is one way for a value to land.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/check.h"

static void store(const struct key *key, const struct value *value, char *field)
{
	uint64_t number = key->unit ? value->number / key->unit : value->number;
	if (type_is_text(key->type)) {
		memcpy(field, value->text, strlen(value->text) + 1);
		return;
	}
	if (key->type == TYPE_ADDRESS) {
		memcpy(field, &value->address, sizeof(value->address));
		return;
	}
	// Little endian, as all that DPDK runs Weir on: the low bytes are the first ones.
	memcpy(field, &number, key->size);
}

static int check_map(
	struct check *check, const struct key *key, const struct node *map, char *base);

static int check_name(struct check *check, const struct node *item)
{
	if (name_is_valid(item->key))
		return 0;
	return check_fail(check, item, NULL, EINVAL,
		"expected a name of at most %d letters, digits, _ and -", NAME_SIZE - 1);
}

static int check_item(
	struct check *check, const struct key *key, const struct node *item, char *base)
{
	size_t mark = check_push(check, item->key);
	int rc = check_name(check, item);
	if (rc == 0) {
		strcpy(base, item->key);
		rc = check_map(check, key, item, base);
	}
	check_pop(check, mark);
	return rc;
}

// One of a list, which a path names by its number, from 1.
static int check_nth(struct check *check, const struct key *key, const struct node *list,
	size_t index, char *base)
{
	char number[24];
	snprintf(number, sizeof(number), "%zu", index + 1);
	size_t mark = check_push(check, number);
	int rc = check_map(check, key, list->items[index], base);
	check_pop(check, mark);
	return rc;
}

// Room for the items of a node, where the key lands them. NULL: no memory.
static char *items_new(const struct key *key, const struct node *node, char *base)
{
	char *items = calloc(node->count + 1, key->item_size);
	if (!items)
		return NULL;
	memcpy(base + key->offset, &items, sizeof(items));
	memcpy(base + key->count_offset, &node->count, sizeof(node->count));
	return items;
}

// Maps under names of the user's choice, or in a list.
static int check_items(
	struct check *check, const struct key *key, const struct node *node, char *base)
{
	bool named = key->type == TYPE_NAMED;
	if (node->type != (named ? NODE_MAP : NODE_LIST))
		return check_mismatch(check, node, named ? "a map of names" : "a list of maps");
	if (node->count > key->count)
		return check_fail(check, node, NULL, EINVAL, "expected at most %u %s, found %zu",
			key->count, named ? "names" : "items", node->count);
	char *items = items_new(key, node, base);
	if (!items)
		return error_set(check->err, ENOMEM, "no memory for the configuration");
	int rc = 0;
	for (size_t i = 0; i < node->count && rc == 0; i++) {
		char *item = items + i * key->item_size;
		rc = named ? check_item(check, key, node->items[i], item)
			   : check_nth(check, key, node, i, item);
	}
	return rc;
}

static int check_number(
	struct check *check, const struct key *key, const struct node *node, char *item)
{
	const struct key one = {
		.type = TYPE_INT, .min = key->min, .max = key->max, .size = key->size};
	char expected[EXPECTED_SIZE];
	struct value value;
	size_t mark = check_push(check, node->key);
	int rc = check_name(check, node);
	if (rc == 0 && !value_parse(&one, node, &value, expected))
		rc = check_mismatch(check, node, expected);
	if (rc == 0) {
		strcpy(item, node->key);
		store(&one, &value, item + key->number_offset);
	}
	check_pop(check, mark);
	return rc;
}

static int check_numbers(
	struct check *check, const struct key *key, const struct node *node, char *base)
{
	char expected[EXPECTED_SIZE];
	key_expect(key, expected, sizeof(expected));
	if (node->type != NODE_MAP || !node->count || node->count > key->count)
		return check_mismatch(check, node, expected);
	char *items = items_new(key, node, base);
	if (!items)
		return error_set(check->err, ENOMEM, "no memory for the configuration");
	int rc = 0;
	for (size_t i = 0; i < node->count && rc == 0; i++)
		rc = check_number(check, key, node->items[i], items + i * key->item_size);
	return rc;
}

static int check_list(
	struct check *check, const struct key *key, const struct node *node, char *base)
{
	char expected[EXPECTED_SIZE];
	const struct node *culprit;
	if (!list_parse(key, node, &culprit, expected))
		return check_mismatch(check, culprit, expected);
	if (key->type == TYPE_WORDS) {
		const struct value bits = {.number = words_bits(key, node)};
		store(key, &bits, base + key->offset);
	} else {
		key->land(node, base);
	}
	return 0;
}

static int check_value(
	struct check *check, const struct key *key, const struct node *node, char *base)
{
	char expected[EXPECTED_SIZE];
	struct value value;
	switch (key->type) {
	case TYPE_LATER:
		return check_fail(check, node, NULL, ENOTSUP, "not supported yet");
	case TYPE_MAP:
		return check_map(check, key, node, base + key->offset);
	case TYPE_MAPS:
	case TYPE_NAMED:
		return check_items(check, key, node, base);
	case TYPE_NUMBERS:
		return check_numbers(check, key, node, base);
	default:
		if (type_is_list(key->type))
			return check_list(check, key, node, base);
		if (!value_parse(key, node, &value, expected))
			return check_mismatch(check, node, expected);
		store(key, &value, base + key->offset);
		return 0;
	}
}

static int unknown_key(struct check *check, const struct key *keys, const struct node *node)
{
	const struct key *nearest = key_nearest(keys, node->key);
	if (nearest)
		return check_fail(check, node, NULL, EINVAL,
			"unknown key; the nearest known one is %s", nearest->name);
	char list[EXPECTED_SIZE] = "";
	for (size_t used = 0; keys->name && used < sizeof(list); keys++)
		used += snprintf(
			list + used, sizeof(list) - used, "%s%s", used ? ", " : "", keys->name);
	return check_fail(check, node, NULL, EINVAL, "unknown key; known here are %s", list);
}

static int check_required(struct check *check, const struct key *keys, const struct node *map)
{
	char expected[EXPECTED_SIZE];
	struct value value;
	const struct node nothing = {.type = NODE_SCALAR, .text = (char[]){""}};
	for (; keys->name; keys++) {
		if (!keys->required || node_find(map, keys->name))
			continue;
		value_parse(keys, &nothing, &value, expected);
		return check_fail(
			check, map, keys->name, EINVAL, "expected %s, found nothing", expected);
	}
	return 0;
}

static int check_map(struct check *check, const struct key *key, const struct node *map, char *base)
{
	if (map->type != NODE_MAP)
		return check_mismatch(check, map, "a map of keys");
	int rc = 0;
	for (size_t i = 0; i < map->count && rc == 0; i++) {
		const struct node *item = map->items[i];
		const struct key *known = key_find(key->keys, item->key);
		size_t mark = check_push(check, item->key);
		rc = known ? check_value(check, known, item, base)
			   : unknown_key(check, key->keys, item);
		check_pop(check, mark);
	}
	if (rc == 0)
		rc = check_required(check, key->keys, map);
	if (rc == 0 && key->finish)
		rc = key->finish(check, map, base);
	return rc;
}

int doc_check(const struct doc *doc, struct config **out, struct error *err)
{
	struct check check = {.file = doc->file, .err = err};
	struct config *config = calloc(1, sizeof(*config));
	struct node *tree = node_copy(doc->root);
	int rc = config && tree ? tree_complete(tree, schema_root.keys) : -ENOMEM;
	if (rc < 0)
		error_set(err, ENOMEM, "no memory for the configuration");
	else
		rc = check_map(&check, &schema_root, tree, (char *)config);
	node_free(tree);
	if (rc == 0 && out)
		*out = config;
	else
		config_free(config);
	return rc;
}

// SPDX-License-Identifier: BSD-3-Clause
// Walks a document beside the schema table and lands every value in struct config. Defaults have
// been written into a copy of the tree first, so that there is one way for a value to land.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

struct check {
	const char *file;
	struct error *err;
	char path[200]; // dotted, of the map or value at hand; cut if somebody writes a very long
			// key
	size_t len;
};

enum {
	SHOWN_SIZE = 64
};

static size_t push(struct check *check, const char *key)
{
	char shown[SHOWN_SIZE];
	size_t mark = check->len;
	size_t left = sizeof(check->path) - check->len;
	size_t n = snprintf(check->path + check->len, left, "%s%s", check->len ? "." : "",
		*key ? text_show(key, shown, sizeof(shown)) : "\"\"");
	if (n < left)
		check->len += n;
	return mark;
}

static void pop(struct check *check, size_t mark)
{
	check->len = mark;
	check->path[mark] = '\0';
}

int check_fail(struct check *check, const struct node *node, const char *key, int code,
	const char *fmt, ...)
{
	char text[sizeof(check->err->text)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	size_t mark = key ? push(check, key) : check->len;
	if (check->len)
		error_set(check->err, code, "%s: %s", check->path, text);
	else
		error_set(check->err, code, "%s", text);
	pop(check, mark);
	if (check->file && node->line)
		error_prefix(check->err, "%s:%u: ", check->file, node->line);
	return -code;
}

static const char *found(const struct node *node, char *buf, size_t size)
{
	char shown[SHOWN_SIZE];
	if (node->type == NODE_MAP)
		return "a map";
	if (node->type == NODE_LIST && !node->count)
		return "an empty list";
	if (node->type == NODE_LIST) {
		snprintf(buf, size, "a list of %zu", node->count);
		return buf;
	}
	if (node_is_null(node))
		return "nothing";
	text_show(node->text, shown, sizeof(shown));
	snprintf(buf, size, node->quoted ? "\"%s\"" : "%s", shown);
	return buf;
}

static int mismatch(struct check *check, const struct node *node, const char *expected)
{
	char buf[SHOWN_SIZE + 2];
	return check_fail(check, node, NULL, EINVAL, "expected %s, found %s", expected,
		found(node, buf, sizeof(buf)));
}

static void store(const struct key *key, const struct value *value, char *field)
{
	uint64_t number = key->unit ? value->number / key->unit : value->number;
	if (type_is_text(key->type)) {
		memcpy(field, value->text, strlen(value->text) + 1);
		return;
	}
	// Little endian, as all that DPDK runs Weir on: the low bytes are the first ones.
	memcpy(field, &number, key->size);
}

static int check_map(
	struct check *check, const struct key *key, const struct node *map, char *base);

static int check_item(
	struct check *check, const struct key *key, const struct node *item, char *base)
{
	size_t mark = push(check, item->key);
	int rc = name_is_valid(item->key)
			 ? 0
			 : check_fail(check, item, NULL, EINVAL,
				   "expected a name of at most %d letters, digits, _ and -",
				   NAME_SIZE - 1);
	if (rc == 0) {
		strcpy(base, item->key);
		rc = check_map(check, key, item, base);
	}
	pop(check, mark);
	return rc;
}

// One of a list, which a path names by its number, from 1.
static int check_nth(struct check *check, const struct key *key, const struct node *list,
	size_t index, char *base)
{
	char number[24];
	snprintf(number, sizeof(number), "%zu", index + 1);
	size_t mark = push(check, number);
	int rc = check_map(check, key, list->items[index], base);
	pop(check, mark);
	return rc;
}

// Maps under names of the user's choice, or in a list.
static int check_items(
	struct check *check, const struct key *key, const struct node *node, char *base)
{
	bool named = key->type == TYPE_NAMED;
	if (node->type != (named ? NODE_MAP : NODE_LIST))
		return mismatch(check, node, named ? "a map of names" : "a list of maps");
	if (node->count > key->count)
		return check_fail(check, node, NULL, EINVAL, "expected at most %u %s, found %zu",
			key->count, named ? "names" : "items", node->count);
	char *items = calloc(node->count + 1, key->item_size);
	if (!items)
		return error_set(check->err, ENOMEM, "no memory for the configuration");
	memcpy(base + key->offset, &items, sizeof(items));
	memcpy(base + key->count_offset, &node->count, sizeof(node->count));
	int rc = 0;
	for (size_t i = 0; i < node->count && rc == 0; i++) {
		char *item = items + i * key->item_size;
		rc = named ? check_item(check, key, node->items[i], item)
			   : check_nth(check, key, node, i, item);
	}
	return rc;
}

static int check_list(
	struct check *check, const struct key *key, const struct node *node, char *base)
{
	char expected[EXPECTED_SIZE];
	const struct node *culprit;
	if (!list_parse(key, node, &culprit, expected))
		return mismatch(check, culprit, expected);
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
	default:
		if (type_is_list(key->type))
			return check_list(check, key, node, base);
		if (!value_parse(key, node, &value, expected))
			return mismatch(check, node, expected);
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
		return mismatch(check, map, "a map of keys");
	int rc = 0;
	for (size_t i = 0; i < map->count && rc == 0; i++) {
		const struct node *item = map->items[i];
		const struct key *known = key_find(key->keys, item->key);
		size_t mark = push(check, item->key);
		rc = known ? check_value(check, known, item, base)
			   : unknown_key(check, key->keys, item);
		pop(check, mark);
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

void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->bridges);
	free(config->ports);
	for (size_t i = 0; i < config->ngroups; i++) {
		free(config->groups[i].to_vm);
		free(config->groups[i].from_vm);
	}
	free(config->groups);
	free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
// Brings a tree into the schema's shape: keys in the table's order, and defaults written out.
// What does not fit the schema stays as it is, for doc_check to refuse.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

struct node *key_default(const struct key *key)
{
	if (key->fallback[0] == '[' || key->fallback[0] == '{')
		return node_parse(NULL, key->fallback, strlen(key->fallback), NULL);
	return node_new_scalar(key->fallback, false, 0);
}

static int add(struct node *map, const char *key, struct node *item)
{
	int rc = item ? node_add(map, key, item) : -ENOMEM;
	if (rc < 0)
		node_free(item);
	return rc;
}

// A map that was left out is worth writing if something inside has a default and nothing inside
// must be given.
static bool has_defaults(const struct key *key)
{
	bool some = key->always != NULL;
	if (key->optional)
		return false;
	for (const struct key *inner = key->keys; inner->name && key->type == TYPE_MAP; inner++) {
		if (inner->required)
			return false;
		if (inner->fallback || (inner->keys && has_defaults(inner)))
			some = true;
	}
	return some;
}

// Maps under names, or in a list.
static int complete_items(struct node *node, const struct key *key)
{
	int rc = 0;
	if (key->always && !node_find(node, key->always))
		rc = add(node, key->always, node_new(NODE_MAP, 0));
	for (size_t i = 0; i < node->count && rc == 0; i++)
		rc = tree_complete(node->items[i], key->keys);
	return rc;
}

static int complete_key(struct node *map, const struct key *key)
{
	struct node *item = node_find(map, key->name);
	if (!key->keys)
		return item || !key->fallback ? 0 : add(map, key->name, key_default(key));
	if (!item && has_defaults(key)) {
		item = node_new(NODE_MAP, 0);
		int rc = add(map, key->name, item);
		if (rc < 0)
			return rc;
	}
	if (!item)
		return 0;
	if (key->type == TYPE_MAPS)
		return item->type == NODE_LIST ? complete_items(item, key) : 0;
	node_null_to_map(item);
	if (item->type == NODE_MAP && key->type == TYPE_NAMED)
		return complete_items(item, key);
	return tree_complete(item, key->keys);
}

int tree_complete(struct node *map, const struct key *keys)
{
	node_null_to_map(map);
	int rc = 0;
	for (; map->type == NODE_MAP && keys->name && rc == 0; keys++)
		rc = complete_key(map, keys);
	return rc;
}

static int arrange_inner(struct node *item, const struct key *key)
{
	if (key->type == TYPE_MAP)
		return tree_arrange(item, key->keys);
	enum node_type type = key->type == TYPE_NAMED ? NODE_MAP : NODE_LIST;
	int rc = 0;
	for (size_t i = 0; i < item->count && item->type == type && rc == 0; i++)
		rc = tree_arrange(item->items[i], key->keys);
	return rc;
}

int tree_arrange(struct node *map, const struct key *keys)
{
	if (map->type != NODE_MAP || !map->count)
		return 0;
	struct node **items = malloc(map->count * sizeof(struct node *));
	if (!items)
		return -ENOMEM;
	size_t used = 0;
	int rc = 0;
	for (const struct key *key = keys; key->name && rc == 0; key++) {
		struct node *item = node_find(map, key->name);
		if (!item)
			continue;
		items[used++] = item;
		if (key->keys)
			rc = arrange_inner(item, key);
	}
	for (size_t i = 0; i < map->count && rc == 0; i++) {
		if (!key_find(keys, map->items[i]->key))
			items[used++] = map->items[i];
	}
	if (rc == 0)
		memcpy(map->items, items, map->count * sizeof(struct node *));
	free(items);
	return rc;
}

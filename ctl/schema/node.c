// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/schema/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct node *node_new(enum node_type type, unsigned line)
{
	struct node *node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->type = type;
	node->line = line;
	return node;
}

struct node *node_new_scalar(const char *text, bool quoted, unsigned line)
{
	struct node *node = node_new(NODE_SCALAR, line);
	if (!node)
		return NULL;
	node->quoted = quoted;
	node->text = strdup(text);
	if (!node->text) {
		free(node);
		return NULL;
	}
	return node;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++)
		node_free(node->items[i]);
	free(node->items);
	free(node->key);
	free(node->text);
	free(node);
}

struct node *node_copy(const struct node *node)
{
	struct node *copy = node->type == NODE_SCALAR
				    ? node_new_scalar(node->text, node->quoted, node->line)
				    : node_new(node->type, node->line);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < node->count; i++) {
		struct node *item = node_copy(node->items[i]);
		if (!item || node_add(copy, node->items[i]->key, item) < 0) {
			node_free(item);
			node_free(copy);
			return NULL;
		}
	}
	return copy;
}

int node_add(struct node *parent, const char *key, struct node *item)
{
	if (parent->count == parent->room) {
		size_t room = parent->room ? parent->room * 2 : 4;
		struct node **items = realloc(parent->items, room * sizeof(*items));
		if (!items)
			return -ENOMEM;
		parent->items = items;
		parent->room = room;
	}
	char *copy = key ? strdup(key) : NULL;
	if (key && !copy)
		return -ENOMEM;
	free(item->key);
	item->key = copy;
	parent->items[parent->count++] = item;
	return 0;
}

void node_remove(struct node *parent, size_t index)
{
	node_free(parent->items[index]);
	parent->count--;
	memmove(parent->items + index, parent->items + index + 1,
		(parent->count - index) * sizeof(*parent->items));
}

struct node *node_find(const struct node *node, const char *key)
{
	if (!node || node->type != NODE_MAP)
		return NULL;
	for (size_t i = 0; i < node->count; i++) {
		if (!strcmp(node->items[i]->key, key))
			return node->items[i];
	}
	return NULL;
}

struct node *node_twin(const struct node *node, const struct node *map, size_t index)
{
	const char *key = map->items[index]->key;
	if (node && node->type == NODE_MAP && index < node->count &&
		!strcmp(node->items[index]->key, key))
		return node->items[index];
	return node_find(node, key);
}

bool node_is_null(const struct node *node)
{
	return node->type == NODE_SCALAR && node_kind(node) == SCALAR_NULL;
}

void node_null_to_map(struct node *node)
{
	if (!node_is_null(node))
		return;
	free(node->text);
	node->text = NULL;
	node->type = NODE_MAP;
}

enum scalar_kind node_kind(const struct node *node)
{
	return node->quoted ? SCALAR_STRING : text_kind(node->text);
}

static bool scalar_equal(const struct node *a, const struct node *b)
{
	enum scalar_kind kind = node_kind(a);
	return kind == node_kind(b) && (kind == SCALAR_NULL || !strcmp(a->text, b->text));
}

bool node_equal(const struct node *a, const struct node *b)
{
	if (a->type != b->type || a->count != b->count)
		return false;
	if (a->type == NODE_SCALAR)
		return scalar_equal(a, b);
	for (size_t i = 0; i < a->count; i++) {
		const struct node *other = a->type == NODE_MAP ? node_twin(b, a, i) : b->items[i];
		if (!other || !node_equal(a->items[i], other))
			return false;
	}
	return true;
}

unsigned node_height(const struct node *node)
{
	if (node->type == NODE_SCALAR)
		return 0;
	unsigned height = 0;
	for (size_t i = 0; i < node->count; i++) {
		unsigned below = node_height(node->items[i]);
		if (below > height)
			height = below;
	}
	return height + 1;
}

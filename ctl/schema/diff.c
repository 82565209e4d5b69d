// SPDX-License-Identifier: BSD-3-Clause
// The differences between two documents as the schema understands them.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

struct diff {
	doc_diff_fn *fn;
	void *ctx;
	char path[512];
	size_t len;
	ssize_t count;
};

static size_t push(struct diff *diff, const char *key)
{
	// What is longer than this is in a document that nobody has checked.
	char shown[128];
	size_t mark = diff->len;
	size_t left = sizeof(diff->path) - diff->len;
	size_t n = snprintf(diff->path + diff->len, left, "%s%s", diff->len ? "." : "",
		text_show(key, shown, sizeof(shown)));
	if (n < left)
		diff->len += n;
	return mark;
}

static void pop(struct diff *diff, size_t mark)
{
	diff->len = mark;
	diff->path[mark] = '\0';
}

static int report(
	struct diff *diff, const struct key *key, const struct node *a, const struct node *b)
{
	char *old_value = a ? node_print_flow(a) : NULL;
	char *new_value = b ? node_print_flow(b) : NULL;
	int rc = (a && !old_value) || (b && !new_value) ? -ENOMEM : 0;
	if (rc == 0) {
		diff->count++;
		if (diff->fn)
			diff->fn(diff->ctx, diff->path, old_value, new_value,
				key ? key->effect : EFFECT_LIVE);
	}
	free(old_value);
	free(new_value);
	return rc;
}

static int diff_value(
	struct diff *diff, const struct key *key, const struct node *a, const struct node *b)
{
	struct node *fallback = NULL;
	if (key->fallback && !(fallback = key_default(key)))
		return -ENOMEM;
	if (fallback && a && value_equal(key, a, fallback))
		a = NULL;
	if (fallback && b && value_equal(key, b, fallback))
		b = NULL;
	node_free(fallback);
	if ((!a && !b) || (a && b && value_equal(key, a, b)))
		return 0;
	return report(diff, key, a, b);
}

static int diff_map(
	struct diff *diff, const struct key *keys, const struct node *a, const struct node *b);

static bool is_always(const struct key *key, const char *name)
{
	return key->always && !strcmp(key->always, name);
}

static bool maps_or_less(const struct node *a, const struct node *b)
{
	return (!a || a->type == NODE_MAP || node_is_null(a)) &&
	       (!b || b->type == NODE_MAP || node_is_null(b));
}

// An item of a map of names: whole when it comes or goes, by key when it stays.
static int diff_item(struct diff *diff, const struct key *key, const char *name,
	const struct node *a, const struct node *b)
{
	size_t mark = push(diff, name);
	int rc = 0;
	if (maps_or_less(a, b) && ((a && b) || is_always(key, name)))
		rc = diff_map(diff, key->keys, a, b);
	else if (!a || !b || !node_equal(a, b))
		rc = report(diff, key, a, b);
	pop(diff, mark);
	return rc;
}

// The names of a map, those that `other` has (or has not).
static int add_names(struct node *list, const struct node *map, const struct node *other, bool has)
{
	int rc = 0;
	for (size_t i = 0; map && i < map->count && rc == 0; i++) {
		if (!!node_twin(other, map, i) != has)
			continue;
		struct node *name = node_new_scalar(map->items[i]->key, false, 0);
		rc = name ? node_add(list, NULL, name) : -ENOMEM;
		if (rc < 0)
			node_free(name);
	}
	return rc;
}

// What names come and go is told already: is the order another than theirs at the end would be?
static int diff_order(
	struct diff *diff, const struct key *key, const struct node *a, const struct node *b)
{
	struct node *plain = node_new(NODE_LIST, 0), *now = node_new(NODE_LIST, 0);
	int rc = plain && now ? 0 : -ENOMEM;
	if (rc == 0)
		rc = add_names(plain, a, b, true);
	if (rc == 0)
		rc = add_names(plain, b, a, false);
	if (rc == 0)
		rc = add_names(now, b, b, true);
	if (rc == 0 && !node_equal(plain, now))
		rc = report(diff, key, plain, now);
	node_free(plain);
	node_free(now);
	return rc;
}

static int diff_named(
	struct diff *diff, const struct key *key, const struct node *a, const struct node *b)
{
	int rc = 0;
	for (size_t i = 0; a && i < a->count && rc == 0; i++) {
		const char *name = a->items[i]->key;
		rc = diff_item(diff, key, name, a->items[i], node_twin(b, a, i));
	}
	for (size_t i = 0; b && i < b->count && rc == 0; i++) {
		if (!node_twin(a, b, i))
			rc = diff_item(diff, key, b->items[i]->key, NULL, b->items[i]);
	}
	return rc == 0 && key->ordered ? diff_order(diff, key, a, b) : rc;
}

static int items_differ(
	const struct key *key, const struct node *a, const struct node *b, bool *differ)
{
	struct diff silent = {0};
	if (!maps_or_less(a, b)) {
		*differ = !node_equal(a, b);
		return 0;
	}
	int rc = diff_map(&silent, key->keys, a, b);
	*differ = silent.count > 0;
	return rc;
}

// How many of the first `most` items are equal, or of the last ones.
static int count_equal(const struct key *key, const struct node *a, const struct node *b,
	size_t most, bool last, size_t *count)
{
	bool differ = false;
	int rc = 0;
	*count = 0;
	while (*count < most && rc == 0) {
		size_t x = last ? a->count - 1 - *count : *count;
		size_t y = last ? b->count - 1 - *count : *count;
		rc = items_differ(key, a->items[x], b->items[y], &differ);
		if (differ)
			break;
		++*count;
	}
	return rc;
}

// Lists of maps, by the item: what stands between the equal first and the equal last ones. Their
// numbers, from 1, end the paths.
static int diff_maps(
	struct diff *diff, const struct key *key, const struct node *a, const struct node *b)
{
	const struct node none = {.type = NODE_LIST};
	size_t head, tail = 0;
	a = a ? a : &none;
	b = b ? b : &none;
	size_t most = a->count < b->count ? a->count : b->count;
	int rc = count_equal(key, a, b, most, false, &head);
	if (rc == 0)
		rc = count_equal(key, a, b, most - head, true, &tail);
	for (size_t i = head; i + tail < a->count || i + tail < b->count; i++) {
		char number[24];
		bool differ = true;
		const struct node *x = i + tail < a->count ? a->items[i] : NULL;
		const struct node *y = i + tail < b->count ? b->items[i] : NULL;
		snprintf(number, sizeof(number), "%zu", i + 1);
		size_t mark = push(diff, number);
		if (rc == 0 && x && y)
			rc = items_differ(key, x, y, &differ);
		if (rc == 0 && differ)
			rc = report(diff, key, x, y);
		pop(diff, mark);
	}
	return rc;
}

static bool lists_or_less(const struct node *a, const struct node *b)
{
	return (!a || a->type == NODE_LIST) && (!b || b->type == NODE_LIST);
}

static int diff_key(
	struct diff *diff, const struct key *key, const struct node *a, const struct node *b)
{
	if (!a && !b)
		return 0;
	if (!key->keys)
		return diff_value(diff, key, a, b);
	if (key->type == TYPE_MAPS && lists_or_less(a, b))
		return diff_maps(diff, key, a, b);
	if (key->type == TYPE_MAPS || !maps_or_less(a, b))
		return a && b && node_equal(a, b) ? 0 : report(diff, key, a, b);
	if (key->type == TYPE_NAMED)
		return diff_named(diff, key, a, b);
	return diff_map(diff, key->keys, a, b);
}

// Keys that the table does not know, of documents that nobody has checked.
static int diff_unknown(struct diff *diff, const struct key *keys, const struct node *map,
	const struct node *other, bool added)
{
	int rc = 0;
	for (size_t i = 0; map && i < map->count && rc == 0; i++) {
		const struct node *item = map->items[i];
		const struct node *twin = node_twin(other, map, i);
		if (key_find(keys, item->key) || (twin && (added || node_equal(item, twin))))
			continue;
		size_t mark = push(diff, item->key);
		rc = added ? report(diff, NULL, NULL, item) : report(diff, NULL, item, twin);
		pop(diff, mark);
	}
	return rc;
}

static int diff_map(
	struct diff *diff, const struct key *keys, const struct node *a, const struct node *b)
{
	int rc = 0;
	for (const struct key *key = keys; key->name && rc == 0; key++) {
		size_t mark = push(diff, key->name);
		rc = diff_key(diff, key, node_find(a, key->name), node_find(b, key->name));
		pop(diff, mark);
	}
	if (rc == 0)
		rc = diff_unknown(diff, keys, a, b, false);
	if (rc == 0)
		rc = diff_unknown(diff, keys, b, a, true);
	return rc;
}

ssize_t doc_diff(const struct doc *from, const struct doc *to, doc_diff_fn *fn, void *ctx)
{
	struct diff diff = {.fn = fn, .ctx = ctx};
	int rc = diff_map(&diff, schema_root.keys, from->root, to->root);
	return rc < 0 ? rc : diff.count;
}

const char *schema_effect_name(enum schema_effect effect)
{
	static const char *const names[] = {
		[EFFECT_LIVE] = "live",
		[EFFECT_PORT] = "reopens the port",
		[EFFECT_RESTART] = "restart",
	};
	return names[effect];
}

// SPDX-License-Identifier: BSD-3-Clause
// Edits of a document by dotted paths. Names hold no dots, so a path is never ambiguous.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

enum {
	PATH_SIZE = 512
};

// A path cut into its keys, in place.
struct path {
	char text[PATH_SIZE];
	char *keys[DOC_DEPTH_MAX];
	unsigned count;
};

static int path_parse(struct path *path, const char *text, struct error *err)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	char shown[64];
	size_t len = strlen(text);
	bool good = len && len < PATH_SIZE && text[strspn(text, allowed)] == '\0' &&
		    text[0] != '.' && text[len - 1] != '.' && !strstr(text, "..");
	path->count = 0;
	if (!good)
		return error_set(err, EINVAL, "expected keys separated by dots, found %s",
			*text ? text_show(text, shown, sizeof(shown)) : "nothing");
	memcpy(path->text, text, len + 1);
	char *rest = path->text;
	while (rest) {
		if (path->count == DOC_DEPTH_MAX)
			return error_set(
				err, EINVAL, "more than %d levels of nesting", DOC_DEPTH_MAX);
		path->keys[path->count++] = strsep(&rest, ".");
	}
	return 0;
}

static struct node *walk(struct node *node, const struct path *path, unsigned count)
{
	for (unsigned i = 0; i < count && node; i++)
		node = node_find(node, path->keys[i]);
	return node;
}

static int put(struct node *map, const char *key, struct node *item)
{
	struct node *old = node_find(map, key);
	if (!old)
		return node_add(map, key, item);
	for (size_t i = 0; i < map->count; i++) {
		if (map->items[i] == old)
			map->items[i] = item;
	}
	item->key = old->key;
	old->key = NULL;
	node_free(old);
	return 0;
}

// The map at path[0 … count), with the maps on the way made. NULL and *err if something else stands
// in the way or memory is short.
static struct node *make_way(struct node *node, const char *text, const struct path *path,
	unsigned count, struct error *err)
{
	for (unsigned i = 0; i < count; i++) {
		struct node *next = node_find(node, path->keys[i]);
		if (!next) {
			next = node_new(NODE_MAP, 0);
			if (!next || node_add(node, path->keys[i], next) < 0) {
				node_free(next);
				error_set(err, ENOMEM, "no memory for the document");
				return NULL;
			}
		}
		node_null_to_map(next);
		if (next->type != NODE_MAP) {
			int len = path->keys[i] - path->text + strlen(path->keys[i]);
			error_set(err, EINVAL, "%.*s is not a map, so it has no key %s", len, text,
				path->keys[i + 1]);
			return NULL;
		}
		node = next;
	}
	return node;
}

int doc_set(struct doc *doc, const char *text, const char *value, struct error *err)
{
	struct path path;
	struct error inner = {0};
	int rc = path_parse(&path, text, err);
	if (rc < 0)
		return rc;
	struct node *item = node_parse(NULL, value, strlen(value), &inner);
	if (!item)
		return error_set(err, inner.code, "%s: %s", text, inner.text);
	if (path.count + node_height(item) > DOC_DEPTH_MAX) {
		node_free(item);
		return error_set(
			err, EINVAL, "%s: more than %d levels of nesting", text, DOC_DEPTH_MAX);
	}
	struct node *map = make_way(doc->root, text, &path, path.count - 1, &inner);
	rc = map ? put(map, path.keys[path.count - 1], item) : -inner.code;
	if (rc < 0)
		node_free(item);
	if (!map)
		error_set(err, inner.code, "%s", inner.text);
	else if (rc < 0)
		error_set(err, ENOMEM, "no memory for the document");
	return rc;
}

int doc_remove(struct doc *doc, const char *text, struct error *err)
{
	struct path path;
	int rc = path_parse(&path, text, err);
	if (rc < 0)
		return rc;
	struct node *map = walk(doc->root, &path, path.count - 1);
	const struct node *item = node_find(map, path.keys[path.count - 1]);
	for (size_t i = 0; item && i < map->count; i++) {
		if (map->items[i] == item) {
			node_remove(map, i);
			return 0;
		}
	}
	return error_set(err, ENOENT, "%s: there is no such key", text);
}

bool doc_has(const struct doc *doc, const char *text)
{
	struct path path;
	return path_parse(&path, text, NULL) == 0 && walk(doc->root, &path, path.count);
}

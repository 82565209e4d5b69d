// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

static struct doc *doc_wrap(const char *file, struct node *root)
{
	struct doc *doc = calloc(1, sizeof(*doc));
	if (doc && file)
		doc->file = strdup(file);
	if (!doc || !root || (file && !doc->file)) {
		node_free(root);
		free(doc);
		return NULL;
	}
	doc->root = root;
	return doc;
}

struct doc *doc_parse(const char *file, const char *text, size_t len, struct error *err)
{
	struct node *root = node_parse(file, text, len, err);
	if (!root)
		return NULL;
	node_null_to_map(root);
	if (root->type != NODE_MAP) {
		const char *type = root->type == NODE_LIST ? "a list" : "a text";
		error_set(err, EINVAL, "expected a map of keys, found %s", type);
		if (file)
			error_prefix(err, "%s:%u: ", file, root->line);
		node_free(root);
		return NULL;
	}
	struct doc *doc = doc_wrap(file, root);
	if (!doc)
		error_set(err, ENOMEM, "no memory for the document");
	return doc;
}

struct doc *doc_new(void)
{
	return doc_wrap(NULL, node_new(NODE_MAP, 0));
}

struct doc *doc_copy(const struct doc *doc)
{
	return doc_wrap(doc->file, node_copy(doc->root));
}

void doc_free(struct doc *doc)
{
	if (!doc)
		return;
	node_free(doc->root);
	free(doc->file);
	free(doc);
}

bool doc_equal(const struct doc *a, const struct doc *b)
{
	bool equal = node_equal(a->root, b->root);
	for (const struct key *key = schema_root.keys; equal && key->name; key++) {
		const struct node *x = node_find(a->root, key->name);
		if (key->ordered && x)
			equal = order_equal(x, node_find(b->root, key->name));
	}
	return equal;
}

char *doc_print(const struct doc *doc, bool with_defaults)
{
	struct node *tree = node_copy(doc->root);
	if (!tree)
		return NULL;
	int rc = with_defaults ? tree_complete(tree, schema_root.keys) : 0;
	if (rc == 0)
		rc = tree_arrange(tree, schema_root.keys);
	char *text = rc == 0 ? node_print(tree) : NULL;
	node_free(tree);
	return text;
}

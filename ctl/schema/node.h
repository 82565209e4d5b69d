// SPDX-License-Identifier: BSD-3-Clause
// The tree of a document: maps, lists and scalars as they were written, with their lines. It knows
// YAML's scalar kinds but nothing of Weir's keys. Every function that allocates may return NULL
// for want of memory. The tree is finite and at most DOC_DEPTH_MAX deep, so walkers may recurse.
#ifndef WEIR_CTL_SCHEMA_NODE_H
#define WEIR_CTL_SCHEMA_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum node_type {
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP
};

struct node {
	enum node_type type;
	bool quoted;   // NODE_SCALAR: written in quotes or as a block, so surely a string
	unsigned line; // of its key if it has one; 0: not from a file
	char *key;     // in a map
	char *text;    // NODE_SCALAR; UTF-8 without NUL
	struct node **items;
	size_t count;
	size_t room;
};

struct doc {
	char *file;        // NULL: none
	struct node *root; // a map
};

// What a scalar is by YAML's core schema.
enum scalar_kind {
	SCALAR_NULL,
	SCALAR_BOOL,
	SCALAR_NUMBER,
	SCALAR_STRING
};

struct node *node_new(enum node_type type, unsigned line);
struct node *node_new_scalar(const char *text, bool quoted, unsigned line);
struct node *node_copy(const struct node *node);
void node_free(struct node *node);

// Appends item, which the parent then owns; key (copied) if the parent is a map. -ENOMEM leaves
// item with the caller.
int node_add(struct node *parent, const char *key, struct node *item);
void node_remove(struct node *parent, size_t index);

// The item of a map under that key; NULL if there is none or node is no map (or NULL).
struct node *node_find(const struct node *node, const char *key);
// The same for the key of map->items[index] of a similar map: quick if it stands at the same place.
struct node *node_twin(const struct node *node, const struct node *map, size_t index);
// Empties a null scalar (`ports:` with nothing behind it) into the map that it stands for.
void node_null_to_map(struct node *node);
bool node_is_null(const struct node *node);
enum scalar_kind node_kind(const struct node *node);
// Maps are equal whatever the order of their keys; scalars if kind and text are.
bool node_equal(const struct node *a, const struct node *b);
// Levels of collections, a scalar has 0.
unsigned node_height(const struct node *node);

// Would the text, unquoted, be taken for something else than a string by a YAML 1.1 or 1.2 reader?
bool text_is_ambiguous(const char *text);
enum scalar_kind text_kind(const char *text);

// node_parse reads one YAML document; file NULL: the text is a value given by hand and has no
// lines. NULL root for an empty document gives a null scalar. NULL and *err on an error.
struct node *node_parse(const char *file, const char *text, size_t len, struct error *err);

// YAML text of the tree: block style for the upper levels, or all in one line of flow style without
// a newline. Allocated.
char *node_print(const struct node *node);
char *node_print_flow(const struct node *node);

// Text as it may stand in an error or a path: valid UTF-8 cut between characters to fit, with '?'
// for control characters. Returns buf.
const char *text_show(const char *text, char *buf, size_t size);

#endif

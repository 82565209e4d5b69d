// SPDX-License-Identifier: BSD-3-Clause
// From YAML text to a tree, by libyaml's events. What would make a document more than a finite tree
// of plain values is refused here: aliases, anchors, tags, a second document, too deep nesting.
#include "ctl/schema/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "ctl/schema/schema.h"

// Bounds the memory that a document of `[],[],…` would take, a long way above what PORTS_MAX needs.
enum {
	NODES_MAX = 1 << 20
};

struct reader {
	yaml_parser_t parser;
	const char *file;
	const char *text;
	struct error *err;
	struct node *root;
	struct node *open[DOC_DEPTH_MAX]; // the collections around the current event
	unsigned depth;
	char *key; // of the map item whose value comes next
	unsigned key_line;
	size_t nodes;
	bool ended;
};

static int fail(struct reader *r, unsigned line, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct reader *r, unsigned line, int code, const char *fmt, ...)
{
	char text[sizeof(r->err->text)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!r->file)
		return error_set(r->err, code, "%s", text);
	return error_set(r->err, code, "%s:%u: %s", r->file, line, text);
}

static int no_memory(struct reader *r)
{
	return error_set(r->err, ENOMEM, "no memory for the document");
}

// libyaml's reader (bytes to characters) reports an offset, its scanner and parser a mark.
static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	if (p->error == YAML_READER_ERROR) {
		unsigned line = 1;
		for (size_t i = 0; i < p->problem_offset; i++)
			line += r->text[i] == '\n';
		return fail(r, line, EINVAL, "not valid YAML: %s", p->problem);
	}
	return fail(r, p->problem_mark.line + 1, EINVAL, "not valid YAML: %s%s%s", p->problem,
		p->context ? " " : "", p->context ? p->context : "");
}

static unsigned line_of(const struct reader *r, const yaml_event_t *event)
{
	return r->file ? event->start_mark.line + 1 : 0;
}

// Hangs a new node into the open collection, or makes it the root. Consumes node in any case.
static int attach(struct reader *r, struct node *node)
{
	if (!node)
		return no_memory(r);
	if (++r->nodes > NODES_MAX) {
		unsigned line = node->line;
		node_free(node);
		return fail(r, line, EINVAL, "more than %d values", NODES_MAX);
	}
	if (!r->depth) {
		r->root = node;
		return 0;
	}
	if (r->key)
		node->line = r->key_line;
	int rc = node_add(r->open[r->depth - 1], r->key, node);
	free(r->key);
	r->key = NULL;
	if (rc < 0) {
		node_free(node);
		return no_memory(r);
	}
	return 0;
}

static bool wants_key(const struct reader *r)
{
	return r->depth && r->open[r->depth - 1]->type == NODE_MAP && !r->key;
}

static int on_scalar(struct reader *r, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	unsigned line = line_of(r, event);
	if (strlen(text) != event->data.scalar.length)
		return fail(
			r, line, EINVAL, "a text holds the character NUL, which is not allowed");
	if (!wants_key(r)) {
		bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		return attach(r, node_new_scalar(text, quoted, line));
	}
	r->key_line = line;
	r->key = strdup(text);
	return r->key ? 0 : no_memory(r);
}

static int on_open(struct reader *r, enum node_type type, unsigned line)
{
	if (wants_key(r))
		return fail(r, line, EINVAL, "expected a key, found a %s",
			type == NODE_MAP ? "map" : "list");
	if (r->depth == DOC_DEPTH_MAX)
		return fail(r, line, EINVAL, "more than %d levels of nesting", DOC_DEPTH_MAX);
	struct node *node = node_new(type, line);
	int rc = attach(r, node);
	if (rc == 0)
		r->open[r->depth++] = node;
	return rc;
}

static int by_key(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a;
	const struct node *y = *(struct node *const *)b;
	int order = strcmp(x->key, y->key);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

// Sorted, so that a map of a hundred thousand keys does not take minutes.
static int refuse_duplicates(struct reader *r, const struct node *map)
{
	if (map->count < 2)
		return 0;
	struct node **sorted = malloc(map->count * sizeof(struct node *));
	if (!sorted)
		return no_memory(r);
	memcpy(sorted, map->items, map->count * sizeof(struct node *));
	qsort(sorted, map->count, sizeof(struct node *), by_key);
	int rc = 0;
	char shown[80];
	for (size_t i = 1; i < map->count && rc == 0; i++) {
		if (!strcmp(sorted[i]->key, sorted[i - 1]->key))
			rc = fail(r, sorted[i]->line, EINVAL,
				"the key %s stands twice, first in line %u",
				text_show(sorted[i]->key, shown, sizeof(shown)),
				sorted[i - 1]->line);
	}
	free(sorted);
	return rc;
}

static int on_close(struct reader *r)
{
	const struct node *node = r->open[--r->depth];
	return node->type == NODE_MAP ? refuse_duplicates(r, node) : 0;
}

static int refuse_properties(struct reader *r, const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL;
	const yaml_char_t *tag = NULL;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		return fail(r, line_of(r, event), EINVAL, "anchors (&name) are not allowed");
	if (tag)
		return fail(r, line_of(r, event), EINVAL, "tags (!name) are not allowed");
	return 0;
}

static int on_event(struct reader *r, const yaml_event_t *event)
{
	unsigned line = line_of(r, event);
	int rc = refuse_properties(r, event);
	if (rc < 0)
		return rc;
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return r->root ? fail(r, line, EINVAL, "a second document begins, expected one")
			       : 0;
	case YAML_ALIAS_EVENT:
		return fail(r, line, EINVAL, "aliases (*name) are not allowed");
	case YAML_SCALAR_EVENT:
		return on_scalar(r, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, NODE_LIST, line);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, NODE_MAP, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(r);
	case YAML_STREAM_END_EVENT:
		r->ended = true;
		return 0;
	default:
		return 0;
	}
}

static int read_events(struct reader *r)
{
	int rc = 0;
	while (rc == 0 && !r->ended) {
		yaml_event_t event;
		if (!yaml_parser_parse(&r->parser, &event))
			return syntax_error(r);
		rc = on_event(r, &event);
		yaml_event_delete(&event);
	}
	if (rc == 0 && !r->root)
		return attach(r, node_new_scalar("", false, r->file ? 1 : 0));
	return rc;
}

struct node *node_parse(const char *file, const char *text, size_t len, struct error *err)
{
	struct reader r = {.file = file, .text = text, .err = err};
	if (len > DOC_BYTES_MAX) {
		fail(&r, 1, EINVAL, "expected at most %d bytes, found %zu", DOC_BYTES_MAX, len);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		no_memory(&r);
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	int rc = read_events(&r);
	yaml_parser_delete(&r.parser);
	free(r.key);
	if (rc == 0)
		return r.root;
	node_free(r.root);
	return NULL;
}

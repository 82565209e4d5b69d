// SPDX-License-Identifier: BSD-3-Clause
// From a tree to YAML text, by libyaml's emitter. Reading the text back gives an equal tree: what
// an unquoted reader could take for a number, a truth value or nothing stands in quotes.
#include "ctl/schema/node.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

// Sections and their entries (`ports:`, `vm1:`) stand in lines of their own; what is below reads
// better in one line as long as it is no deeper than this.
enum {
	BLOCK_DEPTH = 3,
	FLOW_HEIGHT = 2
};

struct buffer {
	char *data;
	size_t len;
	size_t room;
};

static int append(void *ctx, unsigned char *bytes, size_t len)
{
	struct buffer *out = ctx;
	if (out->room - out->len <= len) {
		size_t room = (out->len + len + 1) * 2;
		char *data = realloc(out->data, room);
		if (!data)
			return 0;
		out->data = data;
		out->room = room;
	}
	memcpy(out->data + out->len, bytes, len);
	out->len += len;
	out->data[out->len] = '\0';
	return 1;
}

// Stricter than YAML: what is safe in block and flow style, as a value and as a key.
static bool plain_is_safe(const char *text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.";
	static const char other[] = "@%+=-";
	if (!*text || !strchr(first, *text) || (*text == '.' && text[1] != '/'))
		return false;
	for (const char *c = text; *c; c++) {
		if (!strchr(first, *c) && !strchr(other, *c))
			return false;
	}
	return !text_is_ambiguous(text);
}

static bool emit_text(yaml_emitter_t *emitter, const char *text, bool plain)
{
	yaml_event_t event;
	yaml_scalar_style_t style = plain ? YAML_PLAIN_SCALAR_STYLE
					  : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	return yaml_scalar_event_initialize(
		       &event, NULL, NULL, (const yaml_char_t *)text, strlen(text), 1, 1, style) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool emit_scalar(yaml_emitter_t *emitter, const struct node *node)
{
	switch (node_kind(node)) {
	case SCALAR_NULL:
		return emit_text(emitter, "null", true);
	case SCALAR_STRING:
		return emit_text(emitter, node->text, plain_is_safe(node->text));
	default:
		return emit_text(emitter, node->text, true);
	}
}

static bool emit_open(yaml_emitter_t *emitter, enum node_type type, bool flow)
{
	yaml_event_t event;
	int rc;
	if (type == NODE_MAP)
		rc = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
			flow ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE);
	else
		rc = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
			flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
	return rc && yaml_emitter_emit(emitter, &event);
}

static bool emit_close(yaml_emitter_t *emitter, enum node_type type)
{
	yaml_event_t event;
	int rc = type == NODE_MAP ? yaml_mapping_end_event_initialize(&event)
				  : yaml_sequence_end_event_initialize(&event);
	return rc && yaml_emitter_emit(emitter, &event);
}

static bool is_list_of_maps(const struct node *node)
{
	return node->type == NODE_LIST && node->count && node->items[0]->type == NODE_MAP;
}

static bool emit_node(yaml_emitter_t *emitter, const struct node *node, unsigned depth, bool flow)
{
	if (node->type == NODE_SCALAR)
		return emit_scalar(emitter, node);
	if (!flow) {
		unsigned height = node_height(node);
		flow = (node->type == NODE_LIST && height == 1) ||
		       (depth >= BLOCK_DEPTH && height <= FLOW_HEIGHT && !is_list_of_maps(node));
	}
	if (!emit_open(emitter, node->type, flow))
		return false;
	for (size_t i = 0; i < node->count; i++) {
		const struct node *item = node->items[i];
		if (item->key && !emit_text(emitter, item->key, plain_is_safe(item->key)))
			return false;
		if (!emit_node(emitter, item, depth + 1, flow))
			return false;
	}
	return emit_close(emitter, node->type);
}

static bool emit_document(yaml_emitter_t *emitter, const struct node *node, bool flow)
{
	yaml_event_t event;
	return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	       yaml_emitter_emit(emitter, &event) &&
	       yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
	       yaml_emitter_emit(emitter, &event) && emit_node(emitter, node, 0, flow) &&
	       yaml_document_end_event_initialize(&event, 1) &&
	       yaml_emitter_emit(emitter, &event) && yaml_stream_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static char *print(const struct node *node, bool flow)
{
	struct buffer out = {0};
	yaml_emitter_t emitter;
	if (!yaml_emitter_initialize(&emitter))
		return NULL;
	yaml_emitter_set_output(&emitter, append, &out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1); // never break a line
	bool done = emit_document(&emitter, node, flow);
	yaml_emitter_delete(&emitter);
	if (done)
		return out.data;
	free(out.data);
	return NULL;
}

char *node_print(const struct node *node)
{
	return print(node, false);
}

char *node_print_flow(const struct node *node)
{
	char *text = print(node, true);
	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

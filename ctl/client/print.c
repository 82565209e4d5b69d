// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/print.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const json_t *print_find(const json_t *item, const char *path)
{
	char key[64];
	while (item && *path) {
		size_t len = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		item = json_object_get(item, key);
		path += len + (path[len] == '.');
	}
	return item;
}

static void append(char *text, size_t size, const json_t *value)
{
	size_t n = strlen(text);
	if (json_is_string(value))
		snprintf(text + n, size - n, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text + n, size - n, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(text + n, size - n, "%s", json_is_true(value) ? "yes" : "no");
}

// A value as it stands in a cell; of an array, its items.
static void cell(char *text, size_t size, const json_t *value)
{
	size_t i;
	json_t *one;
	*text = 0;
	append(text, size, value);
	json_array_foreach (value, i, one) {
		size_t n = strlen(text);
		snprintf(text + n, size - n, "%s", i ? " " : "");
		append(text, size, one);
	}
}

static struct libscols_table *new_table(void)
{
	scols_init_debug(0);
	struct libscols_table *table = scols_new_table();
	// A table that is piped on is not cut to a terminal's width.
	if (table)
		scols_table_set_termforce(table, SCOLS_TERMFORCE_AUTO);
	return table;
}

void print_table(const struct column *columns, size_t count, const json_t *items, bool headings)
{
	struct libscols_table *table = new_table();
	if (!table)
		return;
	scols_table_enable_noheadings(table, !headings);
	for (size_t c = 0; c < count; c++)
		scols_table_new_column(
			table, columns[c].title, 0, columns[c].right ? SCOLS_FL_RIGHT : 0);
	size_t i;
	json_t *item;
	json_array_foreach (items, i, item) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; line && c < count; c++) {
			char text[1024];
			cell(text, sizeof(text), print_find(item, columns[c].path));
			scols_line_set_data(line, c, text);
		}
	}
	// An empty table still says what would stand in it.
	if (!json_array_size(items) && headings)
		for (size_t c = 0; c < count; c++)
			printf("%s%s", columns[c].title, c + 1 < count ? " " : "\n");
	else
		scols_print_table(table);
	scols_unref_table(table);
}

void print_item(const struct column *columns, size_t count, const json_t *item)
{
	static const struct column pair[] = {{"KEY", "key", false}, {"VALUE", "value", false}};
	json_t *rows = json_array();
	for (size_t c = 0; c < count; c++) {
		char text[1024];
		cell(text, sizeof(text), print_find(item, columns[c].path));
		if (*text)
			json_array_append_new(rows,
				json_pack("{s:s, s:s}", "key", columns[c].title, "value", text));
	}
	print_table(pair, 2, rows, false);
	json_decref(rows);
}

static void fit(struct print_stream *stream, size_t column, const char *text)
{
	int width = (int)strlen(text);
	if (stream->widths[column] < width)
		stream->widths[column] = width;
}

static void print_cell(const struct print_stream *stream, size_t column, const char *text)
{
	bool last = column + 1 == stream->count;
	int width = stream->widths[column];
	if (stream->columns[column].right)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
	putchar(last ? '\n' : ' ');
}

static void print_headings(struct print_stream *stream, const json_t *items)
{
	size_t i;
	json_t *item;
	char text[256];
	for (size_t c = 0; c < stream->count; c++) {
		fit(stream, c, stream->columns[c].title);
		json_array_foreach (items, i, item) {
			cell(text, sizeof(text), print_find(item, stream->columns[c].path));
			fit(stream, c, text);
		}
	}
	for (size_t c = 0; c < stream->count; c++)
		print_cell(stream, c, stream->columns[c].title);
	stream->begun = true;
}

void print_stream(struct print_stream *stream, const json_t *items)
{
	size_t i;
	json_t *item;
	char text[256];
	if (!stream->json && !stream->begun && json_array_size(items))
		print_headings(stream, items);
	json_array_foreach (items, i, item) {
		if (stream->json) {
			fputs(stream->begun ? ",\n  " : "[\n  ", stdout);
			json_dumpf(item, stdout, 0);
			stream->begun = true;
			continue;
		}
		for (size_t c = 0; c < stream->count; c++) {
			cell(text, sizeof(text), print_find(item, stream->columns[c].path));
			print_cell(stream, c, text);
		}
	}
}

void print_stream_end(struct print_stream *stream)
{
	if (stream->json)
		fputs(stream->begun ? "\n]\n" : "[]\n", stdout);
	else if (!stream->begun)
		print_headings(stream, NULL);
}

void print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

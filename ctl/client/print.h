// SPDX-License-Identifier: BSD-3-Clause
// What reading commands print.
#ifndef WEIR_CTL_CLIENT_PRINT_H
#define WEIR_CTL_CLIENT_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct column {
	const char *title;
	const char *path; // of the value in an item, dotted
	bool right;       // numbers
};

// The value at a dotted path; NULL: there is none. Borrowed.
const json_t *print_find(const json_t *item, const char *path);
// An array of items as a table, one line each. `headings` false: for a table of keys and values.
void print_table(const struct column *columns, size_t count, const json_t *items, bool headings);
// An item as a table of titles and values.
void print_item(const struct column *columns, size_t count, const json_t *item);

// A list that is printed as its items come, so that it needs no more memory than one page. Columns
// are as wide as the first items ask for. Zeroed but for what is set at its start.
enum {
	STREAM_COLUMNS = 16
};
struct print_stream {
	const struct column *columns;
	size_t count; // up to STREAM_COLUMNS
	bool json;
	bool begun;
	int widths[STREAM_COLUMNS];
};
void print_stream(struct print_stream *stream, const json_t *items);
void print_stream_end(struct print_stream *stream);

void print_json(const json_t *value);

#endif

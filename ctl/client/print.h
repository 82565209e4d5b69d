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
void print_json(const json_t *value);

#endif

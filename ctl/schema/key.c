// SPDX-License-Identifier: BSD-3-Clause
// Looking up keys in a table, also wrongly written ones.
#include <stdint.h>
#include <string.h>

#include "ctl/schema/key.h"

enum {
	KEY_LEN_MAX = 32
};

const struct key *key_find(const struct key *keys, const char *name)
{
	for (; keys->name; keys++) {
		if (!strcmp(keys->name, name))
			return keys;
	}
	return NULL;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;
	return least < c ? least : c;
}

// Letters to insert, remove, replace, or swap with their neighbour, to turn a into b.
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][KEY_LEN_MAX + 1];
	size_t alen = strnlen(a, KEY_LEN_MAX);
	size_t blen = strnlen(b, KEY_LEN_MAX);
	for (size_t j = 0; j <= blen; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= alen; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *last = rows[(i - 1) % 3];
		const unsigned *before = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			row[j] = min3(
				last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
	}
	return rows[alen % 3][blen];
}

const struct key *key_nearest(const struct key *keys, const char *name)
{
	const struct key *nearest = NULL;
	unsigned least = UINT32_MAX;
	for (; keys->name; keys++) {
		unsigned distance = edit_distance(name, keys->name);
		if (distance < least && distance <= (strlen(keys->name) + 1) / 2) {
			least = distance;
			nearest = keys;
		}
	}
	return nearest;
}

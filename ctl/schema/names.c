// SPDX-License-Identifier: BSD-3-Clause
// Named items, sorted: 65,536 rules may name a group each, and as many instances a port.
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

static int compare(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

bool names_make(struct names *names, const void *items, size_t count, size_t item_size)
{
	names->count = count;
	names->sorted = calloc(count + 1, sizeof(*names->sorted));
	if (!names->sorted)
		return false;
	for (size_t i = 0; i < count; i++)
		names->sorted[i] = (const char *)items + i * item_size;
	qsort(names->sorted, count, sizeof(*names->sorted), compare);
	return true;
}

void names_free(struct names *names)
{
	free(names->sorted);
}

const void *names_find(const struct names *names, const char *name)
{
	const char **found = bsearch(
		&name, names->sorted, names->count, sizeof(*names->sorted), compare);
	return found ? *found : NULL;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/arrivals.h"

#include <errno.h>
#include <stdlib.h>

int arrivals_init(struct arrivals *a, uint32_t count, uint64_t length, uint64_t tsc)
{
	*a = (struct arrivals){
		.start = tsc, .length = length, .end = tsc + length, .looked = tsc, .count = count};
	if (!count || count > ARRIVALS_MAX || !length)
		return -EINVAL;
	a->gaps = calloc(count, sizeof(*a->gaps));
	return a->gaps ? 0 : -ENOMEM;
}

void arrivals_fini(struct arrivals *a)
{
	free(a->gaps);
	a->gaps = NULL;
}

void arrivals_advance(struct arrivals *a, uint64_t tsc)
{
	uint64_t gap = tsc - a->looked;
	while (tsc >= a->end) {
		if (++a->now == a->count) {
			a->end = UINT64_MAX;
			return;
		}
		a->gaps[a->now] = gap < UINT32_MAX ? (uint32_t)gap : UINT32_MAX;
		a->end += a->length;
	}
}

// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/histogram.h"

static uint32_t upper_end(unsigned class)
{
	if (class < 2 * HISTOGRAM_STEPS)
		return class;
	unsigned shift = class / HISTOGRAM_STEPS - 1;
	uint64_t first = (uint64_t)(class - shift * HISTOGRAM_STEPS) << shift;
	return (uint32_t)(first + (1ull << shift) - 1);
}

uint32_t histogram_quantile(const struct histogram *h, double share)
{
	uint64_t seen = 0;
	double wanted = share * (double)h->total;
	for (unsigned class = 0; class < HISTOGRAM_SIZE && h->total; class ++) {
		seen += h->count[class];
		if (seen && (double)seen >= wanted) {
			uint32_t end = upper_end(class);
			return end < h->max ? end : h->max;
		}
	}
	return 0;
}

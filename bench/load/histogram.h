// SPDX-License-Identifier: BSD-3-Clause
// Counts values of 32 bits in classes whose width grows with the value: each is right to 1/32.
#ifndef WEIR_BENCH_HISTOGRAM_H
#define WEIR_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_STEPS = 32, // classes per power of two
	HISTOGRAM_SIZE = 28 * HISTOGRAM_STEPS
};

struct histogram {
	uint64_t count[HISTOGRAM_SIZE];
	uint64_t total;
	uint32_t max;
};

static inline void histogram_add(struct histogram *h, uint32_t value)
{
	unsigned class = value;
	if (value >= HISTOGRAM_STEPS) {
		unsigned shift = 26 - (unsigned)__builtin_clz(value);
		class = shift * HISTOGRAM_STEPS + (value >> shift);
	}
	h->count[class]++;
	h->total++;
	if (value > h->max)
		h->max = value;
}

// The value below or at which `share` (0 to 1) of all lie; the upper end of its class, and never
// above the largest one. 0 if there are none.
uint32_t histogram_quantile(const struct histogram *h, double share);

#endif

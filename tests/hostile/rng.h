// SPDX-License-Identifier: BSD-3-Clause
// Random numbers that are the same on each machine: SplitMix64 (Steele, Lea, Flood 2014).
#ifndef WEIR_TESTS_HOSTILE_RNG_H
#define WEIR_TESTS_HOSTILE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

// A stream of its own for each number, so that one mutation can be had again without those before.
static inline struct rng rng_of(uint64_t seed, uint64_t number)
{
	struct rng r = {seed};
	return (struct rng){rng_next(&r) ^ number * 0xd1342543de82ef95};
}

// 0 … n - 1; n > 0.
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

static inline bool rng_one_in(struct rng *r, uint32_t n)
{
	return !rng_below(r, n);
}

// Random, but often small, or with few bits, or just below the top: what limits are tried with.
static inline uint64_t rng_edge(struct rng *r)
{
	switch (rng_below(r, 4)) {
	case 0:
		return rng_below(r, 300);
	case 1:
		return 1ULL << rng_below(r, 64);
	case 2:
		return -(uint64_t)rng_below(r, 5000);
	default:
		return rng_next(r) >> rng_below(r, 64);
	}
}

static inline void rng_fill(struct rng *r, void *to, size_t n)
{
	for (uint8_t *at = to; n--; at++)
		*at = (uint8_t)rng_next(r);
}

#endif

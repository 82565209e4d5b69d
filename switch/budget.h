// SPDX-License-Identifier: BSD-3-Clause
// A budget of frames per second that several workers share: a token bucket that holds what comes in
// 100 ms, and one frame at least.
//
// It is kept as a time: when it would be full again (GCRA, ITU-T I.371). So taking is one
// compare-and-swap, filling needs nobody, and where nothing is left nothing is written: workers
// that drop a storm only read. Workers may disagree about the time by what their CPUs' time stamp
// counters do.
#ifndef WEIR_SWITCH_BUDGET_H
#define WEIR_SWITCH_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	// Of a TSC cycle, so that the cost of a frame is right to 0.2 % at 100 million a second. 64
	// bits last for years.
	BUDGET_TICKS = 16,
	BUDGET_BURSTS = 10, // a second
};

#define BUDGET_LOST ((uint64_t)BUDGET_TICKS << 40)

// Starts full, at 0.
struct budget {
	_Atomic uint64_t full_at; // in ticks
};

struct budget_rate {
	uint64_t cost;  // ticks of one frame; 0: no limit
	uint64_t depth; // how far ahead of the time full_at may be for one more frame
};

// pps 0: no limit. Any thread.
static inline struct budget_rate budget_rate(uint32_t pps, uint64_t tsc_hz)
{
	if (!pps)
		return (struct budget_rate){0};
	uint64_t second = tsc_hz * BUDGET_TICKS;
	uint64_t cost = (second + pps - 1) / pps, burst = second / BUDGET_BURSTS;
	return (struct budget_rate){.cost = cost, .depth = burst > cost ? burst - cost : 0};
}

// Takes one frame; false: there is none left. tsc: the time stamp counter. Workers.
static inline bool budget_take(struct budget *budget, const struct budget_rate *rate, uint64_t tsc)
{
	uint64_t now = tsc * BUDGET_TICKS;
	uint64_t was = atomic_load_explicit(&budget->full_at, memory_order_relaxed);
	uint64_t from;
	do {
		from = was > now ? was : now;
		// Minutes ahead it can only be if the counter was set back, as a resumed machine's
		// is. A worker that was held up since it read the counter is late by less.
		if (from - now > BUDGET_LOST)
			from = now;
		if (from - now > rate->depth)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&budget->full_at, &was, from + rate->cost,
		memory_order_relaxed, memory_order_relaxed));
	return true;
}

#endif

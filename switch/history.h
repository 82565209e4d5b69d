// SPDX-License-Identifier: BSD-3-Clause
// What two growing numbers have grown by in the last seconds. A few samples, each with its time, so
// that a speed is exact whenever they were taken.
#ifndef WEIR_SWITCH_HISTORY_H
#define WEIR_SWITCH_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	HISTORY_SAMPLES = 41,
	HISTORY_A_SECOND = 4, // at the most, so that they reach back 10 s
};

struct history {
	unsigned count; // of all that were ever taken
	struct history_sample {
		uint64_t tsc;
		uint64_t of[2];
	} samples[HISTORY_SAMPLES];
};

// What grew, and in how many cycles of the time stamp counter.
struct history_growth {
	uint64_t cycles; // 0: not known yet
	uint64_t of[2];
};

// Whether a sample is to be taken: the last one is old enough.
static inline bool history_is_due(const struct history *h, uint64_t tsc, uint64_t hz)
{
	const struct history_sample *last =
		&h->samples[(h->count + HISTORY_SAMPLES - 1) % HISTORY_SAMPLES];
	return !h->count || tsc - last->tsc >= hz / HISTORY_A_SECOND;
}

// Takes one that is due.
static inline void history_add(struct history *h, const uint64_t of[2], uint64_t tsc)
{
	h->samples[h->count++ % HISTORY_SAMPLES] = (struct history_sample){
		.tsc = tsc, .of = {of[0], of[1]}};
}

// Up to now, since the youngest sample that is at least `seconds` old, or since the oldest.
static inline struct history_growth history_growth(
	const struct history *h, const uint64_t now[2], uint64_t tsc, uint64_t hz, unsigned seconds)
{
	unsigned stored = h->count < HISTORY_SAMPLES ? h->count : HISTORY_SAMPLES;
	const struct history_sample *from = 0;
	for (unsigned i = 1; i <= stored; i++) {
		from = &h->samples[(h->count - i) % HISTORY_SAMPLES];
		if (tsc - from->tsc >= seconds * hz)
			break;
	}
	struct history_growth growth = {0};
	// Ahead of now it can only be if the counter was set back, as a resumed machine's is.
	if (!from || (int64_t)(tsc - from->tsc) <= 0)
		return growth;
	growth.cycles = tsc - from->tsc;
	// A sample of several counters is taken while they move, and may be ahead of a later one.
	for (unsigned i = 0; i < 2; i++)
		growth.of[i] = now[i] > from->of[i] ? now[i] - from->of[i] : 0;
	return growth;
}

static inline uint64_t history_per_second(uint64_t growth, uint64_t cycles, uint64_t hz)
{
	return cycles ? (uint64_t)(((unsigned __int128)growth * hz + cycles / 2) / cycles) : 0;
}

#endif

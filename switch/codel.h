// SPDX-License-Identifier: BSD-3-Clause
// CoDel (RFC 8289): when packets of one flow have waited too long for too long, and how often one
// of them is to say so to its sender. Times are in cycles and may be compared across their wrap.
#ifndef WEIR_SWITCH_CODEL_H
#define WEIR_SWITCH_CODEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	// Where counting ends: by far beyond any use, and a wrap would stop what divides by its
	// root.
	CODEL_COUNT_MAX = 1 << 30
};

struct codel_settings {
	uint64_t target;   // a wait that may last
	uint64_t interval; // for how long a longer one is suffered
	uint32_t mtu;      // bytes: no more than that is no queue
	bool ecn;
};

// Zeroed, it is new.
struct codel {
	uint64_t above_at; // when a long wait will have lasted an interval; see is_above
	uint64_t next;     // dropping: when the next one is to be lost
	uint32_t count;    // lost or marked since dropping began
	uint32_t last_count;
	bool is_above; // the wait is longer than the target
	bool dropping;
};

static inline bool codel_is_past(uint64_t at, uint64_t now)
{
	return (int64_t)(now - at) >= 0;
}

static inline uint32_t codel_root(uint64_t square)
{
	uint64_t root = 0;
	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= square)
			root |= bit;
	return (uint32_t)root;
}

// n more are lost or marked.
static inline void codel_count(struct codel *codel, uint32_t n)
{
	codel->count = n < CODEL_COUNT_MAX - codel->count ? codel->count + n : CODEL_COUNT_MAX;
}

// RFC 8289, 4.4: the next one follows after interval / sqrt(count). Some have been counted.
static inline uint64_t codel_next(
	const struct codel *codel, const struct codel_settings *settings, uint64_t from)
{
	const unsigned fraction = 14; // bits: CODEL_COUNT_MAX still fits
	uint64_t root = codel_root((uint64_t)codel->count << (2 * fraction));
	return from + (settings->interval << fraction) / root;
}

// A packet has come to the front that has waited since `since`, with so many bytes behind it.
// Whether it may be lost.
static inline bool codel_may_drop(struct codel *codel, const struct codel_settings *settings,
	uint64_t since, uint32_t bytes, uint64_t now)
{
	// It may have been queued by a worker whose round began later.
	if ((int64_t)(now - since) < (int64_t)settings->target || bytes <= settings->mtu) {
		codel->is_above = false;
		return false;
	}
	if (codel->is_above)
		return codel_is_past(codel->above_at, now);
	codel->is_above = true;
	codel->above_at = now + settings->interval;
	return false;
}

// The first one was lost or marked. Where dropping ended only lately, it goes on at about the rate
// that was right then.
static inline void codel_begin(
	struct codel *codel, const struct codel_settings *settings, uint64_t now)
{
	uint32_t delta = codel->count - codel->last_count;
	codel->dropping = true;
	codel->count = 1;
	if (delta > 1 && (int64_t)(now - codel->next) < (int64_t)(16 * settings->interval))
		codel->count = delta;
	codel->last_count = codel->count;
	codel->next = codel_next(codel, settings, now);
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
// When frames arrived: buckets of equal length, one after the other. Load thread, but for reading
// when it has stopped.
//
// Time is seen when the generator looks, so a look that is late moves frames into a later bucket.
// How far apart the two looks around each bucket's begin were is kept: whoever sums buckets up
// knows what its two ends are worth.
#ifndef WEIR_BENCH_ARRIVALS_H
#define WEIR_BENCH_ARRIVALS_H

#include <stdint.h>

enum {
	ARRIVALS_MAX = 1 << 20 // buckets
};

struct arrival_bucket {
	uint32_t frames;
	uint32_t bytes;
};

struct arrivals {
	uint64_t start;  // TSC
	uint64_t length; // of a bucket, in cycles
	uint64_t end;    // TSC, of the bucket that is filled now
	uint64_t looked; // TSC
	uint32_t count;
	uint32_t now;   // the bucket that is filled; count: none any more
	uint32_t *gaps; // at each bucket's begin: cycles between the looks around it
};

// 0; -EINVAL for a count outside 1…ARRIVALS_MAX; -ENOMEM. The first bucket begins at `tsc`.
int arrivals_init(struct arrivals *a, uint32_t count, uint64_t length, uint64_t tsc);
void arrivals_fini(struct arrivals *a);
// To later buckets.
void arrivals_advance(struct arrivals *a, uint64_t tsc);

// The time of a look; what arrives behind it belongs to the bucket `now`.
static inline void arrivals_look(struct arrivals *a, uint64_t tsc)
{
	if (tsc >= a->end)
		arrivals_advance(a, tsc);
	a->looked = tsc;
}

static inline void arrivals_add(
	const struct arrivals *a, struct arrival_bucket *buckets, uint32_t bytes)
{
	if (a->now == a->count)
		return;
	buckets[a->now].frames++;
	buckets[a->now].bytes += bytes;
}

#endif

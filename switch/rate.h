// SPDX-License-Identifier: BSD-3-Clause
// A rate of bits and of packets per second, exact in the long run, that several workers share.
//
// Each of the two is a bucket that is kept as a time: when it would be full again (GCRA, ITU-T
// I.371). So filling needs nobody, and the clock is the time stamp counter, which no change of the
// wall clock moves. A frame may go when neither bucket is in debt, whatever its size, and then all
// of it is charged. So one larger than the bucket goes when it is due, and the mean is exact.
//
// Synchronisation: the words are atomic and independent of each other. Who asks and then charges
// may have been joined by another worker meanwhile: what both send is charged, and paid for by
// waiting longer afterwards. Workers may disagree about the time by what their CPUs' counters do.
#ifndef WEIR_SWITCH_RATE_H
#define WEIR_SWITCH_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

enum {
	RATE_TICKS = 4,     // log2 of ticks in a TSC cycle: 64 bits of them go round in 17 years
	RATE_FRACTION = 20, // log2 of the parts of a tick that costs are given in
	// Bytes around a frame on a wire: preamble 8, FCS 4, gap 12 (IEEE 802.3, 3.1.1 and 4.4.2).
	RATE_WIRE = 24,
	RATE_FRAME = 14, // bytes of a frame beside its MTU
	// How late a worker may come without loss: what came due meanwhile is made up for. It sets
	// a bucket's least depth, as given and by default.
	RATE_LATE_US = 500,
	RATE_BURST_US = 5000,
	// Slow rates have deeper buckets, for what a guest sends at once: so much, but no longer.
	RATE_BURST_BYTES = 65536,
	RATE_BURST_PACKETS = 32,
	RATE_BURST_MAX_US = 10000,
	// What can be charged at once, by all workers: each a frame of many tiny segments.
	RATE_CHARGE_BYTES = 1 << 28,
	RATE_CHARGE_PACKETS = 1 << 21,
	// What one frame can leave owed: the longest, in segments of a usual length.
	RATE_OWED_BYTES = 1 << 17,
	RATE_OWED_PACKETS = 128,
};

// Bytes that are counted beside each packet's.
static inline uint64_t rate_overhead(const struct config_rate *config)
{
	return config->layer == LAYER_WIRE ? RATE_WIRE : 0;
}

// One bucket, compiled. In ticks but for `cost`.
struct rate_bucket {
	uint64_t cost;  // of a byte or packet, in parts of a tick; 0: no limit
	uint64_t depth; // of the bucket
	uint64_t most;  // how far ahead of now the word can be; beyond, the counter was set back,
			// or nobody has looked for years
};

// Compiled from the configuration, in the snapshot.
struct rate_limit {
	struct rate_bucket bits, packets;
	uint64_t overhead; // rate_overhead
};

_Static_assert(sizeof(struct rate_limit) == 2 * sizeof(struct rate_bucket) + sizeof(uint64_t),
	"without padding: it is compared (switch/rates_apply.c)");

// When the buckets are full, in ticks modulo 2^64; zeroed, they are. It outlives snapshots.
struct rate {
	_Atomic uint64_t bits_at;
	_Atomic uint64_t packets_at;
};

static inline uint64_t rate_bucket_cost(
	const struct rate_bucket *bucket, uint64_t amount, uint64_t rounding)
{
	return (uint64_t)(((__uint128_t)bucket->cost * amount + rounding) >> RATE_FRACTION);
}

// --- compiling. Any thread.

// What `us` microseconds are in ticks.
static inline uint64_t rate_us(uint64_t us, uint64_t tsc_hz)
{
	return (uint64_t)(((__uint128_t)tsc_hz << RATE_TICKS) * us / 1000000);
}

// units: bytes or packets that are charged for, `second` of them per second by `per` each; burst: 0
// or so many of them at once, of which the last may go into debt.
static inline void rate_bucket_compile(struct rate_bucket *bucket, __uint128_t second, uint64_t per,
	uint64_t burst, uint64_t usual, uint64_t charge, uint64_t tsc_hz)
{
	*bucket = (struct rate_bucket){0};
	if (!per)
		return;
	bucket->cost = (uint64_t)((second + per / 2) / per);
	uint64_t least = rate_us(RATE_LATE_US, tsc_hz);
	if (burst) {
		bucket->depth = rate_bucket_cost(bucket, burst, 0);
	} else {
		uint64_t longest = rate_us(RATE_BURST_MAX_US, tsc_hz);
		least = rate_us(RATE_BURST_US, tsc_hz);
		bucket->depth = rate_bucket_cost(bucket, usual, 0);
		if (bucket->depth > longest)
			bucket->depth = longest;
	}
	if (bucket->depth < least)
		bucket->depth = least;
	bucket->most = bucket->depth + rate_bucket_cost(bucket, charge, 0) +
		       rate_us(2000000, tsc_hz);
}

// Rates of 1,000 bits and of one packet a second at least. Zeros: no limit.
static inline void rate_compile(
	struct rate_limit *limit, const struct config_rate *config, uint16_t mtu, uint64_t tsc_hz)
{
	const __uint128_t second = (__uint128_t)tsc_hz << (RATE_TICKS + RATE_FRACTION);
	const uint64_t frame = (uint64_t)mtu + RATE_FRAME, burst = config->burst_bytes;
	// The last frame of a burst goes into debt, so it is none of the depth.
	uint64_t beyond = burst > frame ? burst - frame : burst != 0;
	rate_bucket_compile(&limit->bits, second * 8, config->bits, beyond, RATE_BURST_BYTES,
		RATE_CHARGE_BYTES, tsc_hz);
	rate_bucket_compile(&limit->packets, second, config->packets,
		burst ? (beyond + frame - 1) / frame : 0, RATE_BURST_PACKETS, RATE_CHARGE_PACKETS,
		tsc_hz);
	limit->overhead = rate_overhead(config);
}

// --- asking and charging. Workers; tsc: the time stamp counter.

// How far ahead of now the bucket is full.
static inline uint64_t rate_ahead(uint64_t at, const struct rate_bucket *bucket, uint64_t tsc)
{
	uint64_t ahead = at - (tsc << RATE_TICKS);
	return ahead > bucket->most ? 0 : ahead;
}

// What is left in a bucket, in ticks of its rate; negative: it is in debt.
static inline int64_t rate_room(
	const _Atomic uint64_t *at, const struct rate_bucket *bucket, uint64_t tsc)
{
	if (!bucket->cost)
		return INT64_MAX;
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	return (int64_t)(bucket->depth - rate_ahead(word, bucket, tsc));
}

// What bytes and packets cost of a bucket. Fractions of a tick go up or down by chance, so that the
// mean is exact at 400 Gbit, where a small frame costs some ten ticks.
static inline uint64_t rate_cost(const struct rate_bucket *bucket, uint64_t amount, uint64_t tsc)
{
	uint64_t chance = tsc * 0x9e3779b97f4a7c15;
	chance = (chance ^ chance >> 29) * 0xbf58476d1ce4e5b9 >> (64 - RATE_FRACTION);
	return rate_bucket_cost(bucket, amount, chance);
}

static inline uint64_t rate_bytes(const struct rate_limit *limit, uint64_t bytes, uint64_t packets)
{
	return bytes + packets * limit->overhead;
}

static inline void rate_push(
	_Atomic uint64_t *at, const struct rate_bucket *bucket, uint64_t tsc, uint64_t cost)
{
	uint64_t now = tsc << RATE_TICKS;
	uint64_t was = atomic_load_explicit(at, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(at, &was,
		now + rate_ahead(was, bucket, tsc) + cost, memory_order_relaxed,
		memory_order_relaxed))
		;
}

// Charges what has gone, whether or not it was due.
static inline void rate_charge(struct rate *rate, const struct rate_limit *limit, uint64_t tsc,
	uint64_t bytes, uint64_t packets)
{
	if (limit->bits.cost)
		rate_push(&rate->bits_at, &limit->bits, tsc,
			rate_cost(&limit->bits, rate_bytes(limit, bytes, packets), tsc));
	if (limit->packets.cost)
		rate_push(&rate->packets_at, &limit->packets, tsc,
			rate_cost(&limit->packets, packets, tsc));
}

// Whether a frame may go.
static inline bool rate_is_due(
	const struct rate *rate, const struct rate_limit *limit, uint64_t tsc)
{
	return rate_room(&rate->bits_at, &limit->bits, tsc) >= 0 &&
	       rate_room(&rate->packets_at, &limit->packets, tsc) >= 0;
}

// When the next frame may go; tsc: now.
static inline uint64_t rate_due(
	const struct rate *rate, const struct rate_limit *limit, uint64_t tsc)
{
	int64_t bits = rate_room(&rate->bits_at, &limit->bits, tsc);
	int64_t packets = rate_room(&rate->packets_at, &limit->packets, tsc);
	int64_t room = bits < packets ? bits : packets;
	if (room >= 0)
		return tsc;
	return tsc + (((uint64_t)-room + (1 << RATE_TICKS) - 1) >> RATE_TICKS);
}

// What a rate leaves at a time, to be used up packet by packet without a write.
struct allowance {
	int64_t bits, packets; // ticks; negative: in debt
};

static inline struct allowance allowance_at(
	const struct rate *rate, const struct rate_limit *limit, uint64_t tsc)
{
	return (struct allowance){
		.bits = rate_room(&rate->bits_at, &limit->bits, tsc),
		.packets = rate_room(&rate->packets_at, &limit->packets, tsc),
	};
}

static inline bool allowance_is_left(const struct allowance *a)
{
	return (a->bits | a->packets) >= 0;
}

static inline void allowance_use(
	struct allowance *a, const struct rate_limit *limit, uint64_t bytes, uint64_t packets)
{
	bytes = rate_bytes(limit, bytes, packets);
	a->bits -= (int64_t)rate_bucket_cost(&limit->bits, bytes, 0);
	a->packets -= (int64_t)rate_bucket_cost(&limit->packets, packets, 0);
}

// --- a change while it runs

// How far ahead the word is to be. A bucket that is half used up stays so; what is owed beyond it
// is the same bytes or packets at the new rate. No more is owed than what can be: workers may have
// charged at the new rate already.
static inline uint64_t rate_ahead_after(uint64_t ahead, const struct rate_bucket *before,
	const struct rate_bucket *after, uint64_t owed)
{
	if (!before->cost || !after->cost)
		return 0;
	if (ahead <= before->depth)
		return (uint64_t)((__uint128_t)ahead * after->depth / before->depth);
	__uint128_t debt = (__uint128_t)(ahead - before->depth) * after->cost / before->cost;
	uint64_t most = rate_bucket_cost(after, owed, 0);
	return after->depth + (debt < most ? (uint64_t)debt : most);
}

static inline void rate_word_change(_Atomic uint64_t *at, const struct rate_bucket *before,
	const struct rate_bucket *after, uint64_t owed, uint64_t tsc)
{
	uint64_t now = tsc << RATE_TICKS;
	uint64_t was = atomic_load_explicit(at, memory_order_relaxed), ahead;
	do
		ahead = rate_ahead_after(rate_ahead(was, before, tsc), before, after, owed);
	while (!atomic_compare_exchange_weak_explicit(
		at, &was, now + ahead, memory_order_relaxed, memory_order_relaxed));
}

// What is left and owed, at the new rate: without it, a frame that has gone at a slow one would
// hold the next back for as long as it costs there. Once no worker uses the old limit any more.
// Main thread.
static inline void rate_change(struct rate *rate, const struct rate_limit *before,
	const struct rate_limit *after, uint64_t tsc)
{
	rate_word_change(&rate->bits_at, &before->bits, &after->bits, RATE_OWED_BYTES, tsc);
	rate_word_change(
		&rate->packets_at, &before->packets, &after->packets, RATE_OWED_PACKETS, tsc);
}

#endif

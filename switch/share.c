// SPDX-License-Identifier: BSD-3-Clause
#include "switch/share.h"

#include "base/likely.h"

// Beyond half of the range nothing could be told apart.
#define MOST (1ull << 62)

void share_compile(
	struct share_view *view, const struct config_rate *config, uint16_t mtu, uint64_t tsc_hz)
{
	uint64_t weights = 0;
	for (uint32_t i = 0; i < view->nmembers; i++)
		weights += view->members[i].weight;
	rate_compile(&view->limit, config, mtu, tsc_hz);
	const struct rate_bucket *bucket = share_bucket(view);
	uint64_t slack = rate_us(SHARE_SLACK_US, tsc_hz);
	if (slack > bucket->depth / 2)
		slack = bucket->depth / 2;
	view->slack = (slack << SHARE_FRACTION) / weights;
	view->lone = (int64_t)rate_us(SHARE_LONE_US, tsc_hz);
	view->most = bucket->most > MOST >> SHARE_FRACTION ? MOST : bucket->most << SHARE_FRACTION;
	view->keep = tsc_hz / 1000000 * SHARE_KEEP_US;
	uint64_t bits = view->limit.bits.most, packets = view->limit.packets.most;
	view->claim = ((bits > packets ? bits : packets) >> RATE_TICKS) + 2 * view->keep;
}

static struct share_member *member(const struct share_ref *ref)
{
	return &ref->view->share->members[ref->port];
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

// How far ahead of the floor a virtual time is. One behind it is that of a member which has not
// waited for some time.
static uint64_t ahead_of(uint64_t floor, uint64_t time, const struct share_view *view)
{
	uint64_t ahead = time - floor;
	return ahead > view->most ? 0 : ahead;
}

// Whether the last scan is too young for another one.
static bool is_scanned(const struct share_view *view, uint64_t tsc)
{
	uint64_t since = tsc - load(&view->share->scanned);
	return since < (uint64_t)view->nmembers * SHARE_SCAN;
}

// Moves the floor up to the last member of those that wait, and of the one that asks and is so far
// ahead. The floor then.
static uint64_t scan(const struct share_ref *ref, uint64_t tsc, uint64_t ahead)
{
	const struct share_view *view = ref->view;
	struct share *share = view->share;
	uint64_t floor = load(&share->floor), least = ahead;
	uint32_t alone = ref->port + 1u;
	atomic_store_explicit(&share->scanned, tsc, memory_order_relaxed);
	for (uint32_t i = 0; i < view->nmembers; i++) {
		uint16_t port = view->members[i].port;
		const struct share_member *m = &share->members[port];
		// Also what is over is far ahead.
		if (port == ref->port || load(&m->waits) - tsc - 1 >= view->claim)
			continue;
		alone = 0;
		uint64_t its = ahead_of(floor, load(&m->time), view);
		if (its < least)
			least = its;
	}
	atomic_store_explicit(&share->alone, alone, memory_order_relaxed);
	// Who has moved it meanwhile has seen the same.
	if (least)
		atomic_compare_exchange_strong_explicit(&share->floor, &floor, floor + least,
			memory_order_relaxed, memory_order_relaxed);
	return load(&share->floor);
}

int64_t share_room(const struct share_ref *ref, uint64_t tsc)
{
	const struct share_view *view = ref->view;
	uint64_t time = load(&member(ref)->time), floor = load(&view->share->floor);
	uint64_t ahead = ahead_of(floor, time, view);
	if (ahead > view->slack && !is_scanned(view, tsc))
		ahead = ahead_of(scan(ref, tsc, ahead), time, view);
	__int128_t part = ((__int128_t)view->slack - ahead) * ref->weight;
	int64_t room = (int64_t)(part >> SHARE_FRACTION);
	// A small weight's part of the slack must not hold it back.
	bool alone = atomic_load_explicit(&view->share->alone, memory_order_relaxed) ==
		     ref->port + 1u;
	return alone && room < view->lone ? view->lone : room;
}

void share_charge(const struct share_ref *ref, uint64_t tsc, uint64_t bytes, uint64_t packets)
{
	const struct share_view *view = ref->view;
	struct share *share = view->share;
	const struct rate_limit *limit = &view->limit;
	rate_charge(&share->rate, limit, tsc, bytes, packets);
	uint64_t amount = limit->bits.cost ? rate_bytes(limit, bytes, packets) : packets;
	uint64_t cost = (uint64_t)(((__uint128_t)rate_cost(share_bucket(view), amount, tsc)
					   << SHARE_FRACTION) /
				   ref->weight);
	uint64_t floor = load(&share->floor);
	_Atomic uint64_t *time = &member(ref)->time;
	uint64_t was = load(time);
	while (!atomic_compare_exchange_weak_explicit(time, &was,
		floor + ahead_of(floor, was, view) + cost, memory_order_relaxed,
		memory_order_relaxed))
		;
}

void share_wait(const struct share_ref *ref, uint64_t tsc, uint64_t again)
{
	atomic_store_explicit(&member(ref)->waits, again + ref->view->keep, memory_order_relaxed);
	atomic_store_explicit(&ref->view->share->held_at, tsc, memory_order_relaxed);
}

void share_yield(const struct share_ref *ref)
{
	_Atomic uint64_t *waits = &member(ref)->waits;
	if (load(waits))
		atomic_store_explicit(waits, 0, memory_order_relaxed);
}

void share_begin_anew(struct share *share)
{
	uint64_t floor = load(&share->floor);
	for (unsigned i = 0; i < PORT_IDS; i++) {
		atomic_store_explicit(&share->members[i].time, floor, memory_order_relaxed);
		atomic_store_explicit(&share->members[i].waits, 0, memory_order_relaxed);
	}
}

// SPDX-License-Identifier: BSD-3-Clause
#include "switch/shape.h"

#include "base/likely.h"

enum {
	// Of a port's own rate two, of each shared one three.
	ROOMS_MAX = 2 + 3 * PORT_SHARED_MAX,
	MEAN_SHIFT = 2,   // of the last burst a quarter goes into the mean
	SHARE_LOOKS = 16, // looks in one, where there is something but it is another member's turn
};

// What one limit leaves.
struct room {
	int64_t left; // ticks; negative: nothing
	const struct rate_limit *limit;
	bool by_packets;
};

struct rooms {
	unsigned count;
	struct room of[ROOMS_MAX];
};

static void add_bucket(
	struct rooms *rooms, const struct rate_limit *limit, bool by_packets, int64_t left)
{
	const struct rate_bucket *bucket = by_packets ? &limit->packets : &limit->bits;
	if (bucket->cost)
		rooms->of[rooms->count++] = (struct room){
			.left = left,
			.limit = limit,
			.by_packets = by_packets,
		};
}

static void add_rate(
	struct rooms *rooms, const struct rate *rate, const struct rate_limit *limit, uint64_t tsc)
{
	add_bucket(rooms, limit, false, rate_room(&rate->bits_at, &limit->bits, tsc));
	add_bucket(rooms, limit, true, rate_room(&rate->packets_at, &limit->packets, tsc));
}

static void look(struct rooms *rooms, const struct shaper *shaper, const struct shaping *limits,
	uint64_t tsc)
{
	rooms->count = 0;
	add_rate(rooms, &shaper->rate, &limits->own, tsc);
	for (unsigned i = 0; i < limits->nshares; i++) {
		const struct share_ref *ref = &limits->shares[i];
		const struct rate_limit *limit = &ref->view->limit;
		add_rate(rooms, &ref->view->share->rate, limit, tsc);
		add_bucket(rooms, limit, !limit->bits.cost, share_room(ref, tsc));
	}
}

static void add(struct shape_sum *sum, const struct packet *p)
{
	struct shape_load load = shape_load(p);
	sum->load.bytes += load.bytes;
	sum->load.packets += load.packets;
	sum->len += p->verdict == VERDICT_DROP ? load.bytes : p->len;
}

// Nearly always each frame counts as it is.
static struct shape_sum sum_up(const struct packet *packets, unsigned n)
{
	uint64_t len = 0;
	unsigned others = 0;
	for (unsigned i = 0; i < n; i++) {
		len += packets[i].len;
		others |= packets[i].verdict | (packets[i].offload & OFFLOAD_TSO);
	}
	if (likely(!others))
		return (struct shape_sum){{len, n}, len};
	struct shape_sum sum = {0};
	for (unsigned i = 0; i < n; i++)
		add(&sum, &packets[i]);
	return sum;
}

static uint64_t cost_of(const struct room *room, struct shape_load load)
{
	const struct rate_limit *limit = room->limit;
	if (room->by_packets)
		return rate_bucket_cost(&limit->packets, load.packets, 0);
	return rate_bucket_cost(&limit->bits, rate_bytes(limit, load.bytes, load.packets), 0);
}

// Whether a frame may go: none of the limits is in debt.
static bool is_due(const struct rooms *rooms)
{
	for (unsigned i = 0; i < rooms->count; i++)
		if (rooms->of[i].left < 0)
			return false;
	return true;
}

// Whether all of it may go at once.
static bool has_room(const struct rooms *rooms, struct shape_load load)
{
	for (unsigned i = 0; i < rooms->count; i++)
		if (rooms->of[i].left < (int64_t)cost_of(&rooms->of[i], load))
			return false;
	return true;
}

static void use(struct rooms *rooms, struct shape_load load)
{
	for (unsigned i = 0; i < rooms->count; i++)
		rooms->of[i].left -= (int64_t)cost_of(&rooms->of[i], load);
}

// When the member is next due in a shared rate; tsc: now.
static uint64_t share_due(const struct share_ref *ref, uint64_t look, uint64_t tsc)
{
	uint64_t due = rate_due(&ref->view->share->rate, &ref->view->limit, tsc);
	// Who comes first may be on its way. Else what is there would be left unused.
	return due == tsc && share_room(ref, tsc) < 0 ? tsc + look / SHARE_LOOKS : due;
}

// How much later than it could a queue looks again. All that wait draw from the same time, and one
// that has sent comes behind it.
static uint64_t stand_back(
	struct shaper *shaper, const struct shaping *limits, uint64_t tsc, bool has_sent)
{
	if (!limits->by_queues)
		return 0;
	uint32_t draw = atomic_fetch_add_explicit(&shaper->draws, 1, memory_order_relaxed);
	uint64_t lot = (tsc + draw) * 0x9e3779b97f4a7c15 >> 32;
	return (lot * limits->look >> 32) + (has_sent ? limits->look : 0);
}

// When frames may go next: 0, at once. Where it is a shared rate that holds them back longest, the
// port waits there for its part, and only there: where another limit is the lower one, its part
// there is the others'.
static uint64_t settle(struct shaper *shaper, const struct shaping *limits, uint64_t tsc,
	bool waiting, bool has_sent)
{
	uint64_t own = rate_due(&shaper->rate, &limits->own, tsc), latest = own;
	uint64_t due[PORT_SHARED_MAX];
	bool is_spent = own > tsc; // else it is only another one's turn
	for (unsigned i = 0; i < limits->nshares; i++) {
		const struct share_ref *ref = &limits->shares[i];
		due[i] = share_due(ref, limits->look, tsc);
		is_spent |= due[i] > tsc &&
			    !rate_is_due(&ref->view->share->rate, &ref->view->limit, tsc);
		if (due[i] > latest)
			latest = due[i];
	}
	uint64_t again = latest;
	if (is_spent) {
		uint64_t soon = tsc + limits->look;
		again = (latest > soon ? latest : soon) + stand_back(shaper, limits, tsc, has_sent);
	}
	for (unsigned i = 0; i < limits->nshares; i++) {
		const struct share_ref *ref = &limits->shares[i];
		if (due[i] < latest || own == latest)
			share_yield(ref);
		else if (waiting)
			share_wait(ref, tsc, again);
	}
	return latest > tsc ? again : 0;
}

bool shape_is_own(const struct shaper *shaper, const struct shaping *limits, uint64_t tsc)
{
	if (!limits->nshares)
		return true;
	uint64_t own = rate_due(&shaper->rate, &limits->own, tsc);
	for (unsigned i = 0; i < limits->nshares; i++)
		if (share_due(&limits->shares[i], limits->look, tsc) > own)
			return false;
	return own > tsc;
}

static uint64_t mean_of(const _Atomic uint32_t *mean)
{
	uint64_t parts = atomic_load_explicit(mean, memory_order_relaxed);
	return (parts + (1 << SHAPE_MEAN) - 1) >> SHAPE_MEAN;
}

unsigned shape_take(
	struct shaper *shaper, const struct shaping *limits, uint64_t tsc, uint64_t *again)
{
	struct rooms rooms;
	look(&rooms, shaper, limits, tsc);
	if (!is_due(&rooms)) {
		*again = settle(shaper, limits, tsc, true, false);
		return 0;
	}
	const struct shape_load mean = {
		mean_of(&shaper->mean_bytes), mean_of(&shaper->mean_packets)};
	unsigned n = BURST_MAX;
	for (unsigned i = 0; i < rooms.count; i++) {
		uint64_t left = (uint64_t)rooms.of[i].left, cost = cost_of(&rooms.of[i], mean);
		// The last one goes into debt.
		if (left < cost * (n - 1))
			n = (unsigned)(left / cost) + 1;
	}
	return n;
}

static void learn(_Atomic uint32_t *mean, uint64_t sum, unsigned n)
{
	uint32_t was = atomic_load_explicit(mean, memory_order_relaxed);
	int64_t change = (int64_t)((sum << SHAPE_MEAN) / n) - was;
	atomic_store_explicit(mean, (uint32_t)(was + (was ? change / (1 << MEAN_SHIFT) : change)),
		memory_order_relaxed);
}

static void charge(
	struct shaper *shaper, const struct shaping *limits, uint64_t tsc, struct shape_load sum)
{
	rate_charge(&shaper->rate, &limits->own, tsc, sum.bytes, sum.packets);
	for (unsigned i = 0; i < limits->nshares; i++)
		share_charge(&limits->shares[i], tsc, sum.bytes, sum.packets);
}

// The first frames, as many as may go; *sum: what they count as.
static unsigned cut(
	struct rooms *rooms, const struct packet *packets, unsigned n, struct shape_sum *sum)
{
	unsigned i = 0;
	*sum = (struct shape_sum){0};
	for (; i < n && is_due(rooms); i++) {
		use(rooms, shape_load(&packets[i]));
		add(sum, &packets[i]);
	}
	return i;
}

unsigned shape_burst(struct shaper *shaper, const struct shaping *limits, uint64_t tsc,
	const struct packet *packets, unsigned n, bool waiting, struct shape_sum *sum,
	uint64_t *again)
{
	struct rooms rooms;
	*sum = sum_up(packets, n);
	look(&rooms, shaper, limits, tsc);
	*again = 0;
	if (likely(has_room(&rooms, sum->load))) {
		charge(shaper, limits, tsc, sum->load);
		for (unsigned i = 0; !waiting && i < limits->nshares; i++)
			share_yield(&limits->shares[i]);
		return n;
	}
	unsigned go = cut(&rooms, packets, n, sum);
	if (go) {
		charge(shaper, limits, tsc, sum->load);
		learn(&shaper->mean_bytes, sum->load.bytes, go);
		learn(&shaper->mean_packets, sum->load.packets, go);
	}
	*again = settle(shaper, limits, tsc, waiting || go < n, go);
	return go;
}

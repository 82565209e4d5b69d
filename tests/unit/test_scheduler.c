// SPDX-License-Identifier: BSD-3-Clause
// What all schedulers have in common: not a packet comes or goes that is not counted, whatever they
// are asked, and none overtakes another of its flow.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "kit_queued.h"

enum {
	KINDS = SCHEDULER_FQ_CODEL + 1,
	FLOWS_USED = 40,
};

static uint32_t rng_state;

static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state % below;
}

// A scheduler under test, and what it must have.
struct bed {
	struct scheduler *s;
	enum config_scheduler kind;
	struct scheduler_settings settings;
	uint64_t now, buffers_max;
	uint64_t received, sent, lost;
	uint64_t waiting;          // bytes, when last looked at
	uint64_t next[FLOWS_USED]; // the number of each flow's next packet
	uint64_t seen[FLOWS_USED]; // of the last that came out, and one
};

static void begin(struct bed *bed, enum config_scheduler kind)
{
	memset(bed, 0, sizeof(*bed));
	rng_state = 1 + kind;
	bed->kind = kind;
	bed->settings = kit_settings();
	bed->settings.limit = 100000;
	bed->buffers_max = UINT64_MAX;
	bed->s = scheduler_new(kind, &bed->settings);
}

static void check_books(struct bed *bed)
{
	struct scheduler_stats stats;
	bed->lost += kit_free_lost(scheduler_take_lost(bed->s));
	scheduler_statistics(bed->s, &stats);
	cr_assert_eq(bed->sent + bed->lost + stats.packets, bed->received,
		"%lu sent, %lu lost, %lu wait, %lu received", bed->sent, bed->lost, stats.packets,
		bed->received);
	// Beyond a limit that was lowered it only gets less.
	cr_assert(stats.bytes <= bed->settings.limit || stats.packets <= 1 ||
		  stats.bytes <= bed->waiting);
	bed->waiting = stats.bytes;
	cr_assert(stats.buffers <= bed->buffers_max || stats.packets <= 1);
	cr_assert_eq(!stats.packets, !stats.bytes);
	cr_assert_eq(!stats.packets, !bed->s->oldest);
}

static void put(struct bed *bed)
{
	uint32_t flow = rng(FLOWS_USED);
	struct queued *q = kit_queued(flow, 60 + rng(rng(20) ? 1455 : 64000), bed->now, rng(4));
	kit_of(q)->number = bed->next[flow]++;
	scheduler_enqueue(bed->s, q, bed->buffers_max);
	bed->received++;
}

static bool get(struct bed *bed)
{
	struct queued *q = scheduler_dequeue(bed->s, bed->now);
	if (!q)
		return false;
	cr_assert_geq(kit_of(q)->number, bed->seen[q->flow], "flow %u: overtaken", q->flow);
	bed->seen[q->flow] = kit_of(q)->number + 1;
	cr_assert(kit_checksum_is_right(q));
	free(q);
	bed->sent++;
	return true;
}

static void change_limits(struct bed *bed)
{
	bed->settings.limit = 4096 + rng(200000);
	bed->buffers_max = rng(2) ? 10 + rng(200) : UINT64_MAX;
	scheduler_change(bed->s, &bed->settings);
	// It takes effect with the next one.
	put(bed);
}

static void change_kind(struct bed *bed)
{
	struct scheduler *old = bed->s;
	bed->kind = (enum config_scheduler)rng(KINDS);
	bed->s = scheduler_new(bed->kind, &bed->settings);
	scheduler_move(bed->s, old);
	cr_assert_null(old->oldest);
	cr_assert_null(scheduler_dequeue(old, bed->now), "something stayed behind");
	scheduler_free(old);
}

static void end(struct bed *bed)
{
	while (get(bed))
		check_books(bed);
	check_books(bed);
	cr_assert_eq(bed->sent + bed->lost, bed->received);
	scheduler_free(bed->s);
}

static void run(struct bed *bed, unsigned steps, bool changes)
{
	for (unsigned i = 0; i < steps; i++) {
		unsigned what = rng(200);
		bed->now += rng(2000000);
		if (changes && what == 0)
			change_kind(bed);
		else if (changes && what == 1)
			change_limits(bed);
		else if (what < (i / 1000 % 2 ? 140 : 80))
			put(bed);
		else
			get(bed);
		check_books(bed);
	}
}

Test(scheduler, nothing_is_lost_uncounted)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct bed bed;
		begin(&bed, (enum config_scheduler)kind);
		run(&bed, 20000, false);
		cr_expect_gt(bed.sent, 1000);
		cr_expect_gt(bed.lost, 100, "%u: its limit was never met", kind);
		end(&bed);
	}
}

Test(scheduler, nor_while_kinds_and_limits_change)
{
	struct bed bed;
	begin(&bed, SCHEDULER_FIFO);
	run(&bed, 100000, true);
	cr_expect_gt(bed.sent, 10000);
	end(&bed);
}

// Between any two, in the order in which all came: what waits is lost neither way.
Test(scheduler, one_takes_over_from_another)
{
	for (unsigned from = 0; from < KINDS; from++)
		for (unsigned to = 0; to < KINDS; to++) {
			struct bed bed;
			begin(&bed, (enum config_scheduler)from);
			for (unsigned i = 0; i < 60; i++)
				put(&bed);
			struct scheduler *old = bed.s;
			uint64_t waiting = old->packets, bytes = old->bytes;
			bed.lost += kit_free_lost(scheduler_take_lost(old));
			bed.settings.limit = 4096; // which makes no difference
			bed.waiting = bytes;
			bed.s = scheduler_new((enum config_scheduler)to, &bed.settings);
			scheduler_move(bed.s, old);
			cr_expect_eq(bed.s->packets, waiting);
			cr_expect_eq(bed.s->bytes, bytes);
			for (struct queued *q = bed.s->oldest; q && q->newer; q = q->newer)
				cr_assert_eq(q->newer->older, q);
			scheduler_free(old);
			end(&bed);
		}
}

// However small the limit.
Test(scheduler, one_packet_may_always_wait)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct scheduler *s = kit_scheduler((enum config_scheduler)kind, 100);
		scheduler_enqueue(s, kit_queued(1, 64000, 0, 0), 1);
		cr_expect_eq(s->packets, 1);
		scheduler_enqueue(s, kit_queued(2, 64000, 0, 0), 1);
		cr_expect_eq(s->packets, 1);
		cr_expect_eq(kit_free_lost(scheduler_take_lost(s)), 1);
		kit_end(s);
	}
}

Test(scheduler, what_is_lost_has_a_reason)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_FIFO, 3000);
	for (unsigned i = 0; i < 3; i++)
		scheduler_enqueue(s, kit_queued(1, 1400, 0, 0), UINT64_MAX);
	struct queued *lost = scheduler_take_lost(s);
	cr_expect_eq(lost->drop, DROP_TO_VM_QUEUE_FULL);
	kit_free_lost(lost);
	scheduler_enqueue(s, kit_queued(1, 100, 0, 0), 2);
	lost = scheduler_take_lost(s);
	cr_expect_eq(lost->drop, DROP_TO_VM_NO_BUFFER);
	kit_free_lost(lost);
	kit_end(s);
}

Test(scheduler, fifo_loses_the_newest)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_FIFO, 5000);
	for (uint32_t i = 0; i < 10; i++)
		scheduler_enqueue(s, kit_queued(i, 1000, 0, 0), UINT64_MAX);
	for (uint32_t i = 0; i < 5; i++) {
		struct queued *q = scheduler_dequeue(s, 0);
		cr_expect_eq(q->flow, i);
		free(q);
	}
	cr_expect_null(scheduler_dequeue(s, 0));
	cr_expect_eq(kit_free_lost(scheduler_take_lost(s)), 5);
	scheduler_free(s);
}

// Flow i is of class i.
Test(scheduler, prio_serves_the_highest_and_loses_the_lowest)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_PRIO, 8000);
	static const uint32_t come[] = {3, 7, 0, 5, 1, 0, 7, 2};
	for (unsigned i = 0; i < 8; i++)
		scheduler_enqueue(s, kit_queued(come[i], 1000, 0, 0), UINT64_MAX);
	// The oldest of class 0, then the other.
	for (unsigned i = 0; i < 2; i++) {
		scheduler_enqueue(s, kit_queued(4, 1000, 0, 0), UINT64_MAX);
		struct queued *lost = scheduler_take_lost(s);
		cr_assert_not_null(lost);
		cr_expect_eq(lost->class, 0);
		cr_expect_eq(kit_free_lost(lost), 1);
	}
	static const uint32_t go[] = {7, 7, 5, 4, 4, 3, 2, 1};
	for (unsigned i = 0; i < 8; i++) {
		struct queued *q = scheduler_dequeue(s, 0);
		cr_expect_eq(q->class, go[i], "%u: class %u", i, q->class);
		free(q);
	}
	cr_expect_null(scheduler_dequeue(s, 0));
	scheduler_free(s);
}

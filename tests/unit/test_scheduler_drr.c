// SPDX-License-Identifier: BSD-3-Clause
// drr: flows send the same bytes, whatever the size of their packets, by Jain's index
// (sum x)^2 / (n * sum x^2); in a time that the tests make.
#include <criterion/criterion.h>

#include "kit_queued.h"

enum {
	FLOWS_MAX = 64
};

struct share {
	unsigned n;
	uint32_t len[FLOWS_MAX]; // of its packets
	double bytes[FLOWS_MAX]; // sent
};

static double jain(const struct share *share)
{
	double sum = 0, squares = 0;
	for (unsigned i = 0; i < share->n; i++) {
		sum += share->bytes[i];
		squares += share->bytes[i] * share->bytes[i];
	}
	return sum * sum / (share->n * squares);
}

// All flows offer `load` times what goes, in bytes, so that they keep the queue full.
static double run(struct share *share, uint64_t limit, unsigned load, unsigned packets)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_DRR, limit);
	uint64_t offered[FLOWS_MAX] = {0}, turn = 0;
	memset(share->bytes, 0, sizeof(share->bytes));
	for (unsigned i = 0; i < packets; i++) {
		turn += (uint64_t)load * KIT_MTU / share->n;
		for (unsigned f = 0; f < share->n; f++)
			for (; offered[f] < turn; offered[f] += share->len[f])
				scheduler_enqueue(
					s, kit_queued(f, share->len[f], 0, 0), UINT64_MAX);
		kit_free_lost(scheduler_take_lost(s));
		for (uint32_t sent = 0; sent < KIT_MTU;) {
			struct queued *q = scheduler_dequeue(s, 0);
			if (!q)
				break;
			// Until the queue is full it is the offered load that is measured.
			if (i > packets / 4)
				share->bytes[q->flow] += q->bytes;
			sent += q->bytes;
			free(q);
		}
	}
	kit_end(s);
	return jain(share);
}

static struct share mixed(unsigned n, const uint32_t *lens, unsigned nlens)
{
	struct share share = {.n = n};
	for (unsigned i = 0; i < n; i++)
		share.len[i] = lens[i % nlens];
	return share;
}

Test(drr, small_and_large_packets_send_the_same_bytes)
{
	static const uint32_t lens[] = {64, 1500};
	struct share share = mixed(2, lens, 2);
	double index = run(&share, 1 << 20, 4, 20000);
	cr_expect_geq(index, 0.99, "%f", index);
	share = mixed(FLOWS_MAX, lens, 2);
	index = run(&share, 1 << 20, 4, 20000);
	cr_expect_geq(index, 0.99, "of many: %f", index);
}

// Overloaded as soon as anything waits.
Test(drr, also_with_a_small_queue)
{
	static const uint32_t lens[] = {64, 1500, 576};
	struct share share = mixed(6, lens, 3);
	double index = run(&share, 64 << 10, 10, 20000);
	cr_expect_geq(index, 0.99, "%f", index);
}

// A TSO frame of 43 segments waits until its flow's turns are worth so much.
Test(drr, also_beside_tso_frames)
{
	static const uint32_t lens[] = {64, 65000, 1500};
	struct share share = mixed(6, lens, 3);
	double index = run(&share, 4 << 20, 4, 100000);
	cr_expect_geq(index, 0.99, "%f", index);
}

// The algorithm as it is told, a quantum at a time: who goes next of flows that have `left` packets
// of a size each.
struct plain {
	unsigned n, at;
	uint64_t len[FLOWS_MAX];
	int64_t deficit[FLOWS_MAX];
	unsigned left[FLOWS_MAX];
};

static unsigned plain_next(struct plain *plain)
{
	for (;; plain->at = (plain->at + 1) % plain->n) {
		unsigned i = plain->at;
		if (!plain->left[i])
			continue;
		if (plain->deficit[i] >= (int64_t)plain->len[i]) {
			plain->deficit[i] -= (int64_t)plain->len[i];
			plain->left[i]--;
			return i;
		}
		plain->deficit[i] += KIT_MTU;
	}
}

// Turns in which nobody may go are left out, and that changes nothing.
Test(drr, large_frames_go_in_the_same_order)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_DRR, UINT64_MAX);
	struct plain plain = {.n = 20};
	for (uint32_t i = 0; i < plain.n; i++) {
		plain.len[i] = 20000000 + i % 7 * 4000000 + i * 1000;
		plain.deficit[i] = KIT_MTU;
		plain.left[i] = 20;
		for (unsigned k = 0; k < plain.left[i]; k++)
			scheduler_enqueue(
				s, kit_queued(i, (uint32_t)plain.len[i], 0, 0), UINT64_MAX);
	}
	for (unsigned n = 20 * plain.n; n; n--) {
		struct queued *q = scheduler_dequeue(s, 0);
		unsigned want = plain_next(&plain);
		cr_assert_eq(q->flow, want, "flow %u, not %u", q->flow, want);
		free(q);
	}
	scheduler_free(s);
}

// Though it may take as many turns as one likes until somebody may go. It is holding a lock.
Test(drr, a_turn_is_not_taken_a_million_times, .timeout = 5)
{
	struct scheduler_settings settings = kit_settings();
	settings.limit = UINT64_MAX;
	settings.quantum = 1;
	struct scheduler *s = scheduler_new(SCHEDULER_DRR, &settings);
	for (uint32_t i = 0; i < 1000; i++)
		scheduler_enqueue(s, kit_queued(i, 1u << 30, 0, 0), UINT64_MAX);
	cr_expect_eq(kit_end(s), 1000);
}

// What one flow does not use is the others'.
Test(drr, nothing_is_kept_for_who_does_not_send)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_DRR, KIT_LIMIT);
	for (unsigned i = 0; i < 100; i++)
		scheduler_enqueue(s, kit_queued(1, 1500, 0, 0), UINT64_MAX);
	scheduler_enqueue(s, kit_queued(2, 64, 0, 0), UINT64_MAX);
	unsigned first = 0;
	for (unsigned i = 0; i < 101; i++) {
		struct queued *q = scheduler_dequeue(s, 0);
		cr_assert_not_null(q);
		if (q->flow == 2)
			first = i;
		free(q);
	}
	cr_expect_leq(first, 1, "the other flow's only packet came after %u", first);
	cr_expect_null(scheduler_dequeue(s, 0));
	scheduler_free(s);
}

// It is the flow that has most that loses, not who comes when all is full.
Test(drr, who_takes_most_room_loses)
{
	struct scheduler *s = kit_scheduler(SCHEDULER_DRR, 100000);
	for (unsigned i = 0; i < 100; i++)
		scheduler_enqueue(s, kit_queued(1, 1000, 0, 0), UINT64_MAX);
	for (unsigned i = 0; i < 20; i++) {
		scheduler_enqueue(s, kit_queued(2, 1000, 0, 0), UINT64_MAX);
		struct queued *lost = scheduler_take_lost(s);
		cr_assert_not_null(lost);
		cr_expect_eq(lost->flow, 1);
		kit_free_lost(lost);
	}
	cr_expect_eq(s->packets, 100);
	kit_end(s);
}

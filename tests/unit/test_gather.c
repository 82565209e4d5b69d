// SPDX-License-Identifier: BSD-3-Clause
// When a worker lets packets gather.
#include "switch/gather.h"

#include <criterion/criterion.h>

#define HZ 2000000000ull

static struct gather g;
static uint64_t now;

// Rounds of `moved` packets each `gap` cycles, of which it works `cycles`, until all is learned.
static void run(unsigned moved, uint64_t gap, uint64_t cycles)
{
	for (unsigned i = 0; i < 20000; i++) {
		now += gap;
		gather_note(&g, now, &(struct round){1, moved}, cycles);
	}
}

static void start(void)
{
	now = 12345;
	gather_init(&g, now, HZ);
}

TestSuite(gather, .init = start);

Test(gather, never_waits_for_what_can_be_handled_one_by_one)
{
	run(1, 600, 500);
	cr_expect_eq(g.hold, 0);
	cr_expect_float_eq((double)g.alone, 500.0, 2.0);
	run(32, 32 * 600, 4000);
	cr_expect_eq(g.hold, 0, "the rate counts and not the burst");
}

Test(gather, waits_for_a_burst_at_most)
{
	run(1, 600, 500);
	run(4, 4 * 50, 500 + 3 * GATHER_EACH);
	cr_expect_float_eq((double)g.hold, BURST_MAX * 50.0, 10.0);
}

Test(gather, waits_the_longer_the_higher_the_load)
{
	uint64_t before = 0;
	for (uint64_t gap = 380; gap > 335; gap -= 10) {
		run(2, 2 * gap, 500 + GATHER_EACH);
		cr_expect_gt(g.hold, before, "%llu", (unsigned long long)gap);
		before = g.hold;
	}
}

Test(gather, never_waits_longer_than_its_bound)
{
	run(1, 2000, 1600);
	run(2, 2 * 1000, 1700);
	cr_expect_eq(g.hold, GATHER_US * HZ / 1000000);
}

Test(gather, looks_at_once_again_after_a_pause)
{
	run(4, 4 * 100, 900);
	cr_assert_gt(g.hold, 0);
	now += 100 * GATHER_WINDOW;
	gather_note(&g, now, &(struct round){1, 1}, 500);
	cr_expect_eq(g.hold, 0);
}

Test(gather, learns_nothing_from_rounds_that_were_interrupted)
{
	for (unsigned i = 0; i < 20000; i++) {
		now += 2000;
		gather_note(&g, now, &(struct round){1, 1}, i % 3 ? 450 : 100000);
	}
	cr_expect_float_eq((double)g.alone, 450.0, 2.0);
}

Test(gather, learns_the_same_from_many_queues)
{
	for (unsigned i = 0; i < 20000; i++) {
		now += 10000;
		gather_note(&g, now, &(struct round){8, 10}, 8 * 600 + 2 * GATHER_EACH);
	}
	cr_expect_float_eq((double)g.alone, 600.0, 2.0);
	cr_expect_eq(g.hold, 0);
}

Test(gather, does_not_learn_less_than_nothing)
{
	run(8, 8 * 500, 100);
	cr_expect_eq(g.alone, GATHER_ALONE_MIN);
	cr_expect_eq(g.hold, 0);
}

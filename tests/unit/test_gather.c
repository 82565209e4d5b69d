// SPDX-License-Identifier: BSD-3-Clause
// When a worker lets packets gather.
#include "switch/gather.h"

#include <criterion/criterion.h>

#define HZ 2000000000ull

static struct gather g;
static uint64_t now;

// Rounds of so many packets each `gap` cycles, for some windows.
static void run(unsigned packets, unsigned bytes_each, uint64_t gap)
{
	const struct round round = {1, packets, (uint64_t)packets * bytes_each};
	for (uint64_t end = now + 4 * GATHER_WINDOW; now < end;) {
		now += gap;
		gather_note(&g, now, &round);
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
	run(1, 60, 500);
	cr_expect_eq(g.hold, 0);
	run(32, 60, 32 * 500);
	cr_expect_eq(g.hold, 0, "the rate counts and not the burst");
	run(1, 1500, 750);
	cr_expect_eq(g.hold, 0);
}

Test(gather, waits_for_a_burst_at_most)
{
	run(4, 60, 4 * 50);
	cr_expect_float_eq((double)g.hold, BURST_MAX * 50.0, 10.0);
}

Test(gather, waits_sooner_for_long_frames)
{
	run(1, 60, 600);
	cr_expect_eq(g.hold, 0);
	run(1, 1500, 600);
	cr_expect_gt(g.hold, 0);
}

Test(gather, waits_the_longer_the_higher_the_load)
{
	uint64_t before = 0;
	for (uint64_t gap = 440; gap > 400; gap -= 10) {
		run(2, 60, 2 * gap);
		cr_expect_gt(g.hold, before, "%llu", (unsigned long long)gap);
		before = g.hold;
	}
}

Test(gather, never_waits_longer_than_its_bound)
{
	run(2, 60000, 2 * 5000);
	cr_expect_eq(g.hold, GATHER_US * HZ / 1000000);
}

Test(gather, looks_at_once_again_after_a_pause)
{
	run(4, 60, 4 * 100);
	cr_assert_gt(g.hold, 0);
	now += 100 * GATHER_WINDOW;
	gather_note(&g, now, &(struct round){1, 1, 60});
	cr_expect_eq(g.hold, 0);
}

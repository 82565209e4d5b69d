// SPDX-License-Identifier: BSD-3-Clause
// When a worker lets packets gather.
#include "switch/gather.h"

#include <criterion/criterion.h>

#define HZ 2000000000ull

static struct gather g;
static uint64_t now;

// Rounds of `moved` packets each `gap` cycles, of which it works `cycles`, for some windows.
static void run(unsigned moved, uint64_t gap, uint64_t cycles)
{
	for (uint64_t end = now + 4 * GATHER_WINDOW; now < end;) {
		now += gap;
		gather_note(&g, now, moved, cycles);
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
	run(1, 700, 500);
	cr_expect_eq(g.hold, 0);
	cr_expect_float_eq((double)g.alone, 500.0, 16.0);
	run(32, 32 * 600, 4000);
	cr_expect_eq(g.hold, 0, "600 cycles for each is slower than 500");
}

Test(gather, waits_for_a_burst_at_a_higher_rate)
{
	run(1, 700, 500);
	run(4, 4 * 100, 900);
	cr_expect_float_eq((double)g.hold, BURST_MAX * 100.0, 10.0);
}

Test(gather, never_waits_longer_than_its_bound)
{
	run(1, 2000, 1600);
	run(2, 2 * 1000, 1700);
	cr_expect_eq(g.hold, HZ / 1000000 * GATHER_HOLD_US);
}

Test(gather, looks_at_once_again_after_a_pause)
{
	run(4, 4 * 100, 900);
	cr_assert_gt(g.hold, 0);
	now += 100 * GATHER_WINDOW;
	gather_note(&g, now, 1, 500);
	cr_expect_eq(g.hold, 0);
}

Test(gather, learns_nothing_from_a_packet_that_waited_for_the_cpu)
{
	run(1, 100000, 50000);
	cr_expect_eq(g.alone, GATHER_ALONE_START);
}

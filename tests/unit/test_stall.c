// SPDX-License-Identifier: BSD-3-Clause
// When a to-vm ring counts as stalled.
#include "switch/stall.h"

#include <criterion/criterion.h>

static struct stall stall;

static bool look_at(uint64_t ring, uint16_t avail, uint16_t used, uint16_t event)
{
	const struct ring_progress now = {
		.avail = avail, .used = used, .event = event, .size = 256, .number = ring};
	return stall_look(&stall, &now);
}

static bool look(uint16_t avail, uint16_t used, uint16_t event)
{
	return look_at(1, avail, used, event);
}

static unsigned looks_until_stalled(uint16_t avail, uint16_t used, uint16_t event)
{
	for (unsigned n = 1; n <= 20; n++)
		if (look(avail, used, event))
			return n;
	return 0;
}

Test(stall, an_idle_ring_is_healthy)
{
	cr_expect_eq(looks_until_stalled(256, 0, 0), 0);
	look(300, 44, 0);
	cr_expect_eq(looks_until_stalled(300, 44, 0), 0, "and after traffic");
}

Test(stall, packets_that_nobody_takes_for_a_second)
{
	look(256, 0, 0);
	cr_expect_eq(looks_until_stalled(256, 200, 0), STALL_LOOKS);
	cr_expect(look(256, 256, 0), "full");
	cr_expect(!look(300, 256, 0), "it has taken some");
	cr_expect_eq(looks_until_stalled(300, 256, 0), 0);
}

Test(stall, a_driver_that_gives_no_buffers)
{
	cr_expect(look(0, 0, 0), "it never gave any");
	cr_expect(!look(256, 0, 0));
	look(256, 256, 256);
	cr_expect_eq(looks_until_stalled(256, 256, 256), STALL_LOOKS - 1,
		"it has seen all, and gives none back");
	cr_expect(!look(257, 256, 256));
}

Test(stall, a_driver_that_has_more_to_do_than_it_can_is_healthy)
{
	look(256, 0, 0);
	for (uint16_t taken = 256; taken < 1000; taken += 64)
		cr_expect(!look(taken, taken, 0), "each buffer that it gives is filled at once");
	cr_expect_eq(looks_until_stalled(960, 960, 0), STALL_LOOKS, "it gives none any more");
}

Test(stall, a_driver_that_keeps_some_buffers_is_healthy)
{
	look(256, 0, 0);
	cr_expect_eq(looks_until_stalled(256, STALL_KEPT - 1, 0), 0);
	cr_expect_eq(looks_until_stalled(256, STALL_KEPT, 0), STALL_LOOKS);
}

Test(stall, one_packet_is_enough_where_the_driver_tells_how_far_it_has_looked)
{
	look(256, 0, 0);
	look(256, 5, 5);
	cr_expect_eq(looks_until_stalled(256, 5, 5), 0, "it has seen all");
	cr_expect_eq(looks_until_stalled(256, 6, 5), STALL_LOOKS);
	cr_expect(!look(256, 6, 6));
}

Test(stall, indexes_wrap)
{
	look(40, 65530, 0);
	cr_expect_eq(looks_until_stalled(40, 94, 0), STALL_LOOKS);
	cr_expect(!look(41, 94, 0));
}

Test(stall, another_ring_begins_anew)
{
	look(256, 0, 0);
	cr_expect_eq(looks_until_stalled(256, 200, 0), STALL_LOOKS);
	cr_expect(!look_at(2, 0, 200, 0));
}

// A driver that has given back all but `keeps` of the packets that came, in so many looks.
static uint16_t looks_with(unsigned looks, uint16_t keeps)
{
	uint16_t used = 0;
	look(256, 0, 0);
	for (unsigned i = 0; i < looks; i++) {
		used += 100;
		cr_assert(!look((uint16_t)(256 + used - keeps), used, 0));
	}
	return used;
}

// DPDK's does so as long as the traffic is even, and keeps some at its end.
Test(stall, it_is_no_habit_that_each_buffer_came_back_at_once)
{
	uint16_t used = looks_with(20, 0);
	cr_expect_eq(looks_until_stalled((uint16_t)(256 + used), used + 31, 0), 0);
}

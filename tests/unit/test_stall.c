// SPDX-License-Identifier: BSD-3-Clause
// When a to-vm ring counts as stalled.
#include "switch/stall.h"

#include <criterion/criterion.h>

static const struct ring ring, other;
static struct stall stall;

static bool look(uint16_t avail, uint16_t used, uint16_t event)
{
	const struct ring_progress now = {
		.avail = avail, .used = used, .event = event, .size = 256};
	return stall_look(&stall, &ring, &now);
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
	const struct ring_progress now = {.avail = 0, .used = 200, .size = 256};
	look(256, 0, 0);
	cr_expect_eq(looks_until_stalled(256, 200, 0), STALL_LOOKS);
	cr_expect(!stall_look(&stall, &other, &now));
}

// SPDX-License-Identifier: BSD-3-Clause
// Budgets of frames per second: how many at once, how many in the long run.
#include "switch/budget.h"

#include <criterion/criterion.h>

enum {
	HZ = 2100000000
};

// How many of n frames, so many cycles apart, are let through.
static uint64_t through(
	struct budget *budget, uint32_t pps, uint64_t *now, uint64_t apart, uint64_t n)
{
	const struct budget_rate rate = budget_rate(pps, HZ);
	uint64_t passed = 0;
	for (uint64_t i = 0; i < n; i++, *now += apart)
		passed += budget_take(budget, &rate, *now);
	return passed;
}

Test(budget, a_tenth_of_a_second_at_once)
{
	static const uint32_t rates[][2] = {{1, 1}, {9, 1}, {10, 1}, {19, 1}, {20, 2}, {1000, 100},
		{10000, 1000}, {1000000, 100000}};
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct budget budget = {0};
		uint64_t now = 12345678901;
		uint64_t passed = through(&budget, rates[i][0], &now, 0, 200000);
		cr_expect_eq(passed, rates[i][1], "%u/s: %lu", rates[i][0], passed);
	}
}

// The rate is kept to a thousandth, whatever is offered.
Test(budget, what_is_asked_for_in_the_long_run)
{
	static const uint32_t rates[] = {20, 100, 10000, 1000000, 33333333};
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct budget budget = {0};
		uint64_t now = HZ;
		through(&budget, rates[i], &now, 0, rates[i] / 10 + 10); // all that comes at once
		uint64_t span = rates[i] < 100000 ? 10ull * HZ : HZ / 10;
		uint64_t apart = HZ / (rates[i] * 3ull), offered = span / apart;
		uint64_t passed = through(&budget, rates[i], &now, apart, offered);
		uint64_t want = span * rates[i] / HZ;
		cr_expect(passed >= want - want / 1000 - 1 && passed <= want + want / 1000 + 1,
			"%u/s: %lu of %lu, not %lu", rates[i], passed, offered, want);
	}
}

Test(budget, what_stays_below_loses_nothing)
{
	struct budget budget = {0};
	uint64_t now = HZ;
	cr_expect_eq(through(&budget, 1000, &now, HZ / 999, 100000), 100000);
}

Test(budget, fills_while_nothing_comes)
{
	struct budget budget = {0};
	uint64_t now = HZ;
	cr_expect_eq(through(&budget, 1000, &now, 0, 500), 100);
	now += HZ / 20;
	cr_expect_eq(through(&budget, 1000, &now, 0, 500), 50);
	now += 100ull * HZ;
	cr_expect_eq(through(&budget, 1000, &now, 0, 500), 100);
}

// Of two workers one may have the later time.
Test(budget, a_time_that_goes_back_gives_nothing)
{
	struct budget budget = {0};
	uint64_t now = HZ, earlier = HZ - 100000;
	cr_expect_eq(through(&budget, 1000, &now, 0, 60), 60);
	cr_expect_eq(through(&budget, 1000, &earlier, 0, 60), 39, "a hundred and a part of one");
	cr_expect_eq(through(&budget, 1000, &now, 0, 60), 1);
}

Test(budget, a_new_rate_holds_at_once)
{
	struct budget budget = {0};
	uint64_t now = HZ;
	cr_expect_eq(through(&budget, 1000000, &now, 0, 50000), 50000);
	now += HZ / 10;
	cr_expect_eq(through(&budget, 100, &now, 0, 50), 10);
}

// As on a machine that was suspended: no flood may be shut out until the counter has caught up.
Test(budget, a_counter_that_was_set_back)
{
	struct budget budget = {0};
	uint64_t late = 1ull << 50, early = HZ;
	cr_assert_gt(through(&budget, 1000, &late, 0, 1000), 0);
	cr_expect_eq(through(&budget, 1000, &early, 0, 1000), 100);
}

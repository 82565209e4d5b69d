// SPDX-License-Identifier: BSD-3-Clause
// Speeds from samples, and who a rate is limited by; with a counter of our own.
#include <criterion/criterion.h>

#include "switch/history.h"
#include "switch/rate_figures.h"

enum {
	HZ = 1000
};

static struct history_growth growth_at(
	const struct history *h, uint64_t tsc, uint64_t now, unsigned seconds)
{
	const uint64_t of[] = {now, 2 * now};
	return history_growth(h, of, tsc, HZ, seconds);
}

static void add(struct history *h, uint64_t tsc, uint64_t value)
{
	const uint64_t of[] = {value, 2 * value};
	if (history_is_due(h, tsc, HZ))
		history_add(h, of, tsc);
}

Test(rate_history, nothing_is_known_without_a_sample)
{
	struct history h = {0};
	cr_expect_eq(growth_at(&h, 5000, 7, 1).cycles, 0);
	add(&h, 5000, 7);
	cr_expect_eq(growth_at(&h, 5000, 7, 1).cycles, 0);
	cr_expect_eq(growth_at(&h, 5100, 8, 1).cycles, 100);
	cr_expect_eq(growth_at(&h, 5100, 8, 10).of[1], 2);
}

// Samples come late and at odd times; the speed is exact all the same.
Test(rate_history, speeds_are_exact_whenever_samples_are_taken)
{
	struct history h = {0};
	uint64_t tsc = 12345;
	for (unsigned i = 0; i < 200; i++, tsc += 251 + i * 37 % 160)
		add(&h, tsc, 3 * tsc);
	for (unsigned seconds = 1; seconds <= 10; seconds += 9) {
		struct history_growth growth = growth_at(&h, tsc, 3 * tsc, seconds);
		cr_expect_geq(growth.cycles, seconds * HZ);
		cr_expect_leq(growth.cycles, seconds * HZ + 2 * 411);
		cr_expect_eq(history_per_second(growth.of[0], growth.cycles, HZ), 3 * HZ);
		cr_expect_eq(history_per_second(growth.of[1], growth.cycles, HZ), 6 * HZ);
	}
}

Test(rate_history, a_change_is_seen_within_its_window)
{
	struct history h = {0};
	uint64_t value = 0;
	for (uint64_t tsc = 0; tsc <= 20000; tsc += 250) {
		add(&h, tsc, value);
		value += tsc < 19000 ? 250 : 0;
	}
	struct history_growth last = growth_at(&h, 20200, value, 1);
	cr_expect_eq(last.of[0], 0);
	last = growth_at(&h, 20200, value, 10);
	cr_expect_eq(last.cycles, 10200);
	cr_expect_eq(last.of[0], 9000);
}

Test(rate_history, what_comes_too_often_is_passed_over)
{
	struct history h = {0};
	for (uint64_t tsc = 0; tsc < 11000; tsc += 10)
		add(&h, tsc, tsc);
	cr_expect_eq(growth_at(&h, 11000, 11000, 10).cycles, 10000);
}

// A resumed machine's counter may begin again.
Test(rate_history, a_counter_that_was_set_back_tells_nothing)
{
	struct history h = {0};
	add(&h, 1000000, 500);
	cr_expect_eq(growth_at(&h, 100, 600, 1).cycles, 0);
	cr_expect_eq(history_per_second(100, 0, HZ), 0);
}

// One of several counters, taken while they moved.
Test(rate_history, a_sample_that_was_ahead_is_no_growth)
{
	struct history h = {0};
	add(&h, 1000, 532);
	cr_expect_eq(growth_at(&h, 2500, 510, 1).of[0], 0);
}

#define NOW (100ull * HZ)

static enum rate_limited limited(struct rate_figures figures, bool busy)
{
	return rate_limited_by(&figures, busy, NOW, HZ);
}

Test(rate_history, the_last_second_says_who_limits)
{
	cr_expect_eq(limited((struct rate_figures){0}, true), LIMITED_BY_GUEST);
	cr_expect_eq(limited((struct rate_figures){.rate_tsc = NOW - HZ}, false), LIMITED_BY_GUEST);
	cr_expect_eq(
		limited((struct rate_figures){.rate_tsc = NOW - HZ + 1}, true), LIMITED_BY_RATE);
	cr_expect_eq(limited((struct rate_figures){.backlog_tsc = NOW}, true), LIMITED_BY_WORKER);
	cr_expect_eq(limited((struct rate_figures){.backlog_tsc = NOW}, false), LIMITED_BY_GUEST);
	cr_expect_eq(
		limited((struct rate_figures){.rate_tsc = NOW - 2, .receiver_tsc = NOW - 1}, false),
		LIMITED_BY_RECEIVER);
	cr_expect_eq(
		limited((struct rate_figures){.rate_tsc = NOW - 1, .receiver_tsc = NOW - 2}, false),
		LIMITED_BY_RATE);
	// A worker on another CPU may have a stamp that is a little ahead.
	cr_expect_eq(limited((struct rate_figures){.rate_tsc = NOW + 5}, false), LIMITED_BY_RATE);
}

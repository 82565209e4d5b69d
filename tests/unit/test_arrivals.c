// SPDX-License-Identifier: BSD-3-Clause
// The buckets in which the bench counts what arrives when.
#include <criterion/criterion.h>
#include <errno.h>

#include "bench/load/arrivals.h"

static struct arrivals arrivals;
static struct arrival_bucket buckets[4];

static void begin(void)
{
	cr_assert_eq(arrivals_init(&arrivals, 4, 100, 1000), 0);
}

static void end(void)
{
	arrivals_fini(&arrivals);
}

TestSuite(arrivals, .init = begin, .fini = end);

static void arrive(uint64_t tsc, uint32_t bytes)
{
	arrivals_look(&arrivals, tsc);
	arrivals_add(&arrivals, buckets, bytes);
}

Test(arrivals, are_counted_in_the_bucket_of_their_look)
{
	arrive(1000, 10);
	arrive(1099, 20);
	arrive(1100, 30);
	arrive(1350, 40);
	cr_expect_eq(buckets[0].frames, 2);
	cr_expect_eq(buckets[0].bytes, 30);
	cr_expect_eq(buckets[1].bytes, 30);
	cr_expect_eq(buckets[2].frames, 0);
	cr_expect_eq(buckets[3].bytes, 40);
}

Test(arrivals, tell_how_late_a_look_was_at_each_begin)
{
	arrive(1090, 1);
	arrive(1105, 1);
	arrive(1320, 1);
	cr_expect_eq(arrivals.gaps[1], 15);
	cr_expect_eq(arrivals.gaps[2], 215);
	cr_expect_eq(arrivals.gaps[3], 215);
}

Test(arrivals, end_with_the_last_bucket)
{
	arrive(1399, 1);
	arrive(1400, 1);
	arrive(5000, 1);
	cr_expect_eq(arrivals.now, 4);
	cr_expect_eq(buckets[3].frames, 1);
}

Test(arrivals, refuse_what_cannot_be)
{
	struct arrivals none;
	cr_expect_eq(arrivals_init(&none, 0, 100, 0), -EINVAL);
	cr_expect_eq(arrivals_init(&none, ARRIVALS_MAX + 1, 100, 0), -EINVAL);
	cr_expect_eq(arrivals_init(&none, 1, 0, 0), -EINVAL);
}

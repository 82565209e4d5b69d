// SPDX-License-Identifier: BSD-3-Clause
// Rates of bits and packets, in a time that the tests make.
#include "switch/rate.h"

#include <criterion/criterion.h>
#include <math.h>

#define HZ 2100000000ull
#define US (HZ / 1000000)

enum {
	MTU = 1500
};

static struct rate_limit compiled(struct config_rate config)
{
	struct rate_limit limit;
	rate_compile(&limit, &config, MTU, HZ);
	return limit;
}

// A sender that never lacks frames, looked at each `step` cycles; what has gone.
struct sent {
	uint64_t bytes, packets;
};

static struct sent flood(struct rate *rate, const struct rate_limit *limit, uint64_t *now,
	uint64_t span, uint64_t step, uint32_t len)
{
	struct sent sent = {0};
	for (uint64_t end = *now + span; *now - end > span; *now += step)
		while (rate_is_due(rate, limit, *now)) {
			rate_charge(rate, limit, *now, len, 1);
			sent.bytes += len;
			sent.packets++;
		}
	return sent;
}

// Sends until nothing more may go at once.
static struct sent at_once(
	struct rate *rate, const struct rate_limit *limit, uint64_t now, uint32_t len)
{
	return flood(rate, limit, &now, 1, 1, len);
}

// The same, but looked at exactly when the next is due; relative error of the mean.
static double error_of(
	const struct config_rate *config, uint32_t len, uint64_t frames, uint64_t now)
{
	struct rate_limit limit = compiled(*config);
	struct rate rate = {0};
	at_once(&rate, &limit, now, len);
	uint64_t start = now = rate_due(&rate, &limit, now);
	for (uint64_t i = 0; i < frames; i++) {
		cr_assert(rate_is_due(&rate, &limit, now));
		rate_charge(&rate, &limit, now, len, 1);
		now = rate_due(&rate, &limit, now);
	}
	double seconds = (double)(now - start) / HZ;
	double units = (double)frames * (config->bits ? 8.0 * len : 1);
	double target = config->bits ? (double)config->bits : (double)config->packets;
	return fabs(units / seconds / target - 1);
}

Test(rate, the_mean_is_exact_from_a_kilobit_to_400_gigabit)
{
	static const uint32_t lens[] = {60, 1514, 9014, 65550};
	for (uint64_t bits = 1000; bits <= 400000000000; bits *= bits == 100000000000 ? 4 : 10)
		for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
			// So many that one more or less is no matter.
			uint64_t frames = 200000;
			double error = error_of(
				&(struct config_rate){.bits = bits}, lens[i], frames, 7 * HZ);
			// Beside the last look, which is up to a cycle late.
			double look = (double)bits / 8 / lens[i] / (double)frames / HZ;
			cr_expect_lt(error, 2e-5 + 2 * look, "%lu bit/s, %u bytes: %g", bits,
				lens[i], error);
		}
}

Test(rate, the_mean_of_packets_is_exact)
{
	for (uint64_t packets = 1; packets <= 100000000; packets *= 10) {
		double error = error_of(&(struct config_rate){.packets = packets}, 60, 200000, HZ);
		cr_expect_lt(error, 3e-5, "%lu packets/s: %g", packets, error);
	}
}

// Who comes late makes up for it, as far as the bucket goes.
Test(rate, a_late_worker_loses_nothing)
{
	static const uint64_t bits[] = {1000000, 100000000, 10000000000};
	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++) {
		struct rate_limit limit = compiled((struct config_rate){.bits = bits[i]});
		struct rate rate = {0};
		uint64_t now = HZ;
		at_once(&rate, &limit, now, 1514);
		struct sent sent = flood(&rate, &limit, &now, 20 * HZ, 300 * US, 1514);
		double ratio = (double)sent.bytes * 8 / (20.0 * (double)bits[i]);
		cr_expect(fabs(ratio - 1) < 1e-3, "%lu bit/s: %g", bits[i], ratio);
	}
}

Test(rate, a_frame_larger_than_the_bucket_goes_when_due)
{
	struct rate_limit limit = compiled(
		(struct config_rate){.bits = 1000000, .burst_bytes = 2000});
	struct rate rate = {0};
	uint64_t now = HZ;
	// Those in the bucket, and the one with which it goes into debt.
	cr_expect_eq(at_once(&rate, &limit, now, 65550).packets, 1);
	uint64_t due = rate_due(&rate, &limit, now);
	cr_expect_not(rate_is_due(&rate, &limit, due - 1));
	cr_expect(rate_is_due(&rate, &limit, due));
	// 524 ms, less what the bucket held.
	double ms = (double)(due - now) * 1000 / HZ;
	cr_expect(ms > 515 && ms < 525, "%g ms", ms);
}

Test(rate, a_burst_as_given)
{
	static const uint64_t bursts[] = {3000, 30000, 300000, 3000000};
	for (size_t i = 0; i < sizeof(bursts) / sizeof(*bursts); i++) {
		struct rate_limit limit = compiled(
			(struct config_rate){.bits = 10000000, .burst_bytes = bursts[i]});
		struct rate rate = {0};
		uint64_t bytes = at_once(&rate, &limit, HZ, 1514).bytes;
		cr_expect(bytes <= bursts[i] + 1514 && bytes + 1514 > bursts[i], "%lu for %lu",
			bytes, bursts[i]);
		// And never more, however long it has been idle.
		cr_expect_leq(at_once(&rate, &limit, 1000 * HZ, 1514).bytes, bytes);
	}
}

Test(rate, the_later_of_both_limits_wins)
{
	struct rate_limit limit = compiled(
		(struct config_rate){.bits = 100000000, .packets = 10000});
	struct rate rate = {0};
	uint64_t now = HZ;
	at_once(&rate, &limit, now, 60);
	struct sent small = flood(&rate, &limit, &now, 10 * HZ, 10 * US, 60);
	cr_expect(labs((long)small.packets - 100000) < 100, "%lu packets", small.packets);
	at_once(&rate, &limit, now, 1514);
	struct sent large = flood(&rate, &limit, &now, 10 * HZ, 10 * US, 1514);
	// The packets' bucket has filled meanwhile; the bits' has not.
	cr_expect(labs((long)large.bytes * 8 - 1000000000) < 5000000, "%lu bits", large.bytes * 8);
}

Test(rate, the_wire_counts_24_bytes_more)
{
	struct rate_limit l2 = compiled((struct config_rate){.bits = 8000000});
	struct rate_limit wire = compiled(
		(struct config_rate){.bits = 8000000, .layer = LAYER_WIRE});
	struct rate a = {0}, b = {0};
	rate_charge(&a, &l2, HZ, 60 * 1000 + 24 * 1000, 1000);
	rate_charge(&b, &wire, HZ, 60 * 1000, 1000);
	cr_expect_eq(rate_due(&a, &l2, HZ), rate_due(&b, &wire, HZ));
}

Test(rate, nothing_is_held_without_a_limit)
{
	struct rate_limit limit = compiled((struct config_rate){0});
	struct rate rate = {0};
	rate_charge(&rate, &limit, HZ, 1ull << 40, 1 << 30);
	cr_expect(rate_is_due(&rate, &limit, HZ));
	cr_expect_eq(rate_due(&rate, &limit, HZ), HZ);
}

// Ticks go round; so may the counter.
Test(rate, holds_across_the_wrap)
{
	struct rate_limit limit = compiled((struct config_rate){.bits = 1000000000});
	static const uint64_t wraps[] = {1ull << 60, 0 /* 2^64 */};
	for (size_t i = 0; i < sizeof(wraps) / sizeof(*wraps); i++) {
		uint64_t now = wraps[i] - HZ / 2;
		struct rate rate = {.bits_at = now << RATE_TICKS};
		at_once(&rate, &limit, now, 1514);
		struct sent sent = flood(&rate, &limit, &now, HZ, 20 * US, 1514);
		cr_expect(fabs((double)sent.bytes * 8 / 1e9 - 1) < 1e-3, "%lu bytes", sent.bytes);
	}
}

Test(rate, a_counter_that_was_set_back_or_a_port_long_idle)
{
	struct rate_limit limit = compiled((struct config_rate){.bits = 1000000});
	struct rate rate = {0};
	uint64_t full = at_once(&rate, &limit, HZ, 60).bytes;
	// Each of these is as good as new.
	static const uint64_t times[] = {
		1ull << 50, 1ull << 30, 3ull << 58, 1ull << 40, (1ull << 59) + (1ull << 40)};
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		cr_expect_eq(at_once(&rate, &limit, times[i], 60).bytes, full, "time %zu", i);
}

// What was sent is owed at the new rate, not for as long as it took at the old one.
Test(rate, a_change_holds_at_once)
{
	struct rate_limit slow = compiled((struct config_rate){.bits = 100000});
	struct rate_limit fast = compiled((struct config_rate){.bits = 1000000000});
	struct rate rate = {0};
	uint64_t now = HZ;
	at_once(&rate, &slow, now, 65550);
	cr_expect_gt(rate_due(&rate, &slow, now), now + 5 * HZ);
	rate_change(&rate, &slow, &fast, now);
	cr_expect_lt(rate_due(&rate, &fast, now), now + HZ / 1000);
	rate_change(&rate, &fast, &slow, now);
	cr_expect_gt(rate_due(&rate, &slow, now), now + 5 * HZ - HZ / 100);
	const struct rate_limit none = compiled((struct config_rate){0});
	rate_change(&rate, &slow, &none, now);
	rate_change(&rate, &none, &slow, now);
	cr_expect(rate_is_due(&rate, &slow, now));
}

static uint64_t us_until_due(const struct rate *rate, const struct rate_limit *limit, uint64_t now)
{
	return (rate_due(rate, limit, now) - now) / US;
}

// Who has always sent as much as it may owes nothing, so a lower rate or burst is no pause.
Test(rate, a_lower_rate_is_no_pause)
{
	static const struct config_rate changes[][2] = {
		{{.bits = 1000000000}, {.bits = 200000000}},
		{{.bits = 10000000000}, {.bits = 1000000}},
		{{.bits = 5000000000}, {.bits = 500000000}},
		{{.bits = 1000000000, .burst_bytes = 1250000},
			{.bits = 1000000000, .burst_bytes = 1}},
		{{.packets = 1000000}, {.packets = 1000}},
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct rate_limit fast = compiled(changes[i][0]), slow = compiled(changes[i][1]);
		struct rate rate = {0};
		uint64_t now = HZ;
		flood(&rate, &fast, &now, HZ / 10, 100 * US, 1514);
		rate_change(&rate, &fast, &slow, now);
		// The last frame may be owed.
		uint64_t frame = (slow.bits.cost ? rate_bucket_cost(&slow.bits, 1514, 0)
						 : rate_bucket_cost(&slow.packets, 1, 0)) >>
				 RATE_TICKS;
		cr_expect_leq(us_until_due(&rate, &slow, now), frame / US + 1, "change %zu", i);
	}
}

// While the change is published some already charge at the new rate.
Test(rate, what_was_charged_at_the_new_rate_is_not_dearer_for_it)
{
	struct rate_limit fast = compiled((struct config_rate){.bits = 10000000000});
	struct rate_limit slow = compiled((struct config_rate){.bits = 10000000});
	struct rate rate = {0};
	uint64_t now = HZ;
	at_once(&rate, &slow, now, 65550);
	rate_change(&rate, &fast, &slow, now);
	cr_expect_lt(us_until_due(&rate, &slow, now), 110000);
}

// SPDX-License-Identifier: BSD-3-Clause
// The bench's generator, as far as it needs no DPDK: what it measures is only as good as this.
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "bench/load/flows.h"
#include "bench/load/frames.h"
#include "bench/load/histogram.h"

static const struct frame_ends there = {.from = 0, .to = 1};
static const struct frame_ends back = {.from = 1, .to = 0, .reply = true};

static uint8_t frame[FRAME_LONGEST];

static void make(struct frame_ends ends, bool tcp, uint32_t len, uint32_t flow)
{
	struct frame_template t;
	struct frame_tag tag = {.sequence = 0x01020304, .seed = 0x5566, .stamp = 0x778899aa};
	frame_template_init(&t, ends, tcp, len);
	uint32_t sum = pattern_fill(frame + FRAME_HEAD, len - FRAME_HEAD, tag.seed);
	frame_build(frame, &t, flow, flow, tag, sum);
}

// The TCP checksum over everything, computed anew.
static bool tcp_sum_holds(uint32_t len)
{
	const uint8_t *ip = frame + 14;
	uint32_t sum = sum_words(ip + 12, 8) + htons(IPPROTO_TCP) + htons((uint16_t)(len - 34)) +
		       sum_words(ip + 20, len - 34);
	return sum_fold(sum) == 0xffff;
}

Test(frames, have_right_checksums_at_any_length)
{
	static const uint32_t lengths[] = {64, 65, 256, 576, 1499, 1500, 9000};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t len = lengths[i];
		make(there, true, len, 0xabcde);
		cr_expect(frame_head_holds(frame, len, 1), "%u", len);
		cr_expect(tcp_sum_holds(len), "%u", len);
		make(back, false, len, 0x12345);
		cr_expect(frame_head_holds(frame, len, 0), "%u", len);
	}
}

Test(frames, tell_a_changed_head)
{
	static const int watched[] = {0, 1, 2, 14, 17, 24, 29, 33};
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		make(there, false, 64, 7);
		frame[watched[i]] ^= 1;
		cr_expect_not(frame_head_holds(frame, 64, 1), "byte %d", watched[i]);
	}
	make(there, true, 64, 7);
	frame[60] ^= 1;
	cr_expect_not(frame_head_holds(frame, 64, 1), "the TCP payload");
	make(there, false, 64, 7);
	cr_expect_not(frame_head_holds(frame, 65, 1), "longer than it says");
	cr_expect_not(frame_head_holds(frame, 64, 0), "at the wrong port");
}

Test(frames, of_the_two_directions_are_one_connection)
{
	uint8_t forth[FRAME_HEAD];
	make(there, true, 64, 0x30007);
	memcpy(forth, frame, sizeof(forth));
	make(back, true, 64, 0x30007);
	cr_expect_arr_eq(forth, frame + 6, 6);
	cr_expect_arr_eq(forth + 6, frame, 6);
	cr_expect_arr_eq(forth + 26, frame + 30, 4);
	cr_expect_arr_eq(forth + 30, frame + 26, 4);
	cr_expect_arr_eq(forth + 34, frame + 36, 2);
	cr_expect_arr_eq(forth + 36, frame + 34, 2);
}

Test(frames, carry_their_tag_and_flow)
{
	struct frame_tag tag;
	make(there, false, 64, 0x50003);
	cr_assert_eq(frame_tag_at(frame), 42);
	memcpy(&tag, frame + 42, sizeof(tag));
	cr_expect_eq(tag.sequence, 0x01020304);
	cr_expect_eq(tag.seed, 0x5566);
	cr_expect_eq(tag.stamp, 0x778899aa);
	cr_expect_eq(ntohs(get16(frame + 34)), FRAME_CLIENT_PORT + 5);
	cr_expect_eq(ntohs(get16(frame + 28)), 3);
	frame_teach(frame, 1, 5);
	cr_expect_eq(frame_tag_at(frame), 0);
}

Test(frames, of_a_conversation_hold_with_and_without_data)
{
	for (int data = 0; data < 2; data++) {
		const struct frame_segment segment = {
			.flags = 0x10, .sequence = 77, .acknowledgement = 88, .data = data};
		struct frame_template t;
		frame_segment_init(&t, there, &segment);
		frame_build(frame, &t, 0x123456, 0, (struct frame_tag){9, 8, 7}, 0);
		cr_expect(frame_head_holds(frame, FRAME_HEAD, 1));
		cr_expect_eq(ntohs(get16(frame + 16)), data ? 50 : 40);
		cr_expect_eq(frame[47], 0x10);
	}
}

Test(pattern, is_found_at_any_offset_and_in_pieces)
{
	static uint8_t pattern[2 * PATTERN_PERIOD];
	pattern_fill(pattern, PATTERN_PERIOD, 99);
	pattern_fill(pattern + PATTERN_PERIOD, PATTERN_PERIOD, 99);
	cr_expect(pattern_holds(pattern, 2 * PATTERN_PERIOD, 0, 99));
	cr_expect(pattern_holds(pattern + 1001, 777, 1001, 99));
	cr_expect_not(pattern_holds(pattern + 1001, 777, 1003, 99));
	cr_expect_not(pattern_holds(pattern, 100, 0, 98));
	pattern[50] ^= 0x80;
	cr_expect_not(pattern_holds(pattern, 100, 0, 99));
}

static uint32_t *counts(const struct flows *flows, uint32_t count)
{
	uint32_t *seen = calloc(count, sizeof(*seen));
	for (uint32_t i = 0; i < flows->length; i++) {
		cr_assert_lt(flows->order[i], count);
		seen[flows->order[i]]++;
	}
	return seen;
}

Test(flows, of_a_round_come_once_each_and_scattered)
{
	struct flows flows;
	cr_assert_eq(flows_init(&flows, 10000, false), 0);
	uint32_t *seen = counts(&flows, 10000);
	uint32_t neighbours = 0;
	for (uint32_t i = 0; i < 10000; i++) {
		cr_expect_eq(seen[i], 1);
		neighbours += i && flows.order[i] == flows.order[i - 1] + 1;
	}
	cr_expect_lt(neighbours, 20);
	free(seen);
	flows_fini(&flows);
}

static int descending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x < y) - (x > y);
}

Test(flows, drawn_by_zipf_fall_with_their_rank)
{
	struct flows flows;
	cr_assert_eq(flows_init(&flows, 1000, true), 0);
	uint32_t *seen = counts(&flows, 1000);
	qsort(seen, 1000, sizeof(*seen), descending);
	// The sum of 1/k up to 1000 is 7.485.
	cr_expect_float_eq(seen[0] / (double)flows.length, 1 / 7.485, 0.003);
	cr_expect_float_eq(seen[9] / (double)flows.length, 0.1 / 7.485, 0.001);
	free(seen);
	flows_fini(&flows);
}

Test(flows, are_the_same_each_time_and_bounded)
{
	struct flows a, b;
	cr_assert_eq(flows_init(&a, 100, true), 0);
	cr_assert_eq(flows_init(&b, 100, true), 0);
	cr_expect_arr_eq(a.order, b.order, a.length * sizeof(*a.order));
	flows_fini(&a);
	flows_fini(&b);
	cr_expect_eq(flows_init(&a, 0, false), -EINVAL);
	cr_expect_eq(flows_init(&a, FLOWS_MAX + 1, false), -EINVAL);
}

Test(histogram, gives_quantiles_right_to_a_thirty_second)
{
	static struct histogram h;
	cr_expect_eq(histogram_quantile(&h, 0.5), 0);
	for (uint32_t i = 1; i <= 100000; i++)
		histogram_add(&h, i);
	cr_expect_float_eq((double)histogram_quantile(&h, 0.5), 50000.0, 50000 / 32.0);
	cr_expect_float_eq((double)histogram_quantile(&h, 0.99), 99000.0, 99000 / 32.0);
	cr_expect_eq(histogram_quantile(&h, 1), 100000);
}

Test(histogram, takes_the_smallest_and_the_largest)
{
	static struct histogram h;
	for (uint32_t i = 0; i < 64; i++)
		histogram_add(&h, i);
	cr_expect_eq(histogram_quantile(&h, 0), 0);
	cr_expect_eq(histogram_quantile(&h, 1), 63);
	histogram_add(&h, UINT32_MAX);
	cr_expect_eq(histogram_quantile(&h, 1), UINT32_MAX);
	cr_expect_eq(h.count[HISTOGRAM_SIZE - 1], 1);
}

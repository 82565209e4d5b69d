// SPDX-License-Identifier: BSD-3-Clause
// Policing: how much passes in which colour, and what is written into a yellow packet.
#include "switch/police.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "switch/checksum.h"
#include "switch/parse.h"

#define HZ 2100000000ull
#define US (HZ / 1000000)

static struct police police;
static struct police_profile profile;

static void start(struct config_rate config)
{
	memset(&police, 0, sizeof(police));
	police_compile(&profile, &config, HZ);
}

struct passed {
	uint64_t of[POLICE_COLOURS]; // bytes
};

static struct passed offer(uint64_t *now, uint64_t us, uint64_t apart, uint32_t len)
{
	struct passed passed = {0};
	for (uint64_t end = *now + us * US; *now < end; *now += apart)
		passed.of[police_colour(&police, &profile, *now, len)] += len;
	return passed;
}

Test(police, passes_what_the_rate_says)
{
	static const uint64_t rates[] = {1000000, 33000000, 1000000000, 10000000000, 400000000000};
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		start((struct config_rate){.bits = rates[i]});
		// Twice the rate, but no more than a frame each ten cycles.
		uint32_t len = rates[i] > 10000000000 ? 60000 : 1514;
		uint64_t now = HZ, apart = (uint64_t)len * 8 * HZ / rates[i] / 2;
		uint64_t us = rates[i] < 10000000 ? 200000000 : 2000000;
		offer(&now, us, apart, len);
		struct passed passed = offer(&now, us, apart, len);
		double sent = (double)(passed.of[POLICE_GREEN] + passed.of[POLICE_YELLOW]);
		double ratio = sent * 8 / ((double)rates[i] * (double)us / 1e6);
		cr_expect(fabs(ratio - 1) < 0.001, "%lu bit/s: %g", rates[i], ratio);
		cr_expect_gt(passed.of[POLICE_RED], 0);
	}
}

Test(police, below_the_rate_all_is_green)
{
	start((struct config_rate){.bits = 100000000});
	uint64_t now = HZ;
	struct passed passed = offer(&now, 1000000, 1514 * 8 * HZ / 99000000, 1514);
	cr_expect_eq(passed.of[POLICE_YELLOW] + passed.of[POLICE_RED], 0);
}

// Committed and excess bucket, one after the other.
Test(police, a_burst_is_green_then_yellow_then_red)
{
	start((struct config_rate){.bits = 1000000, .burst_bytes = 300000});
	uint64_t now = HZ;
	struct passed passed = offer(&now, 100, 20, 1000);
	cr_expect_eq(passed.of[POLICE_GREEN], 300000);
	cr_expect_eq(passed.of[POLICE_YELLOW], 300000);
	cr_expect_gt(passed.of[POLICE_RED], 0);
}

Test(police, a_tso_frame_fits_any_burst)
{
	start((struct config_rate){.bits = 1000000, .burst_bytes = 1024});
	cr_expect_eq(police_colour(&police, &profile, HZ, FRAME_MAX), POLICE_GREEN);
}

// Of two workers one has the earlier time; it must not look like an age.
Test(police, a_time_that_goes_back_gives_nothing)
{
	start((struct config_rate){.bits = 1000000});
	uint64_t now = HZ, early;
	offer(&now, 100, 20, 1514);
	early = now - 20000;
	cr_expect_eq(police_colour(&police, &profile, early, 1514), POLICE_RED);
	cr_expect_eq(police_colour(&police, &profile, now, 1514), POLICE_RED);
	// But a counter that was set back must not shut the port.
	cr_expect_eq(police_colour(&police, &profile, 1000, 1514), POLICE_GREEN);
}

// --- colours in packets

static uint8_t frame[FRAME_MIN + 64];

static struct packet ipv4(uint8_t tos)
{
	static const uint8_t ip[20] = {
		0x45, 0, 0, 28, 0xab, 0xcd, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	struct packet p = {.data = frame, .len = 42, .head_len = 42};
	memset(frame, 0, sizeof(frame));
	store16(frame + 12, 0x0800);
	memcpy(frame + 14, ip, sizeof(ip));
	frame[15] = tos;
	checksum_ipv4_header(frame + 14, 20);
	store16(frame + 38, 8);
	parse_packet(&p);
	cr_assert(p.flags & PACKET_IPV4);
	return p;
}

static uint8_t expected(uint8_t dscp)
{
	switch (dscp) {
	case 10: // AF11, AF21, AF31, AF41
	case 18:
	case 26:
	case 34:
		return dscp + 2;
	default:
		return dscp;
	}
}

Test(police, only_the_lowest_precedence_of_a_class_is_raised)
{
	for (unsigned tos = 0; tos < 256; tos++) {
		struct packet p = ipv4((uint8_t)tos);
		police_remark(&p);
		cr_expect_eq(frame[15], expected((uint8_t)(tos >> 2)) << 2 | (tos & 3), "%u", tos);
		uint16_t check = load16(frame + 24);
		checksum_ipv4_header(frame + 14, 20);
		cr_expect_eq(load16(frame + 24), check, "checksum with %u", tos);
	}
}

Test(police, likewise_in_ipv6)
{
	for (unsigned class = 0; class < 256; class ++) {
		struct packet p = {.data = frame, .len = 62, .head_len = 62};
		memset(frame, 0, sizeof(frame));
		store16(frame + 12, 0x86dd);
		store32(frame + 14, 0x60000000 | class << 20 | 0x12345);
		store16(frame + 18, 8);
		frame[20] = 17;
		store16(frame + 58, 8);
		parse_packet(&p);
		cr_assert(p.flags & PACKET_IPV6);
		police_remark(&p);
		uint32_t want = (uint32_t)expected((uint8_t)(class >> 2)) << 2 | (class & 3);
		cr_expect_eq(load32(frame + 14), 0x60000000 | want << 20 | 0x12345, "%u", class);
	}
}

Test(police, what_is_no_ip_stays)
{
	uint8_t before[sizeof(frame)];
	memset(frame, 0x28, sizeof(frame));
	memcpy(before, frame, sizeof(frame));
	struct packet p = {.data = frame, .len = 60, .head_len = 60};
	police_remark(&p);
	cr_expect_arr_eq(frame, before, sizeof(frame));
}

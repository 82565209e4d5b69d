// SPDX-License-Identifier: BSD-3-Clause
// Probes as frames: each is sound to the parser, has right checksums, and is known by its mark,
// also when a router has changed what routers change.
#include "switch/probe_frame.h"

#include <arpa/inet.h>
#include <string.h>

#include <criterion/criterion.h>

#include "switch/parse.h"
#include "tests/unit/kit_wire.h"

#define NF_MAC   "\x52\x54\0\0\0\1"
#define WEIR_MAC "\x02Weir\0"

static const struct probe_mark mark = {513, 7, 0x1122334455667788};
static struct config_probe probe;
static uint8_t bytes[PROBE_FRAME_MAX];

static void between(int family, const char *from, const char *to)
{
	probe.from.family = probe.to.family = (uint8_t)family;
	inet_pton(family, from, probe.from.address);
	inet_pton(family, to, probe.to.address);
}

static uint16_t write_echo(void)
{
	return probe_write_echo(
		bytes, (const uint8_t *)NF_MAC, (const uint8_t *)WEIR_MAC, &probe, &mark);
}

// As behind rx: `head` bytes in the stash, and none more.
static void load(struct parcel *parcel, uint16_t len, uint16_t head)
{
	parcel_load(parcel, bytes, len, head, len);
	parse_packet(&parcel->packet);
	cr_assert_eq(parcel->packet.verdict, VERDICT_NONE);
}

static bool is_known_by(uint16_t len, uint16_t head)
{
	struct parcel parcel;
	struct probe_mark found = {0};
	load(&parcel, len, head);
	bool known = probe_read(&parcel.packet, &found);
	if (known)
		cr_expect(found.chain == mark.chain && found.instance == mark.instance &&
			  found.number == mark.number);
	parcel_free(&parcel);
	return known;
}

static bool is_known(uint16_t len)
{
	return is_known_by(len, len);
}

Test(probe_frame, a_bridge_gets_the_shortest_frame_between_nobody_and_nobody)
{
	uint16_t len = probe_write_frame(bytes, &mark);
	cr_expect_eq(len, 60);
	cr_expect_arr_eq(bytes, "\2weir\2\2weir\1\x88\xb5Weir probe", 24);
	cr_expect(is_known(len));
}

Test(probe_frame, a_router_gets_an_echo_request)
{
	between(AF_INET, "10.0.0.1", "10.9.0.2");
	uint16_t len = write_echo();
	cr_expect_eq(len, 14 + 20 + 8 + 24);
	cr_expect_arr_eq(bytes, NF_MAC WEIR_MAC "\x08\0\x45\0\0\x34\0\0\x40\0\x40\1", 24);
	cr_expect_arr_eq(bytes + 26, "\x0a\0\0\1\x0a\x09\0\2\x08\0", 10);
	cr_expect_eq(wire_checksum(bytes + 14, 20, 0), 0);
	cr_expect_eq(wire_checksum(bytes + 34, 32, 0), 0);
	cr_expect(is_known(len));
}

Test(probe_frame, a_router_of_ipv6_too)
{
	between(AF_INET6, "fd00::1", "fd09::2");
	uint16_t len = write_echo();
	cr_expect_eq(len, 14 + 40 + 8 + 24);
	cr_expect_arr_eq(bytes, NF_MAC WEIR_MAC "\x86\xdd\x60\0\0\0\0\x20\x3a\x40", 22);
	cr_expect_arr_eq(bytes + 54, "\x80\0", 2);
	cr_expect_eq(wire_checksum(bytes + 54, 32, wire_pseudo(bytes + 14, 58, 32)), 0);
	cr_expect(is_known(len));
}

Test(probe_frame, what_a_router_or_a_nat_changes_hides_no_mark)
{
	between(AF_INET, "10.0.0.1", "10.9.0.2");
	uint16_t len = write_echo();
	memcpy(bytes, WEIR_MAC NF_MAC, 12);
	bytes[22]--;
	memcpy(bytes + 26, "\xc0\xa8\1\1", 4);
	memcpy(bytes + 38, "\x12\x34", 2);
	cr_expect(is_known(len));
}

Test(probe_frame, others_are_none)
{
	between(AF_INET, "10.0.0.1", "10.9.0.2");
	uint16_t len = write_echo();
	cr_expect(!is_known_by(len, len - 1), "cut");
	bytes[34] = 0;
	cr_expect(!is_known(len), "an answer");
	bytes[34] = 8;
	bytes[23] = 17;
	cr_expect(!is_known(len), "UDP");
	bytes[23] = 58;
	cr_expect(!is_known(len), "ICMPv6 over IPv4");
	bytes[23] = 1;
	bytes[42] = 'w';
	cr_expect(!is_known(len), "another's ping");
	probe_write_frame(bytes, &mark);
	cr_expect(!is_known_by(60, 14 + 23), "cut");
	cr_expect(is_known_by(60, 14 + 24));
}

// SPDX-License-Identifier: BSD-3-Clause
// NSH around frames: byte by byte, there and back, in segments, and what is none.
#include "switch/nsh.h"

#include <netinet/in.h>
#include <string.h>

#include <criterion/criterion.h>

#include "switch/parse.h"
#include "switch/segment.h"
#include "tests/unit/kit_wire.h"

#define NF   "\x52\x54\0\0\0\x0a"
#define WEIR "\x02Weir\0"

static struct wire wire;
static struct parcel parcel;
static uint8_t bytes[WIRE_MAX];
static const struct nsh first = {.path = 0x123456, .index = 255};

static void build(bool tagged, int version, uint32_t payload)
{
	wire_ethernet(&wire);
	if (tagged)
		wire_tag(&wire, 0x8100, 0x600a);
	if (version == 4)
		wire_ipv4(&wire, 8);
	else
		wire_ipv6(&wire);
	wire_tcp(&wire, 12);
	wire_payload(&wire, payload);
	wire_finish(&wire);
}

static struct packet *load(const uint8_t *frame, uint32_t len)
{
	parcel_load(&parcel, frame, len, STASH_HEADERS, 50);
	parse_packet(&parcel.packet);
	cr_assert_eq(parcel.packet.verdict, VERDICT_NONE);
	return &parcel.packet;
}

Test(nsh, is_put_before_the_whole_frame_without_its_tag)
{
	for (unsigned n = 0; n < 4; n++) {
		build(n % 2, n / 2 ? 6 : 4, 300);
		struct packet *p = load(wire.bytes, wire.len);
		nsh_push(p, (const uint8_t *)NF, (const uint8_t *)WEIR, first);
		uint32_t len = packet_assemble(p, bytes), tag = n % 2 ? 4 : 0;
		cr_assert_eq(len, NSH_ROOM + wire.len - tag);
		cr_expect_arr_eq(bytes, NF WEIR "\x89\x4f\x0f\xc2\2\3\x12\x34\x56\xff", NSH_ROOM);
		cr_expect_arr_eq(bytes + NSH_ROOM, wire.bytes, 12);
		cr_expect_arr_eq(bytes + NSH_ROOM + 12, wire.bytes + 12 + tag, wire.len - 12 - tag);
		parcel_free(&parcel);
	}
}

Test(nsh, is_taken_off_and_what_was_inside_is_parsed)
{
	build(false, 4, 300);
	memcpy(bytes, NF WEIR "\x89\x4f\x1f\xc2\xf2\3\x12\x34\x56\xfe", NSH_ROOM);
	memcpy(bytes + NSH_ROOM, wire.bytes, wire.len);
	struct packet *p = load(bytes, NSH_ROOM + wire.len);
	struct nsh nsh;
	cr_assert(nsh_pull(p, &nsh));
	cr_expect(nsh.path == 0x123456 && nsh.index == 254);
	cr_expect_eq(p->flags, PACKET_IPV4 | PACKET_L4);
	cr_expect(p->l3_off == wire.l3 && p->l4_off == wire.l4);
	cr_expect_eq(packet_assemble(p, bytes), wire.len);
	cr_expect_arr_eq(bytes, wire.bytes, wire.len);
	nsh_on(p);
	cr_expect_eq(packet_assemble(p, bytes), NSH_ROOM + wire.len);
	cr_expect_arr_eq(
		bytes, NF WEIR "\x89\x4f\x1f\xc2\xf2\3\x12\x34\x56\xfe", NSH_ROOM, "as it came");
	cr_expect_eq(p->l4_off, NSH_ROOM + wire.l4);
	nsh_off(p);
	cr_expect_eq(p->l4_off, wire.l4);
	parcel_free(&parcel);
}

Test(nsh, every_segment_of_a_large_frame_has_it)
{
	static struct segmenter segmenter;
	struct frame frame;
	unsigned count = 0;
	build(false, 4, 3000);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 700);
	struct packet *p = &parcel.packet;
	p->offload = OFFLOAD_CSUM_PARTIAL | OFFLOAD_TSO4;
	p->gso_size = 1000;
	p->csum_start = wire.l4;
	p->csum_offset = 16;
	parse_packet(p);
	cr_assert_eq(p->verdict, VERDICT_NONE);
	nsh_push(p, (const uint8_t *)NF, (const uint8_t *)WEIR, first);
	cr_assert_eq(segment_begin(&segmenter, p, 0, 1500), DROP_NONE);
	for (; segment_next(&segmenter, &frame); count++) {
		uint32_t len = frame_assemble(&frame, bytes);
		cr_expect_eq(len, NSH_ROOM + wire.payload + 1000u);
		cr_expect_arr_eq(bytes, NF WEIR "\x89\x4f\x0f\xc2\2\3\x12\x34\x56\xff", NSH_ROOM);
		const uint8_t *ip = bytes + NSH_ROOM + wire.l3, *tcp = bytes + NSH_ROOM + wire.l4;
		uint32_t l4_len = len - NSH_ROOM - wire.l4;
		cr_expect_eq(wire_load16(ip + 2), len - NSH_ROOM - wire.l3);
		cr_expect_eq(wire_checksum(ip, 28, 0), 0);
		cr_expect_eq(wire_checksum(tcp, l4_len, wire_pseudo(ip, IPPROTO_TCP, l4_len)), 0);
	}
	cr_expect_eq(count, 3);
	parcel_free(&parcel);
}

static void expect_none(const char *what, unsigned at, uint8_t value)
{
	struct nsh nsh = {0};
	build(false, 4, 100);
	memcpy(bytes, NF WEIR "\x89\x4f\x0f\xc2\2\3\x12\x34\x56\xfe", NSH_ROOM);
	memcpy(bytes + NSH_ROOM, wire.bytes, wire.len);
	bytes[at] = value;
	struct packet *p = load(bytes, NSH_ROOM + wire.len);
	struct packet before = *p;
	cr_expect(!nsh_pull(p, &nsh), "%s", what);
	cr_expect_arr_eq(p, &before, sizeof(before), "%s", what);
	parcel_free(&parcel);
}

Test(nsh, what_is_not_of_this_form_is_none)
{
	expect_none("another type", 13, 0x4e);
	expect_none("version 1", 14, 0x4f);
	expect_none("OAM", 14, 0x2f);
	expect_none("a context of 16 bytes", 15, 0xc6);
	expect_none("no path", 15, 0xc1);
	expect_none("MD type 1", 16, 1);
	expect_none("IPv4 inside", 17, 1);
}

Test(nsh, one_that_is_cut_is_none)
{
	struct nsh nsh;
	build(false, 4, 100);
	memcpy(bytes, NF WEIR "\x89\x4f\x0f\xc2\2\3\x12\x34\x56\xfe", NSH_ROOM);
	memcpy(bytes + NSH_ROOM, wire.bytes, wire.len);
	for (uint32_t len = 14; len < NSH_ROOM + 14; len++) {
		cr_expect(!nsh_pull(load(bytes, len), &nsh), "%u bytes", len);
		parcel_free(&parcel);
	}
	cr_expect(nsh_pull(load(bytes, NSH_ROOM + 14), &nsh), "an Ethernet header alone");
	parcel_free(&parcel);
}

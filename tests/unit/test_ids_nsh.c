// SPDX-License-Identifier: BSD-3-Clause
// NSH as the IDS reads it: what is inside, what is dropped and why, and the form in which it goes
// on.
#include "vm-images/nf/ids/nsh.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit_wire.h"

#define NF    "\x52\x54\0\0\0\x0a"
#define WEIR  "\x02Weir\0"
#define OUTER NF WEIR "\x89\x4f"

enum {
	BASE = 14,
	MD_TYPE = BASE + 2,
	PROTOCOL = BASE + 3,
	INDEX = BASE + 7,
	ROOM = 22, // of what Weir puts before a frame
};

static struct wire wire;
static uint8_t bytes[WIRE_MAX];

// A frame as Weir sends it, with so many bytes of metadata and this MD type. Returns its length.
static size_t build(unsigned type, unsigned metadata)
{
	wire_ethernet(&wire);
	wire_ipv4(&wire, 0);
	wire_udp(&wire);
	wire_payload(&wire, 100);
	wire_finish(&wire);
	memcpy(bytes, OUTER "\x0f\xc2\2\3\x12\x34\x56\xff", ROOM);
	bytes[BASE + 1] = (uint8_t)(0xc0 | (2 + metadata / 4));
	bytes[MD_TYPE] = (uint8_t)type;
	memset(bytes + ROOM, 0xff, metadata);
	memcpy(bytes + ROOM + metadata, wire.bytes, wire.len);
	return ROOM + metadata + wire.len;
}

// Reads a copy that ends where the frame does.
static enum nsh_kind kind(size_t length, size_t *inside)
{
	uint8_t *copy = malloc(length + 1) + 1;
	memcpy(copy, bytes, length);
	enum nsh_kind found = nsh_read(copy, length, inside);
	free(copy - 1);
	return found;
}

static void expect(const char *what, enum nsh_kind wanted, size_t length)
{
	size_t inside = 99;
	enum nsh_kind found = kind(length, &inside);
	cr_expect_eq(found, wanted, "%s: %d, not %d", what, found, wanted);
	cr_expect(found == NSH_SOUND || inside == 0, "%s: %zu inside", what, inside);
}

// A sound frame but for one byte.
static void expect_with(const char *what, enum nsh_kind wanted, unsigned at, unsigned value)
{
	size_t length = build(2, 0);
	bytes[at] = (uint8_t)value;
	expect(what, wanted, length);
}

Test(ids_nsh, the_frame_inside_is_behind_all_metadata)
{
	static const unsigned sound[][2] = {{2, 0}, {2, 4}, {2, 16}, {2, 61 * 4}, {1, 16}};
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
		size_t inside, length = build(sound[i][0], sound[i][1]);
		cr_assert_eq(kind(length, &inside), NSH_SOUND, "MD type %u", sound[i][0]);
		cr_expect_eq(inside, ROOM + sound[i][1]);
		cr_expect_arr_eq(bytes + inside, wire.bytes, wire.len);
	}
}

Test(ids_nsh, what_is_unassigned_or_others_business_is_ignored)
{
	expect_with("the unassigned bit, and TTL 0", NSH_SOUND, BASE, 0x10);
	expect_with("unassigned bits beside the MD type", NSH_SOUND, MD_TYPE, 0xf2);
	expect_with("path 0", NSH_SOUND, BASE + 4, 0);
}

Test(ids_nsh, other_frames_have_none)
{
	expect_with("another type", NSH_NONE, 13, 0x4e);
	size_t length = build(2, 0);
	memmove(bytes + 16, bytes + 12, length - 12);
	memcpy(bytes + 12, "\x81\0\0\7", 4);
	expect("behind a tag", NSH_NONE, length + 4);
	build(2, 0);
	for (length = 0; length < 14; length++)
		expect("no Ethernet header", NSH_NONE, length);
}

Test(ids_nsh, what_is_not_understood_is_told_apart)
{
	expect_with("version 1", NSH_VERSION, BASE, 0x4f);
	expect_with("version 2", NSH_VERSION, BASE, 0x8f);
	expect_with("OAM", NSH_OAM, BASE, 0x2f);
	expect_with("MD type 0", NSH_MD_TYPE, MD_TYPE, 0);
	expect_with("MD type 3", NSH_MD_TYPE, MD_TYPE, 3);
	expect_with("MD type 15, of experiments", NSH_MD_TYPE, MD_TYPE, 15);
	static const uint8_t others[] = {0, 1, 2, 4, 5, 0xfe, 0xff}; // IPv4, IPv6, NSH, MPLS, ...
	for (size_t i = 0; i < sizeof(others); i++)
		expect_with("something else inside", NSH_PROTOCOL, PROTOCOL, others[i]);
}

Test(ids_nsh, a_length_that_its_type_cannot_have)
{
	for (unsigned words = 0; words < 2; words++)
		expect_with("no room for the headers", NSH_LENGTH, BASE + 1, 0xc0 | words);
	for (unsigned words = 0; words < 16; words++) {
		size_t length = build(1, 16);
		bytes[BASE + 1] = (uint8_t)(0xc0 | words);
		expect("MD type 1", words == 6 ? NSH_SOUND : NSH_LENGTH, length);
	}
}

Test(ids_nsh, one_that_is_cut_off)
{
	for (unsigned metadata = 0; metadata <= 244; metadata += 4) {
		size_t inner = build(2, metadata) - wire.len;
		for (size_t length = 14; length < inner + 14; length++)
			expect("cut off", NSH_LENGTH, length);
		expect("an Ethernet header is inside", NSH_SOUND, inner + 14);
	}
	expect_with("longer than the frame", NSH_LENGTH, BASE + 1, 0xff);
}

Test(ids_nsh, no_index_below_zero)
{
	expect_with("index 0", NSH_INDEX, INDEX, 0);
	expect_with("index 1", NSH_SOUND, INDEX, 1);
}

Test(ids_nsh, goes_on_to_where_it_came_from_with_the_index_one_less)
{
	for (unsigned index = 1; index <= 255; index++) {
		size_t length = build(2, 8);
		bytes[INDEX] = (uint8_t)index;
		uint8_t wanted[WIRE_MAX];
		memcpy(wanted, bytes, length);
		memcpy(wanted, WEIR "\x52\x54\0\0\0\x0b", 12);
		wanted[INDEX] = (uint8_t)(index - 1);
		nsh_hand_on(bytes, (const uint8_t *)"\x52\x54\0\0\0\x0b");
		cr_assert_arr_eq(bytes, wanted, length, "index %u", index);
	}
}

// SPDX-License-Identifier: BSD-3-Clause
// Fragments and their connections: what passes, and each bound. What is refused is in
// test_fragments_refused.c; random ones against a plain reference, in test_fragments_random.c.
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "switch/parse.h"
#include "tests/unit/kit_fragment_table.h"

TestSuite(fragments, .init = make, .fini = unmake);

// --- what passes -------------------------------------------------------------------------------

Test(fragments, in_order)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		// Three times: when all have come, the identification is free again.
		for (unsigned i = 0; i < 3; i++) {
			struct cut cut = cut_of(version, 0, 1480, true);
			expect_pass(see(&cut), &cut);
			expect_pass(see_part(version, 1480, 1480, true), &cut);
			expect_pass(see_part(version, 2960, 333, false), &cut);
		}
		expect_nothing_held();
	}
}

Test(fragments, reversed)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		struct cut held[40], first = cut_of(version, 0, 1480, true);
		for (unsigned i = 0; i < 40; i++) {
			held[i] = cut_of(version, 1480 * (40 - i), 1480, i > 0);
			cr_expect_eq(see(&held[i]), FRAGMENT_HELD);
		}
		cr_expect_eq(fragments_held(f), 40);
		expect_pass(see(&first), &first);
		expect_follow(held, 40);
		expect_nothing_held();
		expect_pass(see(&first), &first);
		fragments_expire(f, now + HOLD);
	}
}

Test(fragments, one_overtakes_what_is_ready)
{
	struct cut held = cut_of(4, 16, 8, true), first = cut_of(4, 0, 16, true);
	cr_expect_eq(see(&held), FRAGMENT_HELD);
	expect_pass(see(&first), &first);
	expect_pass(see_part(4, 24, 8, false), &first);
	expect_follow(&held, 1);
	expect_nothing_held();
	expect_pass(see(&first), &first);
}

Test(fragments, frames_of_all_sizes)
{
	static const uint32_t lens[] = {
		8, 96, 136, 144, 152, 1992, 2000, 2008, 2016, 2024, 4096, 9000, 30000, 65480};
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct cut held = cut_of(6, 8, lens[i], false), first = cut_of(6, 0, 8, true);
		held.identification = first.identification = i;
		for (uint32_t piece = 1; piece < 3000; piece = piece * 7 + 1) {
			now++;
			cr_expect_eq(cut_see(f, &held, piece, now, NULL, NULL), FRAGMENT_HELD);
			expect_pass(see(&first), &first);
			expect_follow(&held, 1);
		}
	}
	expect_nothing_held();
}

Test(fragments, options_and_extension_headers)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		struct cut first = cut_of(version, 0, 64, true),
			   held = cut_of(version, 64, 64, true);
		first.before = 40;
		held.before = version == 6 ? 40 : 0; // IPv4 does not copy all options
		cr_expect_eq(see(&held), FRAGMENT_HELD);
		expect_pass(see(&first), &first);
		expect_follow(&held, 1);
		held.start = 128;
		held.more = false;
		expect_pass(see(&held), &first);
	}
}

// RFC 8200: the first fragment's next header alone counts. IPv4: another protocol is another
// datagram (RFC 791).
Test(fragments, protocol)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		struct cut first = cut_of(version, 0, 64, true),
			   later = cut_of(version, 64, 8, false);
		later.protocol = IPPROTO_ICMPV6;
		expect_pass(see(&first), &first);
		cr_expect_eq(see(&later), version == 4 ? FRAGMENT_HELD : FRAGMENT_PASS);
	}
}

Test(fragments, of_another_port_or_zone_are_others)
{
	struct cut first = cut_of(4, 0, 64, true), later = cut_of(4, 64, 8, false);
	expect_pass(see(&first), &first);
	later.port = 4;
	cr_expect_eq(see(&later), FRAGMENT_HELD);
	later.port = 3;
	later.zone = 11;
	cr_expect_eq(see(&later), FRAGMENT_HELD);
	later.zone = 10;
	later.identification = 78;
	cr_expect_eq(see(&later), FRAGMENT_HELD);
	later.identification = 77;
	expect_pass(see(&later), &first);
}

Test(fragments, an_atomic_one_is_none)
{
	static struct wire wire;
	struct cut cut = cut_of(6, 0, 64, false);
	struct parcel parcel;
	cut_frame(&wire, &cut);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	parse_packet(&parcel.packet);
	cr_expect_eq(parcel.packet.verdict, VERDICT_NONE);
	cr_expect(!(parcel.packet.flags & PACKET_FRAGMENT));
	parcel_free(&parcel);
}

// --- bounds ------------------------------------------------------------------------------------

static enum fragment_verdict see_of(uint16_t port, uint32_t identification, uint32_t start)
{
	struct cut cut = cut_of(6, start, 64, true);
	cut.port = port;
	cut.identification = identification;
	return see(&cut);
}

Test(fragments, held_ones_of_a_port)
{
	for (uint32_t i = 0; i < 3 * FRAGMENT_PORT_SLOTS; i++)
		cr_expect_eq(see_of(1, i, 64), FRAGMENT_HELD);
	cr_expect_eq(fragments_held(f), FRAGMENT_PORT_SLOTS);
	cr_expect_eq(lost[DROP_FRAGMENT_LIMIT], 2 * FRAGMENT_PORT_SLOTS);
	// The oldest have gone.
	cr_expect_eq(see_of(1, 2 * FRAGMENT_PORT_SLOTS - 1, 0), FRAGMENT_PASS);
	cr_expect(!fragments_ready(f));
	cr_expect_eq(see_of(1, 2 * FRAGMENT_PORT_SLOTS, 0), FRAGMENT_PASS);
	cr_expect(fragments_ready(f));
}

Test(fragments, one_datagram_beyond_its_port)
{
	uint32_t start = 8;
	for (; start <= 8 * FRAGMENT_PORT_SLOTS; start += 8) {
		struct cut cut = cut_of(4, start, 8, true);
		cr_expect_eq(see(&cut), FRAGMENT_HELD);
	}
	expect_drop(see_part(4, start, 8, true), DROP_FRAGMENT_LIMIT);
	cr_expect_eq(lost[DROP_FRAGMENT_LIMIT], FRAGMENT_PORT_SLOTS);
	expect_nothing_held();
	// Of large frames, fewer.
	for (uint32_t i = 0; i < 10; i++) {
		struct cut cut = cut_of(4, 8, 40000, true);
		cut.identification = i;
		cr_expect_eq(see(&cut), FRAGMENT_HELD);
	}
	cr_expect_eq(fragments_held(f), 6 * 20);
}

Test(fragments, too_many_gaps)
{
	for (uint32_t i = 0; i < 32; i++)
		cr_expect_eq(see_part(4, 16 + 16 * i, 8, true), FRAGMENT_HELD);
	expect_drop(see_part(4, 16 + 16 * 32, 8, true), DROP_FRAGMENT_LIMIT);
	cr_expect_eq(lost[DROP_FRAGMENT_LIMIT], 32);
	expect_drop(see_part(4, 0, 8, true), DROP_FRAGMENT_LIMIT);
	expect_nothing_held();
}

Test(fragments, open_ones_of_a_port)
{
	for (uint32_t i = 0; i < 2 * FRAGMENT_PORT_OPEN; i++)
		cr_expect_eq(see_of(1, i, 0), FRAGMENT_PASS);
	cr_expect_eq(see_of(1, FRAGMENT_PORT_OPEN, 64), FRAGMENT_PASS);
	cr_expect_eq(see_of(1, FRAGMENT_PORT_OPEN - 1, 64), FRAGMENT_HELD);
	// What waits pushes out none that is open.
	for (uint32_t i = 0; i < 2000; i++)
		see_of(1, 100000 + i, 64);
	cr_expect_eq(see_of(1, FRAGMENT_PORT_OPEN, 128), FRAGMENT_PASS);
}

// Ports that flood, in all more than there is room for, take nothing from one that does not.
Test(fragments, floods_harm_no_other_port)
{
	enum {
		FLOODERS = 24
	};
	uint32_t next = 0;
	for (unsigned k = 0; k < 200; k++) {
		for (unsigned i = 0; i < 64; i++, next++) {
			see_of((uint16_t)(1 + next % FLOODERS), next, 64);
			see_of((uint16_t)(1 + next % FLOODERS), next + 500000000, 0);
		}
		struct cut first = cut_of(6, 0, 64, true);
		struct cut held[4];
		first.port = 40;
		first.identification = k;
		for (unsigned i = 0; i < 4; i++) {
			held[i] = first;
			held[i].start = 64 + 64 * i;
			cr_expect_eq(see(&held[i]), FRAGMENT_HELD);
			for (unsigned n = 0; n < 512; n++, next++)
				see_of((uint16_t)(1 + next % FLOODERS), next, 64);
		}
		expect_pass(see(&first), &first);
		expect_follow(held, 4);
		for (unsigned n = 0; n < 4096; n++, next++)
			see_of((uint16_t)(1 + next % FLOODERS), next, 0);
		expect_pass(see_of(40, k, 64 * 5), &first);
	}
	cr_expect_eq(lost_at[40], 0);
	cr_expect_gt(lost[DROP_FRAGMENT_LIMIT], 0);
	cr_expect_leq(fragments_held(f), FRAGMENT_SLOTS);
}

Test(fragments, time_out)
{
	cr_expect_eq(fragments_due(f), UINT64_MAX);
	cr_expect_eq(see_of(1, 1, 64), FRAGMENT_HELD);
	uint64_t due = now + HOLD;
	cr_expect_eq(see_of(1, 2, 0), FRAGMENT_PASS);
	cr_expect_eq(fragments_due(f), due);
	fragments_expire(f, due - 1);
	cr_expect_eq(fragments_held(f), 1);
	fragments_expire(f, due);
	expect_nothing_held();
	cr_expect_eq(lost[DROP_FRAGMENT_INCOMPLETE], 1);
	cr_expect_eq(fragments_due(f), due + 1);
	now = due - 1;
	cr_expect_eq(see_of(1, 2, 64), FRAGMENT_PASS);
	fragments_expire(f, due + 1);
	cr_expect_eq(see_of(1, 2, 128), FRAGMENT_HELD, "its first is forgotten");
}

// What was held and is not known any more when it comes again, since its port's zone has changed.
Test(fragments, held_ones_find_no_datagram)
{
	static struct burst burst;
	struct cut first = cut_of(4, 0, 8, true);
	uint16_t port;
	cr_expect_eq(see_part(4, 8, 8, true), FRAGMENT_HELD);
	expect_pass(see(&first), &first);
	cr_assert_eq(fragments_take(f, &burst, &port), 1);
	parse_packet(&burst.packets[0]);
	expect_drop(fragments_see(f, &burst.packets[0], 11, port, now, &its_key, &why),
		DROP_FRAGMENT_INCOMPLETE);
	fragments_give_back(f);
	expect_nothing_held();
	cr_expect_eq(fragments_take(f, &burst, &port), 0);
}

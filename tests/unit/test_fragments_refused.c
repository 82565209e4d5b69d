// SPDX-License-Identifier: BSD-3-Clause
// Fragments that are refused, by each rule, and what goes with them.
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "switch/parse.h"
#include "tests/unit/kit_fragment_table.h"

TestSuite(fragments_refused, .init = make, .fini = unmake);

// After each of these, nothing of the datagram passes any more, until its time is over.
static void expect_refused(unsigned version, const char *what)
{
	cr_expect_eq(see_part(version, 0, 8, true), FRAGMENT_DROP, "%s", what);
	cr_expect_eq(why.reason, DROP_FRAGMENT_INVALID, "%s", what);
	cr_expect_eq(see_part(version, 40000, 8, false), FRAGMENT_DROP, "%s", what);
	expect_nothing_held();
	now += HOLD;
	fragments_expire(f, now);
	cr_expect_eq(fragments_due(f), UINT64_MAX);
	cr_expect_eq(see_part(version, 0, 8, true), FRAGMENT_PASS, "%s", what);
	now += HOLD;
	fragments_expire(f, now);
}

Test(fragments_refused, overlaps)
{
	// With 400…800 seen (and the first, 0…64, or not), in bytes:
	static const struct {
		uint32_t start, end;
	} overlaps[] = {{320, 408}, {320, 800}, {320, 808}, {792, 1000}, {400, 808}, {392, 408}};
	for (unsigned i = 0; i < 24; i++) {
		unsigned version = i & 1 ? 6 : 4;
		bool begun = i >> 1 & 1;
		uint32_t start = overlaps[i / 4].start, end = overlaps[i / 4].end;
		memset(lost, 0, sizeof(lost));
		if (begun)
			see_part(version, 0, 64, true);
		cr_expect_eq(
			see_part(version, 400, 400, true), begun ? FRAGMENT_PASS : FRAGMENT_HELD);
		expect_drop(see_part(version, start, end - start, true), DROP_FRAGMENT_INVALID);
		cr_expect_eq(why.port, 3);
		cr_expect_eq(lost[DROP_FRAGMENT_INVALID], begun ? 0 : 1);
		expect_refused(version, "overlap");
	}
}

Test(fragments_refused, a_first_that_reaches_into_others)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		cr_expect_eq(see_part(version, 8, 16, true), FRAGMENT_HELD);
		expect_drop(see_part(version, 0, 16, true), DROP_FRAGMENT_INVALID);
		cr_expect_eq(lost[DROP_FRAGMENT_INVALID], 1);
		lost[DROP_FRAGMENT_INVALID] = 0;
		expect_refused(version, "first over later");
		// A second first, and a longer one.
		see_part(version, 0, 64, true);
		expect_drop(see_part(version, 0, 72, true), DROP_FRAGMENT_INVALID);
		expect_refused(version, "two firsts");
	}
}

Test(fragments_refused, duplicates_are_dropped_alone)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		struct cut first = cut_of(version, 0, 64, true);
		cr_expect_eq(see_part(version, 64, 64, true), FRAGMENT_HELD);
		expect_drop(see_part(version, 64, 64, true), DROP_FRAGMENT_INVALID);
		cr_expect_eq(fragments_held(f), 1);
		expect_pass(see(&first), &first);
		expect_drop(see(&first), DROP_FRAGMENT_INVALID);
		expect_drop(see_part(version, 72, 8, true), DROP_FRAGMENT_INVALID);
		struct cut held = cut_of(version, 64, 64, true);
		expect_follow(&held, 1);
		expect_drop(see_part(version, 32, 64, true), DROP_FRAGMENT_INVALID);
		expect_pass(see_part(version, 128, 5, false), &first);
	}
	cr_expect_eq(lost[DROP_FRAGMENT_INVALID], 0);
}

Test(fragments_refused, malformed)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		struct cut tiny = cut_of(version, 0, 8, true);
		tiny.unkeyed = true;
		expect_drop(see(&tiny), DROP_FRAGMENT_INVALID);
		expect_refused(version, "first without a key");
		cr_expect_eq(see_part(version, 8, 8, true), FRAGMENT_HELD);
		expect_drop(see(&tiny), DROP_FRAGMENT_INVALID);
		expect_refused(version, "first without a key, others before");
		expect_drop(see_part(version, 80, 12, true), DROP_FRAGMENT_INVALID);
		expect_refused(version, "no multiple of 8");
		expect_drop(see_part(version, 80, 0, true), DROP_FRAGMENT_INVALID);
		expect_refused(version, "nothing in it");
		expect_drop(see_part(version, 80, 0, false), DROP_FRAGMENT_INVALID);
		expect_refused(version, "nothing in it, the last");
	}
}

Test(fragments_refused, the_end_of_all)
{
	// The last byte that there can be: 65535, less IPv4's own header.
	for (unsigned version = 4; version <= 6; version += 2) {
		uint32_t most = version == 4 ? 65535 - 20 : 65535;
		cr_expect_eq(see_part(version, 65488, most - 65488, false), FRAGMENT_HELD);
		fragments_expire(f, now + HOLD);
		expect_drop(
			see_part(version, 65488, most - 65488 + 1, false), DROP_FRAGMENT_INVALID);
		expect_refused(version, "too far");
		struct cut cut = cut_of(version, 65488, most - 65488 - 8, false);
		cut.before = 8;
		cr_expect_eq(see(&cut), FRAGMENT_HELD);
		cut.identification++;
		cut.len++;
		expect_drop(see(&cut), DROP_FRAGMENT_INVALID);
		now += HOLD;
		fragments_expire(f, now);
	}
}

Test(fragments_refused, ends_that_differ)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		see_part(version, 0, 8, true);
		see_part(version, 80, 20, false);
		expect_drop(see_part(version, 40, 16, false), DROP_FRAGMENT_INVALID);
		expect_refused(version, "a last one before the last");
		see_part(version, 80, 20, false);
		expect_drop(see_part(version, 80, 21, false), DROP_FRAGMENT_INVALID);
		expect_refused(version, "a longer last one");
		see_part(version, 80, 20, false);
		expect_drop(see_part(version, 800, 8, true), DROP_FRAGMENT_INVALID);
		expect_refused(version, "behind the last");
		see_part(version, 80, 24, true);
		expect_drop(see_part(version, 96, 3, false), DROP_FRAGMENT_INVALID);
		expect_refused(version, "a last one before what was seen");
	}
}

Test(fragments_refused, cut_twice)
{
	static struct wire wire;
	struct parcel parcel;
	wire_ethernet(&wire);
	wire_ipv6(&wire);
	for (unsigned i = 0; i < 2; i++) {
		wire_extension(&wire, IPPROTO_FRAGMENT, 8);
		wire.bytes[wire.len - 5] = 1;
	}
	wire_udp(&wire);
	wire_payload(&wire, 64);
	wire_finish(&wire);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	parse_packet(&parcel.packet);
	struct conn_key own = {.id.meta = 1};
	expect_drop(fragments_see(f, &parcel.packet, 0, 1, now, &own, &why), DROP_FRAGMENT_INVALID);
	parcel_free(&parcel);
}

Test(fragments_refused, share_the_fate_of_the_first)
{
	static struct wire wire;
	struct parcel parcel;
	struct cut first = cut_of(4, 0, 64, true), held = cut_of(4, 64, 64, true);
	struct cut last = cut_of(4, 128, 8, false);
	cr_expect_eq(see(&held), FRAGMENT_HELD);
	expect_pass(see(&first), &first);
	// At one moment, as in one burst: the last passes, and then the first is dropped.
	now--;
	expect_pass(see(&last), &first);
	cut_frame(&wire, &first);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	parse_packet(&parcel.packet);
	cr_expect_eq(fragments_fate(f, &parcel.packet, 10, 3).reason, DROP_NONE);
	// It counts at the port that denies it, and so do they.
	const struct fragment_drop deny = {DROP_GROUP_DENY, 9};
	fragments_refuse(f, &parcel.packet, 10, 3, deny);
	why = fragments_fate(f, &parcel.packet, 10, 3);
	cr_expect(why.reason == DROP_GROUP_DENY && why.port == 9);
	cr_expect(lost[DROP_GROUP_DENY] == 1 && lost_at[9] == 1);
	expect_drop(see(&last), DROP_GROUP_DENY);
	cr_expect_eq(why.port, 9);
	expect_nothing_held();
	parcel_free(&parcel);
}

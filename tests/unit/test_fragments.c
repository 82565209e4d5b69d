// SPDX-License-Identifier: BSD-3-Clause
// Fragments and their connections: each rule, each bound. Random ones against a plain reference are
// in test_fragments_random.c.
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "conntrack/fragment.h"
#include "switch/parse.h"
#include "tests/unit/kit_fragment.h"

enum {
	HOLD = 1000
};

static struct fragments *f;
static uint64_t now;
static unsigned lost[DROP_REASON_COUNT], lost_of_port[64];
static enum drop_reason reason;
static struct conn_key key;
static struct burst burst;

static void note_lost(
	void *ctx, uint16_t port, enum drop_reason why, const uint8_t *head, uint32_t len)
{
	cr_assert_eq(ctx, &now);
	cr_assert(head && len >= FRAME_MIN && len <= STASH_HEADERS);
	lost[why]++;
	lost_of_port[port]++;
}

static void make(void)
{
	const struct fragment_options options = {.secret = {0x1f3e5d7c9ba8, 0x8badf00d5eed},
		.hold = HOLD,
		.lost = note_lost,
		.ctx = &now};
	f = fragments_new(&options);
	cr_assert(f);
	now = 5000;
}

static void unmake(void)
{
	fragments_free(f);
}

TestSuite(fragments, .init = make, .fini = unmake);

static enum fragment_verdict see(const struct cut *cut)
{
	now++;
	memset(&key, 0, sizeof(key));
	reason = DROP_NONE;
	return cut_see(f, cut, 0, now, &key, &reason);
}

static struct cut cut_of(unsigned version, uint32_t start, uint32_t len, bool more)
{
	return (struct cut){.version = (uint8_t)version,
		.identification = 77,
		.start = start,
		.len = len,
		.more = more,
		.port = 3,
		.zone = 10};
}

static enum fragment_verdict see_part(unsigned version, uint32_t start, uint32_t len, bool more)
{
	struct cut cut = cut_of(version, start, len, more);
	return see(&cut);
}

#define expect_pass(verdict, cut) \
	do { \
		struct conn_key want = cut_key(cut); \
		cr_expect_eq(verdict, FRAGMENT_PASS, "%s", drop_name(reason)); \
		cr_expect_eq(memcmp(&key, &want, sizeof(key)), 0, "not the first one's key"); \
	} while (0)
#define expect_drop(verdict, why) \
	do { \
		cr_expect_eq(verdict, FRAGMENT_DROP); \
		cr_expect_eq(reason, why, "%s", drop_name(reason)); \
	} while (0)

// Lets what is ready go on; it must be the n frames of these cuts, in this order.
static void expect_follow(const struct cut *cuts, unsigned n)
{
	static struct wire wire;
	static uint8_t frame[WIRE_MAX];
	unsigned done = 0;
	while (done < n) {
		uint16_t port;
		cr_expect(fragments_ready(f));
		unsigned count = fragments_take(f, &burst, &port);
		cr_assert(count && done + count <= n && burst.count == count);
		for (unsigned i = 0; i < count; i++, done++) {
			struct packet *p = &burst.packets[i];
			struct frame whole = {.head = p->data,
				.head_len = p->head_len,
				.body = p->body,
				.body_len = p->len - p->head_len};
			cut_frame(&wire, &cuts[done]);
			cr_assert_eq(frame_assemble(&whole, frame), wire.len);
			cr_expect_eq(memcmp(frame, wire.bytes, wire.len), 0);
			cr_expect_eq(port, cuts[done].port);
			parse_packet(p);
			memset(&key, 0, sizeof(key));
			now++;
			enum fragment_verdict verdict = fragments_see(
				f, p, cuts[done].zone, port, now, &key, &reason);
			expect_pass(verdict, &cuts[done]);
		}
		fragments_give_back(f);
	}
	cr_expect(!fragments_ready(f));
}

static void expect_nothing_held(void)
{
	cr_expect_eq(fragments_held(f), 0);
	cr_expect(!fragments_ready(f));
}

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

// --- what is refused ---------------------------------------------------------------------------

// After each of these, nothing of the datagram passes any more, until its time is over.
static void expect_refused(unsigned version, const char *what)
{
	cr_expect_eq(see_part(version, 0, 8, true), FRAGMENT_DROP, "%s", what);
	cr_expect_eq(reason, DROP_FRAGMENT_INVALID, "%s", what);
	cr_expect_eq(see_part(version, 40000, 8, false), FRAGMENT_DROP, "%s", what);
	expect_nothing_held();
	now += HOLD;
	fragments_expire(f, now);
	cr_expect_eq(fragments_due(f), UINT64_MAX);
	cr_expect_eq(see_part(version, 0, 8, true), FRAGMENT_PASS, "%s", what);
	now += HOLD;
	fragments_expire(f, now);
}

Test(fragments, overlaps)
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
		cr_expect_eq(lost[DROP_FRAGMENT_INVALID], begun ? 0 : 1);
		expect_refused(version, "overlap");
	}
}

Test(fragments, a_first_that_reaches_into_others)
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

Test(fragments, duplicates_are_dropped_alone)
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

Test(fragments, malformed)
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

Test(fragments, the_end_of_all)
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

Test(fragments, ends_that_differ)
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

Test(fragments, cut_twice)
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
	expect_drop(
		fragments_see(f, &parcel.packet, 0, 1, now, &own, &reason), DROP_FRAGMENT_INVALID);
	parcel_free(&parcel);
}

Test(fragments, share_the_fate_of_the_first)
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
	cr_expect_eq(fragments_fate(f, &parcel.packet, 10, 3), DROP_NONE);
	fragments_refuse(f, &parcel.packet, 10, 3, DROP_GROUP_DENY);
	cr_expect_eq(fragments_fate(f, &parcel.packet, 10, 3), DROP_GROUP_DENY);
	cr_expect_eq(lost[DROP_GROUP_DENY], 1);
	expect_drop(see(&last), DROP_GROUP_DENY);
	expect_nothing_held();
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
	cr_expect_eq(lost_of_port[40], 0);
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
	struct cut first = cut_of(4, 0, 8, true);
	uint16_t port;
	cr_expect_eq(see_part(4, 8, 8, true), FRAGMENT_HELD);
	expect_pass(see(&first), &first);
	cr_assert_eq(fragments_take(f, &burst, &port), 1);
	parse_packet(&burst.packets[0]);
	expect_drop(fragments_see(f, &burst.packets[0], 11, port, now, &key, &reason),
		DROP_FRAGMENT_INCOMPLETE);
	fragments_give_back(f);
	expect_nothing_held();
	cr_expect_eq(fragments_take(f, &burst, &port), 0);
}

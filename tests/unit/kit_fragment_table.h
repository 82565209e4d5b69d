// SPDX-License-Identifier: BSD-3-Clause
// A worker's fragments for one test, and what is done to them in one line.
#ifndef WEIR_TESTS_KIT_FRAGMENT_TABLE_H
#define WEIR_TESTS_KIT_FRAGMENT_TABLE_H

#include <criterion/criterion.h>
#include <string.h>

#include "switch/parse.h"
#include "tests/unit/kit_fragment.h"

enum {
	HOLD = 1000
};

static struct fragments *f;
static uint64_t now;
static unsigned lost[DROP_REASON_COUNT], lost_at[64];
static struct fragment_drop why;
static struct conn_key its_key;

static inline void note_lost(
	void *ctx, uint16_t port, enum drop_reason reason, const uint8_t *head, uint32_t len)
{
	cr_assert_eq(ctx, &now);
	cr_assert(head && len >= FRAME_MIN && len <= STASH_HEADERS);
	lost[reason]++;
	lost_at[port]++;
}

static inline void make(void)
{
	const struct fragment_options options = {.secret = {0x1f3e5d7c9ba8, 0x8badf00d5eed},
		.hold = HOLD,
		.lost = note_lost,
		.ctx = &now};
	f = fragments_new(&options);
	cr_assert(f);
	now = 5000;
}

static inline void unmake(void)
{
	fragments_free(f);
}

static inline enum fragment_verdict see(const struct cut *cut)
{
	now++;
	memset(&its_key, 0, sizeof(its_key));
	return cut_see(f, cut, 0, now, &its_key, &why);
}

static inline struct cut cut_of(unsigned version, uint32_t start, uint32_t len, bool more)
{
	return (struct cut){.version = (uint8_t)version,
		.identification = 77,
		.start = start,
		.len = len,
		.more = more,
		.port = 3,
		.zone = 10};
}

static inline enum fragment_verdict see_part(
	unsigned version, uint32_t start, uint32_t len, bool more)
{
	struct cut cut = cut_of(version, start, len, more);
	return see(&cut);
}

#define expect_pass(verdict, cut) \
	do { \
		struct conn_key want = cut_key(cut); \
		cr_expect_eq(verdict, FRAGMENT_PASS, "%s", drop_name(why.reason)); \
		cr_expect_eq( \
			memcmp(&its_key, &want, sizeof(its_key)), 0, "not the first one's key"); \
	} while (0)
#define expect_drop(verdict, wanted) \
	do { \
		cr_expect_eq(verdict, FRAGMENT_DROP); \
		cr_expect_eq(why.reason, wanted, "%s", drop_name(why.reason)); \
	} while (0)

// Lets what is ready go on; it must be the n frames of these cuts, in this order.
static inline void expect_follow(const struct cut *cuts, unsigned n)
{
	static struct burst burst;
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
			memset(&its_key, 0, sizeof(its_key));
			now++;
			enum fragment_verdict verdict = fragments_see(
				f, p, cuts[done].zone, port, now, &its_key, &why);
			expect_pass(verdict, &cuts[done]);
		}
		fragments_give_back(f);
	}
	cr_expect(!fragments_ready(f));
}

static inline void expect_nothing_held(void)
{
	cr_expect_eq(fragments_held(f), 0);
	cr_expect(!fragments_ready(f));
}

#endif

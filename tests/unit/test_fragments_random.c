// SPDX-License-Identifier: BSD-3-Clause
// Random fragments, good and bad, against a plain reference that keeps each byte's state and each
// held fragment. WEIR_SEED repeats a run.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "switch/parse.h"
#include "tests/unit/kit_fragment.h"
#include "tests/unit/kit_guest.h"

enum {
	HOLD = 1500,
	PORTS = 3,
	NAMES = 8, // datagrams of each port: four identifications, two versions
	UNITS = 64,
	HELD_MAX = 32, // fewer slots than a port has, whatever comes
	STEPS = 300000,
};

struct reference {
	bool known, begun, refused;
	uint64_t born;
	uint8_t seen[UNITS];
	uint32_t length, reach; // bytes
	unsigned nheld;
	struct cut held[HELD_MAX];
};

static struct reference names[PORTS][NAMES];
static struct fragments *f;
static uint64_t state, now;
static unsigned lost, want_lost, passed, held, dropped, followed, whole;

static uint32_t below(uint32_t n)
{
	return (uint32_t)(kit_random(&state) % n);
}

static void note_lost(
	void *ctx, uint16_t port, enum drop_reason reason, const uint8_t *head, uint32_t len)
{
	cr_assert(!ctx && port < PORTS && head && len >= FRAME_MIN);
	cr_assert(reason == DROP_FRAGMENT_INVALID || reason == DROP_FRAGMENT_INCOMPLETE);
	lost++;
}

static struct reference *reference_of(const struct cut *cut)
{
	return &names[cut->port][cut->identification * 2 + (cut->version == 6)];
}

static bool is_sound(const struct reference *r, const struct cut *cut)
{
	uint32_t end = cut->start + cut->len;
	if (!cut->len || (cut->more && cut->len % 8) || (!cut->start && cut->unkeyed))
		return false;
	if (r->length && (end > r->length || (!cut->more && end != r->length)))
		return false;
	return cut->more || end >= r->reach;
}

static enum fragment_verdict refuse(struct reference *r)
{
	want_lost += r->nheld;
	r->nheld = 0;
	r->refused = true;
	return FRAGMENT_DROP;
}

static enum fragment_verdict expected(const struct cut *cut)
{
	struct reference *r = reference_of(cut);
	uint32_t end = cut->start + cut->len, used = 0;
	if (!r->known)
		*r = (struct reference){.known = true, .born = now};
	if (r->refused)
		return FRAGMENT_DROP;
	if (!is_sound(r, cut))
		return refuse(r);
	if (!cut->more)
		r->length = end;
	uint32_t first = cut->start / 8, count = (cut->len + 7) / 8;
	for (uint32_t i = 0; i < count; i++)
		used += r->seen[first + i];
	if (used)
		return used == count ? FRAGMENT_DROP : refuse(r);
	memset(r->seen + first, 1, count);
	r->reach = end > r->reach ? end : r->reach;
	r->begun |= !cut->start;
	if (r->begun)
		return FRAGMENT_PASS;
	cr_assert_lt(r->nheld, HELD_MAX);
	r->held[r->nheld++] = *cut;
	return FRAGMENT_HELD;
}

static void forget_if_whole(struct reference *r)
{
	uint32_t n = (r->length + 7) / 8;
	if (!r->begun || r->refused || !n || memchr(r->seen, 0, n))
		return;
	r->known = false;
	whole++;
}

// Exactly what was held of the datagram, unchanged and in its order.
static void follow(struct reference *r)
{
	static struct burst burst;
	static struct wire wire;
	static uint8_t frame[WIRE_MAX];
	uint16_t port;
	unsigned n = fragments_take(f, &burst, &port);
	cr_assert_eq(n, r->nheld);
	for (unsigned i = 0; i < n; i++) {
		struct packet *p = &burst.packets[i];
		struct conn_key key = {0}, want = cut_key(&r->held[i]);
		struct fragment_drop drop;
		struct frame all = {.head = p->data,
			.head_len = p->head_len,
			.body = p->body,
			.body_len = p->len - p->head_len};
		cut_frame(&wire, &r->held[i]);
		cr_assert_eq(frame_assemble(&all, frame), wire.len);
		cr_assert_eq(memcmp(frame, wire.bytes, wire.len), 0);
		parse_packet(p);
		cr_assert_eq(fragments_see(f, p, r->held[i].zone, port, now, &key, &drop),
			FRAGMENT_PASS);
		cr_assert_eq(memcmp(&key, &want, sizeof(key)), 0);
	}
	fragments_give_back(f);
	cr_assert(!fragments_ready(f));
	followed += n;
	r->nheld = 0;
}

// Mostly from a grid, on which fragments fit each other.
static struct cut random_cut(void)
{
	uint32_t start = below(8) * 48;
	bool more = start < 7 * 48;
	struct cut cut = {.version = below(2) ? 4 : 6,
		.identification = below(4),
		.port = (uint16_t)below(PORTS),
		.zone = 5,
		.more = more,
		.start = start,
		.len = more ? 48 : 41,
		.before = below(2) ? 8 : 0};
	switch (below(400)) {
	case 0:
		cut.len = below(12) * 8;
		break;
	case 1:
		cut.len = below(96);
		break;
	case 2:
		cut.start = below(48) * 8;
		break;
	case 3:
		cut.more = !cut.more;
		break;
	case 4:
		cut.unkeyed = true;
		break;
	default:
		break;
	}
	if (!cut.start && !cut.more)
		cut.more = true; // else it is no fragment
	return cut;
}

static void let_time_pass(void)
{
	now += below(8) ? 1 : 1 + below(20);
	fragments_expire(f, now);
	for (unsigned i = 0; i < PORTS * NAMES; i++) {
		struct reference *r = &names[i / NAMES][i % NAMES];
		if (!r->known || r->born + HOLD > now)
			continue;
		want_lost += r->nheld;
		*r = (struct reference){.known = false};
	}
}

static void step(unsigned n)
{
	let_time_pass();
	struct cut cut = random_cut();
	struct reference *r = reference_of(&cut);
	struct conn_key key, want_key = cut_key(&cut);
	struct fragment_drop drop;
	enum fragment_verdict want = expected(&cut);
	enum fragment_verdict got = cut_see(f, &cut, 1 + below(100), now, &key, &drop);
	cr_assert_eq(got, want, "step %u: %d, not %d (%s)", n, got, want, drop_name(drop.reason));
	cr_assert_eq(lost, want_lost, "step %u", n);
	if (got == FRAGMENT_PASS)
		cr_assert_eq(memcmp(&key, &want_key, sizeof(key)), 0, "step %u", n);
	else if (got == FRAGMENT_DROP)
		cr_assert_eq(drop.reason, DROP_FRAGMENT_INVALID, "step %u", n);
	passed += got == FRAGMENT_PASS;
	held += got == FRAGMENT_HELD;
	dropped += got == FRAGMENT_DROP;
	bool ready = r->begun && r->nheld;
	cr_assert_eq(fragments_ready(f), ready, "step %u", n);
	if (ready)
		follow(r);
	if (got == FRAGMENT_PASS)
		forget_if_whole(r);
	uint32_t want_held = 0;
	for (unsigned i = 0; i < PORTS * NAMES; i++)
		want_held += names[i / NAMES][i % NAMES].nheld;
	cr_assert_eq(fragments_held(f), want_held, "step %u", n);
}

Test(fragments_random, as_the_reference)
{
	const char *given = getenv("WEIR_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	state = seed * 2654435761u | 1;
	printf("seed %llu\n", (unsigned long long)seed);
	const struct fragment_options options = {.secret = {kit_random(&state), kit_random(&state)},
		.hold = HOLD,
		.lost = note_lost};
	f = fragments_new(&options);
	cr_assert(f);
	for (unsigned i = 0; i < STEPS; i++)
		step(i);
	printf("%u passed, %u held, %u of them went on, %u dropped, %u lost, %u datagrams whole\n",
		passed, held, followed, dropped, lost, whole);
	cr_expect(passed && held && followed && dropped && lost && whole);
	fragments_free(f);
}

// Whole datagrams, several at once, their fragments in any order: all that is sent goes on.
Test(fragments_random, in_any_order)
{
	enum {
		AT_ONCE = 6,
		PARTS_MAX = 20,
		LEN = 200
	};
	state = (uint64_t)time(NULL) | 1;
	printf("state %llu\n", (unsigned long long)state);
	const struct fragment_options options = {.secret = {kit_random(&state), kit_random(&state)},
		.hold = 1u << 30,
		.lost = note_lost};
	f = fragments_new(&options);
	cr_assert(f);
	unsigned sent = 0, arrived = 0;
	for (unsigned round = 0; round < 1500; round++) {
		struct cut cuts[AT_ONCE * PARTS_MAX];
		unsigned n = 0;
		for (unsigned d = 0; d < AT_ONCE; d++) {
			unsigned parts = 2 + below(PARTS_MAX - 1);
			for (unsigned i = 0; i < parts; i++)
				cuts[n++] = (struct cut){.version = d & 1 ? 6 : 4,
					.identification = round * AT_ONCE + d,
					.port = (uint16_t)d,
					.start = i * LEN,
					.len = LEN - (i + 1 == parts ? below(LEN - 1) : 0),
					.more = i + 1 < parts};
		}
		sent += n;
		while (n) {
			unsigned i = below(n);
			struct cut cut = cuts[i];
			cuts[i] = cuts[--n];
			enum fragment_verdict verdict = cut_see(f, &cut, 0, ++now, NULL, NULL);
			cr_assert_neq(verdict, FRAGMENT_DROP);
			arrived += verdict == FRAGMENT_PASS;
			static struct burst burst;
			uint16_t port;
			while (fragments_ready(f)) {
				arrived += fragments_take(f, &burst, &port);
				fragments_give_back(f);
			}
		}
		cr_assert_eq(fragments_held(f), 0);
	}
	cr_expect_eq(arrived, sent);
	fragments_free(f);
}

// SPDX-License-Identifier: BSD-3-Clause
// Any sequence of frames as fragments: what fragments_see does with each, and what is held and
// given out again. The checks here: accounts agree with what there is, no byte changes on its way,
// and a later fragment has the key of a first one.
//
// Input: for each frame a struct step, then `len` bytes: the frame, or, with TEMPLATE, a struct
// choice, from which a fragment of UDP is made.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conntrack/fragment_private.h"
#include "switch/parse.h"

struct step {
	uint8_t flags; // enum flag
	uint8_t port;
	uint8_t later; // time since the last, in eighths of FRAGMENT_HOLD
	uint8_t len;
};
enum flag {
	TEMPLATE = 1 << 0,
	IPV6 = 1 << 1,
	UNKEYED = 1 << 2,
	REFUSE = 1 << 3,
	PATIENT = 1 << 4, // what is ready waits
	LARGE = 1 << 5,
};
// Of a TEMPLATE.
struct choice {
	uint8_t identification;
	uint8_t offset[2];
	uint8_t len; // in 8 bytes
	uint8_t rest;
};

enum {
	HOLD = 256,
	PORTS = 5,
	FRAME_ROOM = 70000
};

static struct fragments *f;
static unsigned lost;
static uint32_t checksum_held; // of all frames held and not out yet

static void check(bool good)
{
	if (!good)
		abort();
}

static uint32_t sum(const struct packet *p)
{
	uint32_t s = p->len;
	for (uint32_t i = 0; i < p->head_len; i++)
		s = s * 31 + p->data[i];
	for (unsigned k = 0; k < p->nbody; k++)
		for (uint32_t i = 0; i < p->body[k].len; i++)
			s = s * 31 + p->body[k].base[i];
	return s;
}

static void note_lost(
	void *ctx, uint16_t port, enum drop_reason reason, const uint8_t *head, uint32_t len)
{
	check(!ctx && port < PORTS && reason != DROP_NONE && len <= STASH_HEADERS);
	volatile uint8_t last = head[len - 1];
	(void)last;
	lost++;
}

static void check_accounts(void)
{
	uint32_t slots = 0, open = 0, waiting = 0;
	for (unsigned i = 0; i < PORTS; i++) {
		check(f->ports[i].slots <= FRAGMENT_PORT_SLOTS);
		check(f->ports[i].open.count <= FRAGMENT_PORT_OPEN);
		slots += f->ports[i].slots;
		open += f->ports[i].open.count;
		waiting += f->ports[i].waiting.count;
	}
	check(slots == fragments_held(f) && open == f->nopen);
	check(waiting + f->ready.count <= slots);
	check(f->ages.count == open + waiting + f->ready.count + f->done.count);
	check(f->ages.count + f->unused.count == DATAGRAMS);
}

static void follow(uint64_t now)
{
	static struct burst burst;
	uint16_t port;
	unsigned n = fragments_take(f, &burst, &port);
	check(n && n <= BURST_MAX && port < PORTS && burst.nsegments <= BURST_SEGMENTS);
	for (unsigned i = 0; i < n; i++) {
		struct packet *p = &burst.packets[i];
		struct conn_key key = {0};
		struct fragment_drop drop;
		checksum_held -= sum(p);
		parse_packet(p);
		check(p->verdict == VERDICT_NONE && p->flags & PACKET_LATER_FRAGMENT);
		check(fragments_see(f, p, 1, port, now, &key, &drop) == FRAGMENT_PASS);
		check(key.id.meta);
	}
	fragments_give_back(f);
}

static uint32_t build(uint8_t *frame, const struct step *s, const uint8_t *in, uint32_t len)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	struct choice c = {0};
	memset(frame, 0, 64);
	memcpy(frame, macs, sizeof(macs));
	memcpy(&c, in, len < sizeof(c) ? len : sizeof(c));
	uint32_t payload = c.len * 8u * (s->flags & LARGE ? 32 : 1) + c.rest % 8;
	uint8_t *ip = frame + 14;
	uint32_t head;
	if (s->flags & IPV6) {
		payload = payload > 65000 ? 65000 : payload;
		memcpy(frame + 12, "\x86\xdd\x60", 3);
		ip[4] = (uint8_t)((payload + 8) >> 8);
		ip[5] = (uint8_t)(payload + 8);
		ip[6] = IPPROTO_FRAGMENT;
		ip[40] = IPPROTO_UDP;
		ip[42] = c.offset[0];
		ip[43] = c.offset[1];
		ip[47] = c.identification;
		head = 14 + 48;
	} else {
		payload = payload > 65000 ? 65000 : payload;
		memcpy(frame + 12, "\x08\x00\x45", 3);
		ip[2] = (uint8_t)((payload + 20) >> 8);
		ip[3] = (uint8_t)(payload + 20);
		ip[5] = c.identification;
		ip[6] = c.offset[0];
		ip[7] = c.offset[1];
		ip[9] = IPPROTO_UDP;
		head = 14 + 20;
	}
	for (uint32_t i = 0; i < payload; i++)
		frame[head + i] = (uint8_t)(i + (i >> 8) + c.identification);
	return head + payload;
}

static void see(const struct step *s, struct packet *p, uint64_t now)
{
	uint16_t port = s->port % PORTS;
	struct conn_key key = {0};
	struct fragment_drop drop;
	bool first = !(p->flags & PACKET_LATER_FRAGMENT);
	if (first && !(s->flags & UNKEYED))
		key.id.meta = 1;
	uint32_t own = sum(p);
	switch (fragments_see(f, p, 1, port, now, &key, &drop)) {
	case FRAGMENT_PASS:
		check(key.id.meta);
		check(fragments_fate(f, p, 1, port).reason == DROP_NONE);
		if (first && s->flags & REFUSE) {
			fragments_refuse(f, p, 1, port, (struct fragment_drop){DROP_GROUP_DENY, 0});
			check(fragments_fate(f, p, 1, port).reason == DROP_GROUP_DENY);
		}
		break;
	case FRAGMENT_HELD:
		check(!first);
		checksum_held += own;
		break;
	case FRAGMENT_DROP:
		check(drop.reason != DROP_NONE && drop.port < PORTS);
		break;
	}
}

// On exact copies, in pieces of an odd size.
static void give(const struct step *s, const uint8_t *frame, uint32_t len, uint64_t now)
{
	static struct segment segments[FRAME_ROOM / 777 + 1];
	uint32_t head_len = len < STASH_HEADERS ? len : STASH_HEADERS;
	uint8_t *block = malloc(STASH_HEADROOM + head_len);
	struct packet p = {.data = block + STASH_HEADROOM,
		.body = segments,
		.len = len,
		.head_len = (uint16_t)head_len};
	memcpy(p.data, frame, head_len);
	for (uint32_t off = head_len; off < len; off += 777) {
		uint32_t n = len - off < 777 ? len - off : 777;
		uint8_t *copy = malloc(n);
		memcpy(copy, frame + off, n);
		segments[p.nbody++] = (struct segment){copy, n};
	}
	parse_packet(&p);
	if (p.verdict == VERDICT_NONE && p.flags & PACKET_FRAGMENT)
		see(s, &p, now);
	for (unsigned i = 0; i < p.nbody; i++)
		free((void *)segments[i].base);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frame[FRAME_ROOM];
	const struct fragment_options options = {
		.secret = {11, 22}, .hold = HOLD, .lost = note_lost};
	// One for all inputs, since it is large. Each leaves it empty.
	static uint64_t now = 1;
	if (!f)
		f = fragments_new(&options);
	check(f != NULL);
	lost = 0;
	checksum_held = 0;
	while (size >= sizeof(struct step)) {
		struct step s;
		memcpy(&s, data, sizeof(s));
		data += sizeof(s);
		size -= sizeof(s);
		uint32_t len = s.len < size ? s.len : (uint32_t)size;
		now += s.later * (HOLD / 8);
		fragments_expire(f, now);
		if (s.flags & TEMPLATE) {
			give(&s, frame, build(frame, &s, data, len), now);
		} else {
			memcpy(frame, data, len);
			give(&s, frame, len, now);
		}
		data += len;
		size -= len;
		check_accounts();
		while (!(s.flags & PATIENT) && fragments_ready(f))
			follow(now);
	}
	while (fragments_ready(f))
		follow(now);
	check(fragments_held(f) || lost || !checksum_held);
	now += HOLD;
	fragments_expire(f, now);
	check_accounts();
	check(!fragments_held(f) && !f->ages.count);
	return 0;
}

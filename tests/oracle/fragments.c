// SPDX-License-Identifier: BSD-3-Clause
// Packets in fragments: in order and not, twice, overlapping, with one missing.
#include <netinet/in.h>
#include <string.h>

#include "tests/oracle/talk.h"

enum {
	PIECES_MAX = 6,
	INCOMPLETE = 6 // kinds before those that never become whole
};

struct pieces {
	unsigned count;
	struct {
		uint16_t from, len;
		bool more;
	} of[PIECES_MAX];
};

static void cut(struct rng *r, struct pieces *p, uint16_t len, uint16_t first)
{
	p->count = 0;
	for (uint16_t from = 0; from < len;) {
		uint16_t n = from || !first ? (uint16_t)(8 * (60 + rng_below(r, 40))) : first;
		if (p->count == PIECES_MAX - 2 || n > len - from)
			n = (uint16_t)(len - from);
		p->of[p->count].from = from;
		p->of[p->count].len = n;
		p->of[p->count].more = from + n < len;
		p->count++;
		from = (uint16_t)(from + n);
	}
}

static void shuffle(struct rng *r, struct pieces *p)
{
	for (unsigned i = p->count; i > 1; i--) {
		unsigned k = rng_below(r, i);
		struct pieces kept = *p;
		p->of[i - 1] = kept.of[k];
		p->of[k] = kept.of[i - 1];
	}
}

static void reverse(struct pieces *p)
{
	struct pieces kept = *p;
	for (unsigned i = 0; i < p->count; i++)
		p->of[i] = kept.of[p->count - 1 - i];
}

static void insert(struct pieces *p, unsigned at, uint16_t from, uint16_t len, bool more)
{
	for (unsigned i = p->count++; i > at; i--)
		p->of[i] = p->of[i - 1];
	p->of[at].from = from;
	p->of[at].len = len;
	p->of[at].more = more;
}

// In which order, and with what fault; the label says it.
static const char *arrange(struct talk *t, struct pieces *p, uint16_t len)
{
	struct rng *r = &t->rng;
	// Few stay incomplete: a port may have some hundreds at once, and each lasts for seconds.
	unsigned kind = rng_below(r, rng_one_in(r, 12) ? INCOMPLETE + 3 : INCOMPLETE);
	switch (kind) {
	case 0:
		cut(r, p, len, 0);
		shuffle(r, p);
		return "fragments in any order";
	case 1:
		cut(r, p, len, 0);
		reverse(p);
		return "fragments, the last one first";
	case 2:
		cut(r, p, len, 0);
		insert(p, 1, p->of[0].from, p->of[0].len, p->of[0].more);
		return "fragments, the first one twice";
	case 3:
		cut(r, p, len, 0);
		insert(p, 1, 8, 400, true);
		return "fragments, one inside another";
	case INCOMPLETE:
		cut(r, p, len, 0);
		insert(p, 1, (uint16_t)(p->of[0].len - 16), 200, true);
		return "fragments that overlap";
	case INCOMPLETE + 1:
		cut(r, p, len, 0);
		p->count--;
		return "fragments without the last";
	case INCOMPLETE + 2:
		cut(r, p, len, 0);
		memmove(p->of, p->of + 1, sizeof(p->of[0]) * --p->count);
		return "fragments without the first";
	case 4:
		cut(r, p, len, 8);
		return "a first fragment of 8 bytes";
	default:
		cut(r, p, len, 0);
		return "fragments in order";
	}
}

static void send_pieces(
	struct talk *t, unsigned side, uint8_t protocol, const uint8_t *l4, uint16_t len)
{
	struct pieces p;
	const char *label = arrange(t, &p, len);
	struct unit *u = talk_add_datagram(t, side, protocol, l4, len, label);
	for (unsigned i = 0; i < p.count; i++)
		talk_add_fragment(t, u, p.of[i].from, p.of[i].len, p.of[i].more);
}

static void send_udp(struct talk *t, unsigned side)
{
	uint8_t l4[3200];
	uint16_t len = (uint16_t)(1100 + rng_below(&t->rng, 1800));
	rng_fill(&t->rng, l4, len);
	put16(l4, t->port[side]);
	put16(l4 + 2, t->port[!side]);
	put16(l4 + 4, len);
	talk_checksum(t, side, IPPROTO_UDP, l4, len, 6, false);
	send_pieces(t, side, IPPROTO_UDP, l4, len);
}

static void send_echo(struct talk *t, unsigned side, bool reply)
{
	uint8_t l4[3200] = {0};
	uint8_t protocol = t->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint16_t len = (uint16_t)(1100 + rng_below(&t->rng, 1800));
	rng_fill(&t->rng, l4, len);
	l4[0] = t->ipv6 ? 128 + reply : reply ? 0 : 8;
	l4[1] = 0;
	put16(l4 + 4, (uint16_t)(500 + (t->number >> 16)));
	talk_checksum(t, side, protocol, l4, len, 2, false);
	send_pieces(t, side, protocol, l4, len);
}

// An IPv6 fragment that is all of its packet (RFC 6946).
static void send_atomic(struct talk *t, unsigned side)
{
	uint8_t l4[100] = {0};
	put16(l4, t->port[side]);
	put16(l4 + 2, t->port[!side]);
	put16(l4 + 4, sizeof(l4));
	talk_checksum(t, side, IPPROTO_UDP, l4, sizeof(l4), 6, false);
	struct unit *u = talk_add_datagram(
		t, side, IPPROTO_UDP, l4, sizeof(l4), "an atomic fragment");
	talk_add_fragment(t, u, 0, sizeof(l4), false);
}

void fragment_talk(struct talk *t)
{
	unsigned client = rng_one_in(&t->rng, 3) ? SIDE_B : SIDE_A;
	bool echo = rng_one_in(&t->rng, 3);
	t->port[client] = (uint16_t)(1024 + (t->number >> 16));
	t->port[!client] = rng_one_in(&t->rng, 4) ? 5353 : 53;
	for (unsigned n = 1 + rng_below(&t->rng, 5); n && talk_has_room(t); n--) {
		unsigned side = rng_one_in(&t->rng, 3) ? !client : client;
		if (t->used + 3200 * 2 > TALK_BYTES)
			break;
		if (echo)
			send_echo(t, side, side != client);
		else if (t->ipv6 && rng_one_in(&t->rng, 4))
			send_atomic(t, side);
		else
			send_udp(t, side);
		t->phase = "going on";
	}
}

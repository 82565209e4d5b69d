// SPDX-License-Identifier: BSD-3-Clause
// Segments that a well-behaved end would not send, or not then.
#include "tests/oracle/tcp.h"

// Where a number is counted from.
enum base {
	NEXT,       // what the side sends next
	NEXT_LESS,  // so that the segment ends there
	LIMIT,      // how far it may send
	LIMIT_LESS, // so that the segment ends there
	EXPECTED,   // what the other side expects, as it has said
	ISS,
	GOT, // what it expects of the other
	ZERO,
	ANY,
};

static const struct odd {
	const char *label;
	uint8_t flags;
	uint8_t seq, ack; // enum base
	bool data;
	int32_t seq_by, ack_by;
} odds[] = {
	{"data up to the window's edge", PSH | ACK, LIMIT_LESS, GOT, true, 0, 0},
	{"data one byte over the window's edge", PSH | ACK, LIMIT_LESS, GOT, true, 1, 0},
	{"data two bytes over the window's edge", PSH | ACK, LIMIT_LESS, GOT, true, 2, 0},
	{"data from the window's edge on", PSH | ACK, LIMIT, GOT, true, 0, 0},
	{"data from behind the window's edge on", PSH | ACK, LIMIT, GOT, true, 1, 0},
	{"data far behind the window", PSH | ACK, LIMIT, GOT, true, 100000, 0},
	{"data half the numbers away", PSH | ACK, NEXT, GOT, true, 0x7fffff00, 0},
	{"data sent again", PSH | ACK, NEXT_LESS, GOT, true, 0, 0},
	{"data from before", PSH | ACK, NEXT_LESS, GOT, true, -70, 0},
	{"data from long before", PSH | ACK, NEXT_LESS, GOT, true, -100000, 0},
	{"data from very long before", PSH | ACK, NEXT, GOT, true, -(1 << 30), 0},
	{"an ACK at the window's edge", ACK, LIMIT, GOT, false, 0, 0},
	{"an ACK one behind the window's edge", ACK, LIMIT, GOT, false, 1, 0},
	{"an ACK two behind the window's edge", ACK, LIMIT, GOT, false, 2, 0},
	{"an ACK of what was not sent, by one", ACK, NEXT, GOT, false, 0, 1},
	{"an ACK of what was not sent, by two", ACK, NEXT, GOT, false, 0, 2},
	{"an ACK of what was not sent", ACK, NEXT, GOT, false, 0, 1000},
	{"an ACK of what was not sent, half the numbers away", ACK, NEXT, GOT, false, 0, 1 << 30},
	{"data with an ACK of what was not sent", PSH | ACK, NEXT, GOT, true, 0, 5000},
	{"an ACK from before", ACK, NEXT, GOT, false, 0, -100},
	{"an ACK from 60000 before", ACK, NEXT, GOT, false, 0, -60000},
	{"an ACK from 70000 before", ACK, NEXT, GOT, false, 0, -70000},
	{"an ACK from long before", ACK, NEXT, GOT, false, 0, -(1 << 30)},
	{"a keep-alive", ACK, NEXT, GOT, false, -1, 0},
	{"a keep-alive with a byte", ACK, NEXT_LESS, GOT, true, 0, 0},
	{"a RST as expected", RST, EXPECTED, ZERO, false, 0, 0},
	{"a RST as expected, with ACK", RST | ACK, EXPECTED, GOT, false, 0, 0},
	{"a RST one beyond what is expected", RST, EXPECTED, ZERO, false, 1, 0},
	{"a RST one before what is expected", RST, EXPECTED, ZERO, false, -1, 0},
	{"a RST within the window", RST, EXPECTED, ZERO, false, 100, 0},
	{"a RST within the window, with ACK", RST | ACK, EXPECTED, GOT, false, 100, 0},
	{"a RST at the window's edge", RST, LIMIT, ZERO, false, 0, 0},
	{"a RST one behind the window's edge", RST, LIMIT, ZERO, false, 1, 0},
	{"a RST two behind the window's edge", RST, LIMIT, ZERO, false, 2, 0},
	{"a RST behind the window", RST, LIMIT, ZERO, false, 100000, 0},
	{"a RST before the window", RST, EXPECTED, ZERO, false, -100000, 0},
	{"a RST with ACK before the window", RST | ACK, EXPECTED, GOT, false, -100000, 0},
	{"a RST with number 0", RST, ZERO, ZERO, false, 0, 0},
	{"a RST with number 0, with ACK", RST | ACK, ZERO, GOT, false, 0, 0},
	{"a RST anywhere", RST, ANY, ZERO, false, 0, 0},
	{"a RST with a wrong ACK", RST | ACK, EXPECTED, GOT, false, 0, 5000},
	{"a SYN as next", SYN, NEXT, ZERO, false, 0, 0},
	{"a SYN beyond next", SYN, NEXT, ZERO, false, 100, 0},
	{"a SYN behind the window", SYN, LIMIT, ZERO, false, 100000, 0},
	{"a SYN before the window", SYN, NEXT, ZERO, false, -100000, 0},
	{"a SYN anywhere", SYN, ANY, ZERO, false, 0, 0},
	{"the first SYN again", SYN, ISS, ZERO, false, 0, 0},
	{"a SYN-ACK as next", SYN | ACK, NEXT, GOT, false, 0, 0},
	{"a SYN-ACK anywhere", SYN | ACK, ANY, ANY, false, 0, 0},
	{"a SYN-ACK with the first number", SYN | ACK, ISS, GOT, false, 0, 0},
	{"a SYN-ACK with a wrong ACK", SYN | ACK, ISS, GOT, false, 0, 77},
	{"a FIN behind the window", FIN | ACK, LIMIT, GOT, false, 100000, 0},
	{"a FIN before the window", FIN | ACK, NEXT, GOT, false, -100000, 0},
	{"a FIN one behind the window's edge", FIN | ACK, LIMIT, GOT, false, 1, 0},
	{"a FIN out of order", FIN | ACK, NEXT, GOT, false, 50, 0},
	{"a FIN without ACK", FIN, NEXT, ZERO, false, 0, 0},
	{"no flags", 0, NEXT, ZERO, false, 0, 0},
	{"SYN and FIN", SYN | FIN, NEXT, ZERO, false, 0, 0},
	{"SYN and RST", SYN | RST, NEXT, ZERO, false, 0, 0},
	{"FIN and RST", FIN | RST | ACK, EXPECTED, GOT, false, 0, 0},
	{"FIN, PSH and URG", FIN | PSH | URG, NEXT, ZERO, false, 0, 0},
	{"URG alone", URG, NEXT, ZERO, true, 0, 0},
	{"PSH alone", PSH, NEXT, ZERO, true, 0, 0},
	{"all flags", 0xff, NEXT, GOT, false, 0, 0},
	{"SYN, ACK and URG", SYN | ACK | URG, NEXT, GOT, false, 0, 0},
	{"SYN and URG", SYN | URG, NEXT, ZERO, false, 0, 0},
	{"data with URG", ACK | URG, NEXT_LESS, GOT, true, 0, 0},
	{"FIN, ACK and URG", FIN | ACK | URG, LIMIT, GOT, false, 100000, 0},
	{"an ACK with ECE and CWR", ACK | ECE | CWR, NEXT, GOT, false, 0, 0},
};

static uint32_t number_at(
	const struct tcp *c, unsigned side, uint8_t base, int32_t by, const struct segment *s)
{
	const struct tcp_end *e = &c->ends[side];
	uint32_t covers = s->len + !!(s->flags & SYN) + !!(s->flags & FIN);
	switch ((enum base)base) {
	case NEXT:
		return e->next + (uint32_t)by;
	case NEXT_LESS:
		return e->next - covers + (uint32_t)by;
	case LIMIT:
		return e->limit + (uint32_t)by;
	case LIMIT_LESS:
		return e->limit - covers + (uint32_t)by;
	case EXPECTED:
		return c->ends[!side].got + (uint32_t)by;
	case ISS:
		return e->iss + (uint32_t)by;
	case GOT:
		return e->got + (uint32_t)by;
	case ZERO:
		return (uint32_t)by;
	case ANY:
		break;
	}
	return (uint32_t)rng_next(c->rng);
}

void tcp_odd(struct tcp *c)
{
	const struct odd *odd = &odds[rng_below(c->rng, sizeof(odds) / sizeof(odds[0]))];
	unsigned side = rng_below(c->rng, 2);
	struct segment s = {.flags = odd->flags,
		.len = (uint16_t)(odd->data ? 1 + rng_below(c->rng, 60) : 0),
		.window = c->ends[side].window};
	s.seq = number_at(c, side, odd->seq, odd->seq_by, &s);
	s.ack = number_at(c, side, odd->ack, odd->ack_by, &s);
	tcp_emit(c, side, &s, odd->label);
}

// Mostly within a few bytes.
static int32_t some_way(struct rng *r)
{
	static const int32_t ways[] = {0, 0, 0, 1, -1, 2, -2, 100, -100, 1500, -1500, 65535, -65535,
		66001, -66001, 1 << 20, -(1 << 20), 1 << 30, -(1 << 30)};
	return ways[rng_below(r, sizeof(ways) / sizeof(ways[0]))];
}

void tcp_random(struct tcp *c)
{
	static const uint8_t usual[] = {
		ACK, ACK, PSH | ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK};
	struct rng *r = c->rng;
	unsigned side = rng_below(r, 2);
	struct segment s = {
		.window = (uint16_t)(rng_one_in(r, 2) ? c->ends[side].window : rng_edge(r))};
	s.flags = rng_one_in(r, 10) ? (uint8_t)rng_next(r) : usual[rng_below(r, sizeof(usual))];
	s.len = (uint16_t)(rng_one_in(r, 2) ? 0 : rng_below(r, 100));
	s.seq = number_at(c, side, (uint8_t)rng_below(r, EXPECTED + 1), some_way(r), &s);
	s.ack = number_at(c, side, GOT, some_way(r), &s);
	if (!(s.flags & ACK) && !rng_one_in(r, 4))
		s.ack = 0;
	tcp_emit(c, side, &s, "a random segment");
}

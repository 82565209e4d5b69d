// SPDX-License-Identifier: BSD-3-Clause
// Whole conversations: how they begin, go on and end, with something odd here and there.
#include <netinet/in.h>
#include <string.h>

#include "tests/oracle/tcp.h"

static void phase(struct tcp *c, const char *name)
{
	c->talk->phase = name;
}

// Something odd in one place of so many; an error now and then.
static void perhaps_odd(struct tcp *c, unsigned places)
{
	while (talk_has_room(c->talk) && rng_one_in(c->rng, places))
		tcp_odd(c);
	if (rng_one_in(c->rng, 40))
		talk_add_error(c->talk, rng_below(c->rng, 2));
}

static void again(struct tcp *c, unsigned side, uint8_t flags, uint16_t len, const char *label)
{
	struct segment s = tcp_next(c, side, flags, len);
	s.seq -= len + !!(flags & SYN) + !!(flags & FIN);
	tcp_emit(c, side, &s, label);
}

// --- beginnings ----------------------------------------------------------------------------------

static void open_plain(struct tcp *c, uint8_t with, uint16_t data)
{
	unsigned client = c->client;
	tcp_send(c, client, SYN | with, data, data ? "a SYN with data" : "a SYN");
	phase(c, "SYN sent");
	if (rng_one_in(c->rng, 12))
		again(c, client, SYN | with, data, "the SYN again");
	perhaps_odd(c, 12);
	tcp_send(c, !client, SYN | ACK, 0, "a SYN-ACK");
	phase(c, "SYN received");
	if (rng_one_in(c->rng, 12))
		again(c, !client, SYN | ACK, 0, "the SYN-ACK again");
	perhaps_odd(c, 12);
	tcp_send(c, client, ACK, rng_one_in(c->rng, 6) ? 20 : 0, "the handshake's ACK");
	phase(c, "established");
}

static void open_at_once(struct tcp *c)
{
	unsigned client = c->client;
	struct tcp_end *one = &c->ends[client], *other = &c->ends[!client];
	tcp_send(c, client, SYN, 0, "a SYN");
	phase(c, "SYN sent");
	perhaps_odd(c, 12);
	tcp_send(c, !client, SYN, 0, "a SYN at the same time");
	phase(c, "both SYNs sent");
	perhaps_odd(c, 12);
	// Each answers with its first number and acknowledges the other's.
	one->next--;
	other->next--;
	tcp_send(c, client, SYN | ACK, 0, "a SYN-ACK of both");
	perhaps_odd(c, 12);
	tcp_send(c, !client, SYN | ACK, 0, "a SYN-ACK of both");
	perhaps_odd(c, 12);
	if (rng_one_in(c->rng, 2))
		tcp_send(c, client, ACK, 0, "an ACK");
	phase(c, "established");
}

static void open_refused(struct tcp *c)
{
	unsigned client = c->client;
	tcp_send(c, client, SYN, 0, "a SYN");
	phase(c, "SYN sent");
	struct segment s = {.flags = RST | ACK, .ack = c->ends[!client].got};
	tcp_emit(c, !client, &s, "a refusal");
	phase(c, "refused");
	perhaps_odd(c, 6);
	c->ends[client].next--;
	if (rng_one_in(c->rng, 2))
		c->ends[client].next += 1000;
	c->ends[client].iss = c->ends[client].next;
}

void tcp_open(struct tcp *c)
{
	switch (rng_below(c->rng, 10)) {
	case 0:
		open_at_once(c);
		break;
	case 1:
		open_refused(c);
		open_plain(c, 0, 0);
		break;
	case 2:
		open_plain(c, 0, 30);
		break;
	case 3:
		open_plain(c, ECE | CWR, 0);
		break;
	default:
		open_plain(c, 0, 0);
	}
}

// --- what follows --------------------------------------------------------------------------------

static void some_data(struct tcp *c, unsigned side)
{
	unsigned n = 1 + rng_below(c->rng, 3);
	while (n--)
		tcp_send(c, side, PSH | ACK, (uint16_t)(1 + rng_below(c->rng, 200)), "data");
	if (!rng_one_in(c->rng, 4))
		tcp_send(c, !side, ACK, 0, "an ACK");
}

// The receiver says what it has got behind a hole; then the hole is filled.
static void a_hole(struct tcp *c, unsigned side)
{
	struct tcp_end *e = &c->ends[side], *other = &c->ends[!side];
	struct segment s = tcp_next(c, side, PSH | ACK, 40);
	s.seq += 60;
	tcp_emit(c, side, &s, "data behind a hole");
	struct segment ack = tcp_next(c, !side, ACK, 0);
	if (e->offers_sack && other->offers_sack) {
		ack.sack_from = s.seq;
		ack.sack_to = s.seq + s.len;
	}
	tcp_emit(c, !side, &ack, "an ACK of data behind a hole");
	tcp_send(c, side, PSH | ACK, 60, "data that fills a hole");
	e->next += 40;
	other->got = e->next;
	tcp_send(c, !side, ACK, 0, "an ACK");
}

static void window_closes(struct tcp *c, unsigned side)
{
	struct tcp_end *e = &c->ends[side];
	uint16_t window = e->window;
	e->window = 0;
	tcp_send(c, side, ACK, 0, "a window of 0");
	struct segment s = tcp_next(c, !side, ACK, 1);
	tcp_emit(c, !side, &s, "a byte into a window of 0");
	tcp_emit(c, side, &(struct segment){.flags = ACK, .seq = e->next, .ack = e->got},
		"an ACK with a window of 0");
	perhaps_odd(c, 6);
	e->window = window;
	tcp_send(c, side, ACK, 0, "a window that opens");
}

static void go_on(struct tcp *c)
{
	unsigned side = rng_below(c->rng, 2);
	switch (rng_below(c->rng, 8)) {
	case 0:
		a_hole(c, side);
		break;
	case 1:
		window_closes(c, side);
		break;
	case 2:
		some_data(c, side);
		again(c, side, PSH | ACK, 1, "data sent again");
		break;
	case 3:
		tcp_send(c, side, PSH | ACK, 1000, "data");
		tcp_send(c, !side, PSH | ACK, 1000, "data");
		break;
	default:
		some_data(c, side);
	}
	perhaps_odd(c, 5);
}

// --- ends ----------------------------------------------------------------------------------------

static void close_in_turn(struct tcp *c, unsigned side)
{
	tcp_send(c, side, FIN | ACK, rng_one_in(c->rng, 5) ? 10 : 0, "a FIN");
	phase(c, "one FIN");
	if (rng_one_in(c->rng, 10))
		again(c, side, FIN | ACK, 0, "the FIN again");
	perhaps_odd(c, 6);
	if (rng_one_in(c->rng, 2)) {
		tcp_send(c, !side, ACK, 0, "an ACK of a FIN");
		phase(c, "half closed");
		perhaps_odd(c, 6);
		for (unsigned n = rng_below(c->rng, 4); n; n--) {
			tcp_send(c, !side, PSH | ACK, 50, "data into a half close");
			tcp_send(c, side, ACK, 0, "an ACK");
		}
	}
	tcp_send(c, !side, FIN | ACK, 0, "the second FIN");
	phase(c, "both FINs");
	perhaps_odd(c, 6);
	tcp_send(c, side, ACK, 0, "the last ACK");
	phase(c, "TIME_WAIT");
}

static void close_at_once(struct tcp *c, unsigned side)
{
	struct segment other = tcp_next(c, !side, FIN | ACK, 0);
	tcp_send(c, side, FIN | ACK, 0, "a FIN");
	phase(c, "one FIN");
	tcp_emit(c, !side, &other, "a FIN at the same time");
	c->ends[!side].next++;
	c->ends[side].got++;
	phase(c, "both FINs");
	perhaps_odd(c, 6);
	tcp_send(c, side, ACK, 0, "an ACK of a FIN");
	perhaps_odd(c, 6);
	tcp_send(c, !side, ACK, 0, "an ACK of a FIN");
	phase(c, "TIME_WAIT");
}

static void end(struct tcp *c)
{
	unsigned side = rng_below(c->rng, 2);
	switch (rng_below(c->rng, 6)) {
	case 0: {
		struct segment s = tcp_next(c, side, rng_one_in(c->rng, 2) ? RST : RST | ACK, 0);
		tcp_emit(c, side, &s, "a RST");
		phase(c, "reset");
		break;
	}
	case 1:
		close_at_once(c, side);
		break;
	default:
		close_in_turn(c, side);
	}
	for (unsigned n = rng_below(c->rng, 3); n; n--)
		perhaps_odd(c, 2);
}

// The same L4 ports once more, from either side, above or below the old numbers.
static void begin_anew(struct tcp *c)
{
	struct tcp_end *e;
	if (rng_one_in(c->rng, 6))
		c->client = !c->client;
	e = &c->ends[c->client];
	e->next += rng_one_in(c->rng, 3) ? (uint32_t)-5000 : 100 + rng_below(c->rng, 1 << 20);
	e->iss = e->next;
	e = &c->ends[!c->client];
	e->iss = e->next = (uint32_t)rng_next(c->rng);
	e->limited = false;
	tcp_open(c);
	go_on(c);
}

void tcp_talk(struct talk *t)
{
	struct tcp c;
	tcp_init(&c, t);
	tcp_open(&c);
	for (unsigned n = rng_below(c.rng, 5); n && talk_has_room(t); n--)
		go_on(&c);
	if (rng_one_in(c.rng, 10))
		return;
	end(&c);
	if (rng_one_in(c.rng, 3)) {
		begin_anew(&c);
		end(&c);
	}
}

void tcp_random_talk(struct talk *t)
{
	struct tcp c;
	tcp_init(&c, t);
	if (!rng_one_in(c.rng, 4))
		tcp_open(&c);
	for (unsigned n = 4 + rng_below(c.rng, 30); n && talk_has_room(t); n--)
		tcp_random(&c);
}

// Seen from its middle on.
void tcp_middle_talk(struct talk *t)
{
	struct tcp c;
	tcp_init(&c, t);
	phase(&c, "nothing seen");
	c.ends[SIDE_A].got = c.ends[SIDE_B].next;
	c.ends[SIDE_B].got = c.ends[SIDE_A].next;
	for (unsigned n = 1 + rng_below(c.rng, 4); n; n--)
		tcp_odd(&c);
	if (rng_one_in(c.rng, 2))
		some_data(&c, rng_below(c.rng, 2));
	if (rng_one_in(c.rng, 2))
		end(&c);
	if (!rng_one_in(c.rng, 3)) {
		phase(&c, "new");
		begin_anew(&c);
	}
}

// --- headers that contradict themselves ----------------------------------------------------------

static void malformed(struct tcp *c, unsigned side, uint8_t flags)
{
	uint8_t l4[60] = {0};
	struct segment s = tcp_next(c, side, flags, 0);
	size_t len = 24;
	const char *label = "a header longer than its packet";
	put16(l4, c->talk->port[side]);
	put16(l4 + 2, c->talk->port[!side]);
	put32(l4 + 4, s.seq);
	put32(l4 + 8, s.ack);
	put16(l4 + 14, s.window);
	l4[12] = 7 << 4;
	l4[13] = flags;
	switch (rng_below(c->rng, 5)) {
	case 0:
		l4[12] = (uint8_t)(rng_below(c->rng, 5) << 4);
		label = "a header shorter than a header";
		break;
	case 1:
		len = rng_below(c->rng, 20);
		label = "a packet shorter than a header";
		break;
	case 2:
		l4[12] = 6 << 4;
		memcpy(l4 + 20, (const uint8_t[]){3, 0, 1, 1}, 4);
		label = "an option of length 0";
		break;
	case 3:
		l4[12] = 6 << 4;
		memcpy(l4 + 20, (const uint8_t[]){3, 30, 1, 1}, 4);
		label = "an option longer than its header";
		break;
	default:
		break;
	}
	talk_checksum(c->talk, side, IPPROTO_TCP, l4, len, 16, false);
	talk_add(c->talk, side, IPPROTO_TCP, l4, len, label);
}

void tcp_malformed_talk(struct talk *t)
{
	struct tcp c;
	tcp_init(&c, t);
	malformed(&c, c.client, SYN);
	tcp_open(&c);
	for (unsigned n = 1 + rng_below(c.rng, 4); n; n--) {
		malformed(&c, rng_below(c.rng, 2), ACK);
		some_data(&c, rng_below(c.rng, 2));
	}
	end(&c);
}

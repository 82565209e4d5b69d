// SPDX-License-Identifier: BSD-3-Clause
#include "tests/oracle/tcp.h"

#include <netinet/in.h>
#include <string.h>

enum {
	HEADER = 20,
	CHECKSUM_AT = 16,
	DATA_MAX = 1400
};

// L4 ports that a rule allows to side B's hosts, and one that none does.
static const uint16_t ports[] = {80, 80, 443, 443, 80, 8080};

static void end_init(struct tcp_end *e, struct rng *r)
{
	e->iss = (uint32_t)rng_next(r);
	if (rng_one_in(r, 4)) // soon beyond the highest number
		e->iss = -rng_below(r, 300);
	e->next = e->iss;
	e->window = (uint16_t)(rng_one_in(r, 3) ? rng_below(r, 65536) : 1000 + rng_below(r, 2000));
	e->offers_scale = !rng_one_in(r, 3);
	e->scale = (uint8_t)(rng_one_in(r, 8) ? rng_below(r, 20) : rng_below(r, 8));
	e->offers_sack = rng_one_in(r, 2);
	e->offers_stamps = rng_one_in(r, 2);
}

void tcp_init(struct tcp *c, struct talk *t)
{
	struct rng *r = &t->rng;
	*c = (struct tcp){.talk = t, .rng = r, .client = rng_one_in(r, 3) ? SIDE_B : SIDE_A};
	end_init(&c->ends[SIDE_A], r);
	end_init(&c->ends[SIDE_B], r);
	t->port[c->client] = (uint16_t)(1024 + (t->number >> 16));
	t->port[!c->client] = ports[rng_below(r, sizeof(ports) / sizeof(ports[0]))];
}

struct segment tcp_next(const struct tcp *c, unsigned side, uint8_t flags, uint16_t len)
{
	const struct tcp_end *e = &c->ends[side];
	return (struct segment){.flags = flags,
		.seq = e->next,
		.ack = flags & ACK ? e->got : 0,
		.window = e->window,
		.len = len};
}

static size_t put_syn_options(const struct tcp_end *e, uint8_t *at)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4}, sack[] = {1, 1, 4, 2};
	size_t n = sizeof(mss);
	memcpy(at, mss, sizeof(mss));
	if (e->offers_sack) {
		memcpy(at + n, sack, sizeof(sack));
		n += sizeof(sack);
	}
	if (e->offers_scale) {
		const uint8_t scale[] = {1, 3, 3, e->scale};
		memcpy(at + n, scale, sizeof(scale));
		n += sizeof(scale);
	}
	return n;
}

static size_t put_options(const struct tcp *c, unsigned side, const struct segment *s, uint8_t *at)
{
	const struct tcp_end *e = &c->ends[side], *other = &c->ends[!side];
	size_t n = 0;
	if (s->flags & SYN)
		n = put_syn_options(e, at);
	if (e->offers_stamps && (other->offers_stamps || s->flags & SYN)) {
		at[n] = at[n + 1] = 1;
		at[n + 2] = 8;
		at[n + 3] = 10;
		put32(at + n + 4, 1000u + c->talk->nsteps);
		put32(at + n + 8, s->flags & ACK ? 1000 : 0);
		n += 12;
	}
	if (s->sack_from != s->sack_to) {
		at[n] = at[n + 1] = 1;
		at[n + 2] = 5;
		at[n + 3] = 10;
		put32(at + n + 4, s->sack_from);
		put32(at + n + 8, s->sack_to);
		n += 12;
	}
	return n;
}

void tcp_emit(struct tcp *c, unsigned side, const struct segment *s, const char *label)
{
	uint8_t l4[HEADER + 40 + DATA_MAX] = {0};
	if (!talk_has_room(c->talk))
		return;
	size_t header = HEADER + put_options(c, side, s, l4 + HEADER);
	put16(l4, c->talk->port[side]);
	put16(l4 + 2, c->talk->port[!side]);
	put32(l4 + 4, s->seq);
	put32(l4 + 8, s->ack);
	l4[12] = (uint8_t)(header / 4 << 4);
	l4[13] = s->flags;
	put16(l4 + 14, s->window);
	memset(l4 + header, (uint8_t)s->seq, s->len);
	talk_checksum(c->talk, side, IPPROTO_TCP, l4, header + s->len, CHECKSUM_AT, false);
	talk_add(c->talk, side, IPPROTO_TCP, l4, header + s->len, label);
}

// The other end may now send up to what this segment offers.
static void offer(struct tcp *c, unsigned side, const struct segment *s)
{
	struct tcp_end *e = &c->ends[side], *other = &c->ends[!side];
	if (!(s->flags & ACK))
		return;
	bool scales = c->scaled && !(s->flags & SYN);
	uint32_t limit = s->ack +
			 ((uint32_t)s->window << (scales ? e->scale > 14 ? 14 : e->scale : 0));
	if (!other->limited || (int32_t)(limit - other->limit) > 0)
		other->limit = limit;
	other->limited = true;
}

void tcp_send(struct tcp *c, unsigned side, uint8_t flags, uint16_t len, const char *label)
{
	struct segment s = tcp_next(c, side, flags, len);
	struct tcp_end *e = &c->ends[side], *other = &c->ends[!side];
	tcp_emit(c, side, &s, label);
	offer(c, side, &s);
	e->next += len + !!(flags & SYN) + !!(flags & FIN);
	other->got = e->next;
	if (flags & SYN)
		c->scaled = e->offers_scale && other->offers_scale;
}

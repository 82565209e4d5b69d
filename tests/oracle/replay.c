// SPDX-License-Identifier: BSD-3-Clause
#include "tests/oracle/replay.h"

#include <netinet/in.h>

enum {
	SCTP_LEN = 12,
	INIT = 1,
	ABORT = 6,
	COOKIE_ECHO = 10,
	SHUTDOWN_COMPLETE = 14
};

struct ends {
	struct replay_end of[SIDES];
	bool init, over;
};

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static void read_options(
	struct replayed *at, const uint8_t *l4, size_t header, struct replay_end *us)
{
	for (size_t i = 20; i < header && l4[i];) {
		if (l4[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= header || l4[i + 1] < 2)
			break;
		if (l4[i] == 3 && l4[i + 1] == 3) {
			us->scales = true;
			us->scale = l4[i + 2] > 14 ? 14 : l4[i + 2];
		}
		at->sack |= l4[i] == 5;
		at->stamps |= l4[i] == 8;
		i += l4[i + 1];
	}
}

static void read_segment(struct replayed *at, struct replay_end *options)
{
	const uint8_t *l4 = at->talk->bytes + at->unit->at;
	size_t len = at->unit->len, header = len < 20 ? 0 : (l4[12] >> 4) * 4u;
	at->is_tcp = at->unit->protocol == IPPROTO_TCP && at->unit->cover < 0 && header >= 20 &&
		     header <= len;
	if (!at->is_tcp)
		return;
	at->flags = l4[13];
	at->seq = get32(l4 + 4);
	at->ack = get32(l4 + 8);
	at->window = get16(l4 + 14);
	at->end = at->seq + (uint32_t)(len - header) + !!(at->flags & SYN) + !!(at->flags & FIN);
	read_options(at, l4, header, options);
}

static void take_ack(struct replay_end *us, struct replay_end *peer, const struct replayed *at)
{
	bool scaled = us->scales && peer->scales && !(at->flags & SYN);
	uint32_t window = (uint32_t)at->window << (scaled ? us->scale : 0);
	uint32_t limit = at->ack + window;
	if (!us->acked_any || after(at->ack, us->acked))
		us->acked = at->ack;
	us->acked_any = true;
	if (!peer->limited || after(limit, peer->limit))
		peer->limit = limit;
	peer->limited = true;
	if (window > us->widest)
		us->widest = window;
}

static void take(struct ends *ends, const struct replayed *at, const struct replay_end *options)
{
	unsigned side = at->unit->side;
	struct replay_end *us = &ends->of[side], *peer = &ends->of[!side];
	if (at->flags & RST)
		return;
	if (at->flags & SYN && !us->syn) {
		*us = (struct replay_end){.syn = true,
			.sent = true,
			.iss = at->seq,
			.next = at->end,
			.scales = options->scales,
			.scale = options->scale,
			.limited = us->limited,
			.limit = us->limit};
	}
	// Of another conversation: its end has not yet answered the SYN of this one.
	if (peer->syn && !us->syn)
		return;
	if (!us->sent || after(at->end, us->next))
		us->next = at->end;
	us->sent = true;
	us->fin |= (at->flags & FIN) != 0;
	if (at->flags & ACK)
		take_ack(us, peer, at);
}

void replay(const struct talk *t, replay_visit *visit, void *to)
{
	struct ends ends = {.init = false};
	for (const struct unit *u = t->units; u < t->units + t->nunits; u++) {
		struct replay_end options = {.syn = false};
		struct replayed at = {.talk = t,
			.unit = u,
			.us = ends.of[u->side],
			.peer = ends.of[!u->side],
			.init = ends.init,
			.over = ends.over};
		read_segment(&at, &options);
		at.is_sctp = u->protocol == IPPROTO_SCTP && u->len >= SCTP_LEN + 4;
		at.chunk = at.is_sctp ? t->bytes[u->at + SCTP_LEN] : 0;
		visit(&at, to);
		if (!u->passed[BY_LINUX] || !u->passed[BY_WEIR])
			continue;
		if (at.is_tcp)
			take(&ends, &at, &options);
		if (!at.is_sctp)
			continue;
		ends.init |= at.chunk == INIT;
		if (at.chunk == COOKIE_ECHO || at.chunk == ABORT || at.chunk == SHUTDOWN_COMPLETE)
			ends.over = at.chunk != COOKIE_ECHO;
	}
}

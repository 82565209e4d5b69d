// SPDX-License-Identifier: BSD-3-Clause
// Random TCP: conversations that keep to the rules, over a network that loses, repeats and reorders
// what goes by, lose nothing here; and garbage closes nothing.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/kit_talk.h"

enum {
	CONVERSATIONS = 300,
	STEPS = 300,
	GARBAGE = 100000,
	FLIGHT = 64,
};

static struct talk talk;
static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % below;
}

static uint64_t seed(void)
{
	const char *given = getenv("WEIR_SEED");
	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 0x9e3779b97f4a7c15;
	random_state |= 1;
	fprintf(stderr, "WEIR_SEED=%llu\n", (unsigned long long)random_state);
	return random_state;
}

// An end as RFC 9293 has it: it sends within what it was offered, acknowledges what it has.
struct end {
	uint32_t next, una, limit; // what is sent, acknowledged and offered to it
	uint32_t received;         // what the other has sent without a gap
	uint32_t offered;          // how far it has let the other send
	int scale;
};

struct sent {
	unsigned from;
	struct talk_tcp tcp;
};

static struct end ends[2];
static struct sent flight[FLIGHT];
static unsigned nflight;

static void pass(unsigned from, const struct talk_tcp *tcp)
{
	enum drop_reason drop = talk_tcp(&talk, from, tcp);
	cr_assert_eq(drop, DROP_NONE, "dropped %s: end %u %s seq %u ack %u len %u window %u in %s",
		drop_name(drop), from, tcp->flags, tcp->seq, tcp->ack, tcp->len, tcp->window,
		conn_state_name(talk_state(&talk)));
}

static struct talk_tcp segment_of(unsigned from, uint32_t seq, uint32_t len)
{
	struct end *e = &ends[from];
	// A window never shrinks: its right edge stays or goes on.
	uint32_t room = e->offered - e->received, step = 1u << e->scale;
	uint32_t window = room / step + rnd(3) * (rnd(40000) / step);
	window = window > 65535 ? 65535 : window;
	if (e->received + (window << e->scale) - e->offered < 1u << 31)
		e->offered = e->received + (window << e->scale);
	return (struct talk_tcp){.flags = "A",
		.seq = seq,
		.ack = e->received,
		.window = (uint16_t)window,
		.len = len,
		.scale = -1};
}

// What arrives is passed by the entry first, and may then be lost.
static void arrive(const struct sent *sent, bool lost)
{
	struct end *us = &ends[sent->from], *peer = &ends[!sent->from];
	pass(sent->from, &sent->tcp);
	if (lost)
		return;
	uint32_t end = sent->tcp.seq + sent->tcp.len;
	if (sent->tcp.seq - peer->received - 1 >= 1u << 31 && (int32_t)(end - peer->received) > 0)
		peer->received = end;
	if ((int32_t)(sent->tcp.ack - peer->una) > 0)
		peer->una = sent->tcp.ack;
	uint32_t limit = sent->tcp.ack + ((uint32_t)sent->tcp.window << us->scale);
	if ((int32_t)(limit - peer->limit) > 0)
		peer->limit = limit;
}

static void send_something(unsigned from)
{
	struct end *e = &ends[from];
	int32_t room = (int32_t)(e->limit - e->next);
	uint32_t len = 0, seq = e->next;
	switch (rnd(4)) {
	case 0: // again, from what is not acknowledged
		seq = e->una;
		len = e->next - e->una;
		len = len > 65000 ? 65000 : len;
		break;
	case 1: // a keep-alive
		seq = e->una - 1;
		break;
	case 2: // an acknowledgement only
		break;
	default:
		if (room > 0)
			len = rnd((uint32_t)room < 65000 ? (uint32_t)room + 1 : 65000);
		else
			len = e->una == e->limit && e->next == e->limit; // probes a zero window
		break;
	}
	if (nflight == FLIGHT)
		return;
	flight[nflight++] = (struct sent){from, segment_of(from, seq, len)};
	if ((int32_t)(seq + len - e->next) > 0)
		e->next = seq + len;
}

static void open_both(void)
{
	uint32_t isns[2] = {(uint32_t)-1 - rnd(300000), rnd(2) ? rnd(1 << 30) : (uint32_t)-rnd(9)};
	bool scales = rnd(2);
	int scale[2] = {(int)rnd(9), (int)rnd(9)};
	struct talk_tcp syn = {"S", isns[0], 0, 30000, 0, scales ? scale[0] : -1, false};
	struct talk_tcp syn_ack = {"SA", isns[1], isns[0] + 1, 30000, 0, scale[1], false};
	struct talk_tcp ack = {"A", isns[0] + 1, isns[1] + 1, 30, 0, -1, false};
	pass(0, &syn);
	pass(1, &syn_ack);
	pass(0, &ack);
	for (int i = 0; i < 2; i++)
		ends[i] = (struct end){.next = isns[i] + 1,
			.una = isns[i] + 1,
			.limit = isns[i] + 1 + (i ? 30u << (scales ? scale[0] : 0) : 30000),
			.received = isns[!i] + 1,
			.offered = isns[!i] + 1 + 30000,
			.scale = scales ? scale[i] : 0};
	ends[0].offered = isns[1] + 1 + (30u << ends[0].scale);
	nflight = 0;
}

static void close_both(void)
{
	// All that was lost has been sent again by now.
	for (unsigned i = 0; i < 2; i++)
		ends[i].received = ends[!i].next;
	for (unsigned i = 0; i < 2; i++) {
		struct talk_tcp fin = segment_of(i, ends[i].next++, 0);
		fin.flags = "FA";
		pass(i, &fin);
		ends[!i].received++;
		struct talk_tcp ack = segment_of(!i, ends[!i].next, 0);
		pass(!i, &ack);
	}
	cr_assert_eq(talk_state(&talk), CONN_TCP_TIME_WAIT);
}

Test(conn_random, nothing_of_a_conversation_is_dropped)
{
	seed();
	for (int c = 0; c < CONVERSATIONS; c++) {
		talk_begin(&talk, rnd(2), rnd(2));
		open_both();
		for (int i = 0; i < STEPS; i++) {
			send_something(rnd(2));
			if (!nflight || rnd(3) == 0)
				continue;
			unsigned which = rnd(4) ? 0 : rnd(nflight < 4 ? nflight : 4);
			struct sent sent = flight[which];
			arrive(&sent, rnd(10) == 0);
			if (rnd(10) == 0)
				arrive(&sent, false); // twice
			nflight--;
			for (unsigned k = which; k < nflight; k++)
				flight[k] = flight[k + 1];
		}
		for (unsigned i = 0; i < nflight; i++)
			arrive(&flight[i], false);
		close_both();
		talk_end(&talk);
	}
}

Test(conn_random, garbage_closes_nothing)
{
	static const char *const sets[] = {
		"", "S", "SA", "A", "PA", "R", "RA", "SF", "SR", "AU", "F"};
	seed();
	talk_begin(&talk, rnd(2), false);
	open_both();
	for (int i = 0; i < GARBAGE; i++) {
		const struct conn_side *sides = talk_conn(&talk)->sides;
		unsigned from = rnd(2), us = from ^ talk.high;
		bool near = rnd(2);
		struct talk_tcp tcp = {.flags = sets[rnd(11)],
			.seq = near ? sides[us].end + rnd(200) - 100 : rnd(UINT32_MAX),
			.ack = near ? sides[!us].end + rnd(200) - 100 : rnd(UINT32_MAX),
			.window = (uint16_t)rnd(65536),
			.len = rnd(1000),
			.scale = (int)rnd(16) - 1};
		const struct conn_syn *syn = &talk_conn(&talk)->syn;
		bool exact = tcp.seq == sides[us].end || tcp.seq == sides[!us].acked;
		bool answers = syn->flags && tcp.ack - syn->isn - 1 <= syn->data;
		if ((exact && strchr(tcp.flags, 'R')) || answers)
			continue;
		talk_tcp(&talk, from, &tcp);
		cr_assert_eq(
			talk_state(&talk), CONN_TCP_ESTABLISHED, "garbage %d: %s", i, tcp.flags);
	}
	talk_end(&talk);
}

// SPDX-License-Identifier: BSD-3-Clause
// TCP segments in fragments: no octet counts as sent before its fragment has come, and all count
// then. With either end as the lower one, over IPv4 and IPv6, and numbers that wrap.
#include <netinet/in.h>

#include "tests/unit/kit_fragment_table.h"
#include "tests/unit/kit_talk.h"

TestSuite(fragments_tcp, .init = make, .fini = unmake);

enum {
	C, // the client
	S, // the server
	ZONE = 1,
	PORT = 3,
	PART = 800, // bytes of IP payload in each fragment
	HEADER = 20,
	SEGMENT_MAX = HEADER + 4000,
};

static struct talk talk;
static uint32_t isn[2], identification;

// A segment; sequence numbers count from the SYN of their end.
struct segment_of {
	unsigned from;
	const char *flags;
	uint32_t seq, ack, len;
	uint8_t bytes[SEGMENT_MAX];
};

static void each_way(void (*check)(void))
{
	static const uint32_t isns[][2] = {{1000, 5000}, {0xfffffb00, 0xfffffff0}, {0x7ffffb00, 0}};
	for (unsigned i = 0; i < 12; i++) {
		talk_begin(&talk, i & 1, i >> 1 & 1);
		memcpy(isn, isns[i / 4], sizeof(isn));
		check();
		talk_end(&talk);
	}
}

static enum drop_reason say(unsigned from, const char *flags, uint32_t seq, uint32_t ack)
{
	struct talk_tcp tcp = {.flags = flags,
		.seq = isn[from] + seq,
		.ack = strchr(flags, 'A') ? isn[!from] + ack : 0,
		.window = 60000,
		.scale = -1};
	return talk_tcp(&talk, from, &tcp);
}

#define expect(drop, wanted, state) \
	do { \
		cr_expect_eq(drop, wanted); \
		cr_expect_eq(talk_state(&talk), state, "%s", conn_state_name(talk_state(&talk))); \
	} while (0)

static void handshake(void)
{
	expect(say(C, "S", 0, 0), DROP_NONE, CONN_TCP_SYN_SENT);
	expect(say(S, "SA", 0, 1), DROP_NONE, CONN_TCP_SYN_RECEIVED);
	expect(say(C, "A", 1, 1), DROP_NONE, CONN_TCP_ESTABLISHED);
}

static void write_header(struct segment_of *s)
{
	static const char letters[] = "FSRPAU";
	uint32_t seq = htonl(isn[s->from] + s->seq), ack = htonl(isn[!s->from] + s->ack);
	wire_store16(s->bytes, talk.ports[s->from]);
	wire_store16(s->bytes + 2, talk.ports[!s->from]);
	memcpy(s->bytes + 4, &seq, 4);
	memcpy(s->bytes + 8, &ack, 4);
	s->bytes[12] = HEADER / 4 << 4;
	s->bytes[13] = 0;
	for (const char *c = s->flags; *c; c++)
		s->bytes[13] |= (uint8_t)(1 << (strchr(letters, *c) - letters));
	wire_store16(s->bytes + 14, 60000);
}

// The n-th fragment of the segment, parsed.
static void cut_segment(const struct segment_of *s, unsigned n, struct talk_packet *packet)
{
	uint8_t part[8 + PART] = {IPPROTO_TCP};
	uint32_t start = n * PART, all = HEADER + s->len;
	bool more = start + PART < all;
	uint32_t len = more ? PART : all - start;
	memcpy(part + 8, s->bytes + start, len);
	if (talk.v6) {
		wire_store16(part + 2, (uint16_t)(start | more));
		wire_store16(part + 6, (uint16_t)identification);
		talk_build(&talk, packet, s->from, IPPROTO_FRAGMENT, part, 8 + len, 0);
		return;
	}
	talk_build(&talk, packet, s->from, IPPROTO_TCP, part + 8, len, 0);
	wire_store16(packet->block + 14 + 4, (uint16_t)identification);
	wire_store16(packet->block + 14 + 6, (uint16_t)(start / 8 | more << 13));
	parse_packet(&packet->packet);
}

// As the switch does it, once the fragment has its key.
static void track_fragment(const struct packet *p)
{
	if (!(p->flags & PACKET_LATER_FRAGMENT)) {
		cr_expect_eq(talk_track(&talk, p), DROP_NONE);
		return;
	}
	struct tracker tracker = {talk.table, &talk.settings, talk.now_s, false};
	conn_keys_hash(talk.table, &its_key, 1);
	uint32_t index = conn_find(talk.table, &its_key);
	cr_assert(index);
	cr_expect_eq(
		track_packet(&tracker, index, conn_at(talk.table, index), &its_key, p), DROP_NONE);
}

static enum fragment_verdict send_part(const struct segment_of *s, unsigned n)
{
	struct talk_packet packet;
	cut_segment(s, n, &packet);
	cr_assert(packet.packet.flags & PACKET_FRAGMENT);
	const uint32_t head_len = packet.packet.head_len;
	const struct segment body = {packet.block + head_len, packet.packet.len - head_len};
	packet.packet.body = &body;
	packet.packet.nbody = 1;
	if (n || !conn_key_of(&its_key, &packet.packet, ZONE))
		its_key = (struct conn_key){0};
	enum fragment_verdict verdict = fragments_see(
		f, &packet.packet, ZONE, PORT, ++now, &its_key, &why);
	if (verdict == FRAGMENT_PASS)
		track_fragment(&packet.packet);
	talk_free(&packet);
	return verdict;
}

static void send_next(struct segment_of *s, unsigned n)
{
	if (!n) {
		identification++;
		write_header(s);
	}
	cr_expect_eq(send_part(s, n), FRAGMENT_PASS);
}

static void check_data(void)
{
	handshake();
	struct segment_of data = {.from = C, .flags = "PA", .seq = 1, .ack = 1, .len = 2000};
	uint32_t sent = 1 - HEADER;
	for (unsigned n = 0; n < 3; n++) {
		send_next(&data, n);
		sent = n < 2 ? sent + PART : 2001;
		expect(say(S, "A", 1, sent + 1), DROP_TCP_WINDOW, CONN_TCP_ESTABLISHED);
		expect(say(S, "A", 1, sent), DROP_NONE, CONN_TCP_ESTABLISHED);
	}
	// Sent again, in the middle of what follows, it changes nothing.
	struct segment_of more = {.from = C, .flags = "A", .seq = 2001, .ack = 1, .len = 1000};
	for (unsigned n = 0; n < 2; n++)
		send_next(&more, n);
	for (unsigned n = 0; n < 3; n++)
		send_next(&data, n);
	expect(say(S, "A", 1, 3002), DROP_TCP_WINDOW, CONN_TCP_ESTABLISHED);
	expect(say(S, "A", 1, 3001), DROP_NONE, CONN_TCP_ESTABLISHED);
}

Test(fragments_tcp, octets_are_sent_as_they_come)
{
	each_way(check_data);
}

static void check_fin(void)
{
	handshake();
	struct segment_of fin = {.from = S, .flags = "FA", .seq = 1, .ack = 1, .len = 2000};
	for (unsigned n = 0; n < 2; n++)
		send_next(&fin, n);
	expect(say(C, "A", 1, 1), DROP_NONE, CONN_TCP_ESTABLISHED);
	send_next(&fin, 2);
	expect(say(C, "A", 1, 2001), DROP_NONE, CONN_TCP_FIN_WAIT);
	expect(say(C, "A", 1, 2003), DROP_TCP_WINDOW, CONN_TCP_FIN_WAIT);
	expect(say(C, "A", 1, 2002), DROP_NONE, CONN_TCP_CLOSE_WAIT);
	expect(say(C, "FA", 1, 2002), DROP_NONE, CONN_TCP_LAST_ACK);
	expect(say(S, "A", 2002, 2), DROP_NONE, CONN_TCP_TIME_WAIT);
}

Test(fragments_tcp, a_fin_stands_behind_the_last)
{
	each_way(check_fin);
}

static void check_syn(void)
{
	struct segment_of syn = {.from = C, .flags = "S", .len = 2000};
	for (unsigned n = 0; n < 3; n++)
		send_next(&syn, n);
	expect(say(S, "SA", 0, 2002), DROP_TCP_WINDOW, CONN_TCP_SYN_SENT);
	expect(say(S, "SA", 0, 2001), DROP_NONE, CONN_TCP_SYN_RECEIVED);
	expect(say(C, "A", 2001, 1), DROP_NONE, CONN_TCP_ESTABLISHED);
}

Test(fragments_tcp, data_with_a_syn)
{
	each_way(check_syn);
}

// A SYN that is passed to be challenged is noted with all its octets, and moves nobody's.
static void check_noted(void)
{
	handshake();
	struct segment_of syn = {.from = C, .flags = "S", .seq = 700000, .len = 2000};
	for (unsigned n = 0; n < 3; n++)
		send_next(&syn, n);
	expect(say(S, "A", 1, 2), DROP_TCP_WINDOW, CONN_TCP_ESTABLISHED);
	expect(say(S, "SA", 900000, 702002), DROP_NONE, CONN_TCP_ESTABLISHED);
	expect(say(S, "SA", 900000, 702001), DROP_NONE, CONN_TCP_SYN_RECEIVED);
}

Test(fragments_tcp, a_syn_that_is_noted)
{
	each_way(check_noted);
}

static void check_held(void)
{
	static struct burst burst;
	uint16_t port;
	handshake();
	struct segment_of fin = {.from = C, .flags = "FA", .seq = 1, .ack = 1, .len = 2000};
	identification++;
	write_header(&fin);
	cr_expect_eq(send_part(&fin, 2), FRAGMENT_HELD);
	cr_expect_eq(send_part(&fin, 1), FRAGMENT_HELD);
	cr_expect_eq(send_part(&fin, 0), FRAGMENT_PASS);
	expect(say(S, "A", 1, 1 + PART - HEADER + 1), DROP_TCP_WINDOW, CONN_TCP_ESTABLISHED);
	unsigned count = fragments_take(f, &burst, &port);
	cr_assert_eq(count, 2);
	for (unsigned i = 0; i < count; i++) {
		parse_packet(&burst.packets[i]);
		cr_assert_eq(fragments_see(f, &burst.packets[i], ZONE, port, now, &its_key, &why),
			FRAGMENT_PASS);
		track_fragment(&burst.packets[i]);
	}
	fragments_give_back(f);
	expect(say(S, "A", 1, 2003), DROP_TCP_WINDOW, CONN_TCP_FIN_WAIT);
	expect(say(S, "A", 1, 2002), DROP_NONE, CONN_TCP_CLOSE_WAIT);
}

Test(fragments_tcp, held_ones_count_when_they_go_on)
{
	each_way(check_held);
}

static void check_reset(void)
{
	handshake();
	struct segment_of data = {.from = C, .flags = "FA", .seq = 1, .ack = 1, .len = 2000};
	for (unsigned n = 0; n < 2; n++)
		send_next(&data, n);
	expect(say(S, "R", 1, 0), DROP_NONE, CONN_TCP_CLOSED);
	send_next(&data, 2);
	expect(say(S, "R", 1, 0), DROP_NONE, CONN_TCP_CLOSED);
}

Test(fragments_tcp, what_comes_after_a_reset_changes_nothing)
{
	each_way(check_reset);
}

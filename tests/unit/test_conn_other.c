// SPDX-License-Identifier: BSD-3-Clause
// UDP, ICMP queries, SCTP and other protocols through one entry.
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/unit/kit_talk.h"

static struct talk talk;

static void expect(enum drop_reason drop, enum drop_reason wanted, enum conn_state state)
{
	cr_assert_eq(drop, wanted);
	cr_assert_eq(talk_state(&talk), state, "%s instead of %s",
		conn_state_name(talk_state(&talk)), conn_state_name(state));
}

static enum drop_reason udp(unsigned from)
{
	uint8_t l4[8] = {0, 9, 0, 9, 0, 20};
	l4[from ? 1 : 3] = 53;
	return talk_say(&talk, from, IPPROTO_UDP, l4, 8, 12);
}

static void check_udp(void)
{
	expect(udp(0), DROP_NONE, CONN_UDP_UNANSWERED);
	expect(udp(0), DROP_NONE, CONN_UDP_UNANSWERED);
	expect(udp(1), DROP_NONE, CONN_UDP_ANSWERED);
	expect(udp(0), DROP_NONE, CONN_UDP_ANSWERED);
	const struct conn *conn = talk_conn(&talk);
	cr_assert_eq(conn_original_direction(conn), talk.high);
	cr_assert_eq(conn->packets[talk.high], 3u);
	cr_assert_eq(conn->packets[!talk.high], 1u);
	cr_assert(conn->flags & CONN_ANSWERED);
}

Test(conn_other, udp_is_answered_by_the_other_end)
{
	talk_each_way(&talk, check_udp);
}

static enum drop_reason icmp(unsigned from, uint8_t type, uint8_t identifier)
{
	uint8_t l4[8] = {type, 0, 0, 0, 0, identifier};
	return talk_say(&talk, from, talk.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, l4, 8, 56);
}

static void check_icmp(void)
{
	uint8_t request = talk.v6 ? 128 : 8, reply = talk.v6 ? 129 : 0;
	expect(icmp(0, reply, 7), DROP_CONNECTION_INVALID, CONN_FREE);
	expect(icmp(0, request, 7), DROP_NONE, CONN_ICMP_UNANSWERED);
	expect(icmp(1, reply, 8), DROP_CONNECTION_INVALID, CONN_FREE);
	expect(icmp(1, reply, 7), DROP_NONE, CONN_ICMP_ANSWERED);
	expect(icmp(1, reply, 7), DROP_NONE, CONN_ICMP_ANSWERED);
	expect(icmp(0, request, 7), DROP_NONE, CONN_ICMP_ANSWERED);
	// The other end's own queries, with the same identifier, are another connection.
	expect(icmp(1, request, 7), DROP_NONE, CONN_ICMP_UNANSWERED);
	expect(icmp(0, reply, 7), DROP_NONE, CONN_ICMP_ANSWERED);
	// An identifier that looks like the type of the request.
	expect(icmp(0, request, request), DROP_NONE, CONN_ICMP_UNANSWERED);
	expect(icmp(0, reply, request), DROP_CONNECTION_INVALID, CONN_FREE);
	expect(icmp(1, reply, request), DROP_NONE, CONN_ICMP_ANSWERED);
	expect(icmp(1, request, request), DROP_NONE, CONN_ICMP_UNANSWERED);
	expect(icmp(1, reply, request), DROP_NONE, CONN_ICMP_ANSWERED);
	expect(icmp(0, reply, request), DROP_NONE, CONN_ICMP_ANSWERED);
}

Test(conn_other, icmp_replies_need_their_request)
{
	talk_each_way(&talk, check_icmp);
}

static void check_gre(void)
{
	uint8_t l4[8] = {0};
	expect(talk_say(&talk, 0, IPPROTO_GRE, l4, 8, 9), DROP_NONE, CONN_OTHER_UNANSWERED);
	expect(talk_say(&talk, 1, IPPROTO_GRE, l4, 8, 9), DROP_NONE, CONN_OTHER_ANSWERED);
}

Test(conn_other, others_go_by_their_addresses)
{
	talk_each_way(&talk, check_gre);
}

enum chunk {
	DATA,
	INIT,
	INIT_ACK,
	SACK,
	HEARTBEAT,
	ABORT = 6,
	SHUTDOWN,
	SHUTDOWN_ACK,
	COOKIE_ECHO = 10,
	COOKIE_ACK,
	COMPLETE = 14,
	T = 0x100, // the T bit
};

static enum drop_reason sctp(unsigned from, uint32_t tag, unsigned chunk, uint32_t init)
{
	uint8_t l4[32] = {0, 9, 0, 9};
	bool long_one = (chunk & 0xff) == INIT || (chunk & 0xff) == INIT_ACK;
	l4[from ? 1 : 3] = 99;
	tag = htonl(tag);
	init = htonl(init);
	memcpy(l4 + 4, &tag, 4);
	l4[12] = (uint8_t)chunk;
	l4[13] = chunk & T ? 1 : 0;
	l4[15] = long_one ? 20 : 8;
	memcpy(l4 + 16, &init, 4);
	return talk_say(&talk, from, IPPROTO_SCTP, l4, long_one ? 32 : 20, 0);
}

#define BAD DROP_CONNECTION_INVALID

static void open_sctp(void)
{
	expect(sctp(0, 0, INIT, 11), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 11, INIT_ACK, 22), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(0, 22, COOKIE_ECHO, 0), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 11, COOKIE_ACK, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
}

static void check_sctp(void)
{
	expect(sctp(0, 5, DATA, 0), BAD, CONN_FREE);
	expect(sctp(0, 5, HEARTBEAT, 0), BAD, CONN_FREE);
	expect(sctp(0, 5, INIT, 11), BAD, CONN_FREE);
	expect(sctp(0, 0, INIT, 0), BAD, CONN_FREE);
	expect(sctp(0, 0, INIT, 11), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 12, INIT_ACK, 22), BAD, CONN_SCTP_HANDSHAKE);
	expect(sctp(0, 22, COOKIE_ECHO, 0), BAD, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 11, INIT_ACK, 21), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 11, INIT_ACK, 22), DROP_NONE, CONN_SCTP_HANDSHAKE); // to an INIT again
	expect(sctp(0, 23, COOKIE_ECHO, 0), BAD, CONN_SCTP_HANDSHAKE);
	expect(sctp(0, 21, COOKIE_ECHO, 0), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 12, COOKIE_ACK, 0), BAD, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 11, COOKIE_ACK, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	for (unsigned chunk = DATA; chunk <= COMPLETE; chunk++) {
		if (chunk != INIT)
			expect(sctp(0, 999, chunk, 5), BAD, CONN_SCTP_ESTABLISHED);
		if (chunk != ABORT && chunk != COMPLETE && chunk != INIT)
			expect(sctp(0, 11, chunk | T, 5), BAD, CONN_SCTP_ESTABLISHED);
	}
	expect(sctp(0, 21, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(1, 11, SACK, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(1, 11, HEARTBEAT, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(1, 11, SHUTDOWN, 0), DROP_NONE, CONN_SCTP_SHUTDOWN);
	expect(sctp(0, 21, SHUTDOWN_ACK, 0), DROP_NONE, CONN_SCTP_SHUTDOWN);
	expect(sctp(1, 11, COMPLETE, 0), DROP_NONE, CONN_SCTP_CLOSED);
	talk_conn(&talk)->epoch = 3;
	expect(sctp(1, 0, INIT, 33), DROP_NONE, CONN_SCTP_HANDSHAKE);
	cr_assert_eq(talk_conn(&talk)->epoch, 0u);
	cr_assert_eq(conn_original_direction(talk_conn(&talk)), !talk.high);
}

Test(conn_other, sctp_goes_by_its_tags)
{
	talk_each_way(&talk, check_sctp);
}

static void check_sctp_ends(void)
{
	static const struct {
		unsigned from, chunk;
		uint32_t tag;
	} ends[] = {{0, ABORT, 22}, {1, ABORT, 11}, {0, ABORT | T, 11}, {1, ABORT | T, 22},
		{1, COMPLETE | T, 22}};
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		open_sctp();
		expect(sctp(ends[i].from, ends[i].tag, ends[i].chunk, 0), DROP_NONE,
			CONN_SCTP_CLOSED);
	}
}

Test(conn_other, sctp_is_aborted_by_either_tag)
{
	talk_each_way(&talk, check_sctp_ends);
}

static void check_sctp_restart(void)
{
	open_sctp();
	expect(sctp(0, 0, INIT, 33), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 22, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 22, COOKIE_ECHO, 0), DROP_NONE, CONN_SCTP_ESTABLISHED); // comes again
	expect(sctp(1, 11, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(1, 33, ABORT, 0), DROP_NONE, CONN_SCTP_ESTABLISHED); // refused: all goes on
	expect(sctp(1, 11, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(1, 33, INIT_ACK, 44), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 44, COOKIE_ECHO, 0), DROP_NONE, CONN_SCTP_HANDSHAKE);
	expect(sctp(0, 44, COOKIE_ECHO, 0), DROP_NONE, CONN_SCTP_HANDSHAKE); // comes again
	expect(sctp(0, 22, DATA, 0), BAD, CONN_SCTP_HANDSHAKE);
	expect(sctp(1, 33, COOKIE_ACK, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 44, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 22, DATA, 0), BAD, CONN_SCTP_ESTABLISHED);
}

Test(conn_other, sctp_can_restart)
{
	talk_each_way(&talk, check_sctp_restart);
}

// The end that did not begin the association restarts it: a new one, in that direction.
static void check_sctp_restart_denied(void)
{
	open_sctp();
	expect(sctp(1, 0, INIT, 33), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 33, INIT_ACK, 44), DROP_NONE, CONN_SCTP_ESTABLISHED);
	struct conn *conn = talk_conn(&talk), copy = *conn;
	talk.denies = true;
	expect(sctp(1, 44, COOKIE_ECHO, 0), TRACK_ANEW, CONN_SCTP_ESTABLISHED);
	cr_assert_eq(memcmp(conn, &copy, sizeof(copy)), 0);
	expect(sctp(0, 22, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(1, 11, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	talk.denies = false;
	expect(sctp(1, 44, COOKIE_ECHO, 0), DROP_NONE, CONN_SCTP_HANDSHAKE);
	cr_assert_eq(conn_original_direction(conn), !talk.high);
	cr_assert_eq(conn_generation(conn), 1);
	cr_assert_eq(conn->packets[0] + conn->packets[1], 1u);
	expect(sctp(0, 33, COOKIE_ACK, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 22, DATA, 0), BAD, CONN_SCTP_ESTABLISHED);
	expect(sctp(0, 33, DATA, 0), DROP_NONE, CONN_SCTP_ESTABLISHED);
}

Test(conn_other, an_sctp_restart_is_asked_about)
{
	talk_each_way(&talk, check_sctp_restart_denied);
}

// SPDX-License-Identifier: BSD-3-Clause
// The protocols' state machines: what a packet does to its connection, and whether it may. Each is
// a table over states and events (conntrack/tcp.c, sctp.c, simple.c). They read the parsed packet's
// stash and the entry, and know nothing of ports and rules.
#ifndef WEIR_CONNTRACK_TRACK_H
#define WEIR_CONNTRACK_TRACK_H

#include "base/drop.h"
#include "conntrack/table.h"

struct tracker {
	struct conn_table *table;
	const struct track_settings *settings;
	uint32_t now_s;
	bool liberal; // a first packet may come from the middle of a TCP conversation, as with
		      // settings->pickup: no rules concern it
};

// Whether the packet may begin a connection; fills the reserved entry's state, flags and sides, and
// counts the packet. DROP_NONE, or DROP_CONNECTION_INVALID: it speaks of a conversation that is not
// there (RFC 9293: a segment without SYN; an ICMP reply nobody asked for; an SCTP chunk other than
// INIT). `original` is the connection's original direction: the packet's own, unless whoever asks
// knows that it is an answer. Worker.
enum drop_reason track_first(const struct tracker *tracker, struct conn *conn,
	const struct conn_key *key, unsigned original, const struct packet *packet);

// Beside drop reasons: the packet would begin the conversation anew, where the old one is over or
// has lost its memory (a SYN in TIME_WAIT, RFC 9293 3.6.1 and RFC 6191; an INIT after the end; the
// COOKIE-ECHO of a restart, RFC 9260 5.2). Whoever tracks it has to ask first whether it may, as
// for the first packet of any connection, and who pays.
#define TRACK_ANEW ((enum drop_reason)DROP_REASON_COUNT)
// ... and its original direction is the other one: a SYN-ACK shows that a SYN has begun it.
#define TRACK_ANEW_ANSWERED ((enum drop_reason)(DROP_REASON_COUNT + 1))

// Advances the connection by one packet of it, counts it and notes the time. DROP_NONE;
// DROP_CONNECTION_INVALID: no state allows it; DROP_TCP_WINDOW: outside of what the other side has
// offered, or an RST whose sequence number is not the expected one (RFC 5961); neither of TCP where
// CONN_LIBERAL is set. TRACK_ANEW or TRACK_ANEW_ANSWERED: nothing has changed. Worker.
enum drop_reason track_next(const struct tracker *tracker, uint32_t index, struct conn *conn,
	const struct conn_key *key, const struct packet *packet);

// Whether the packet would begin the conversation anew: DROP_NONE, TRACK_ANEW or
// TRACK_ANEW_ANSWERED. Changes nothing. Worker.
enum drop_reason track_begins(const struct tracker *tracker, struct conn *conn,
	const struct conn_key *key, const struct packet *packet);

// As track_next, for a packet that may begin the conversation anew. If it does, the entry becomes a
// fresh one in place: its epoch is 0, its original direction the one that was asked about, its
// counters begin with the packet, it counts for `owner`, for which one was taken (conn_owner_take),
// and *generation is its new one. -1: another worker was faster, and it was tracked as any packet;
// what was taken is given back. Worker.
enum drop_reason track_anew(const struct tracker *tracker, uint32_t index, struct conn *conn,
	const struct conn_key *key, const struct packet *packet, uint16_t owner, int *generation);

// Of a fragment that is not the first: it is counted, and of TCP its octets have been sent now. It
// keeps nothing alive. DROP_NONE. Worker.
enum drop_reason track_later(const struct tracker *tracker, uint32_t index, struct conn *conn,
	const struct conn_key *key, const struct packet *packet);

// Either, and in line what most packets are: of a UDP conversation in both directions.
static inline enum drop_reason track_packet(const struct tracker *tracker, uint32_t index,
	struct conn *conn, const struct conn_key *key, const struct packet *packet)
{
	enum conn_state state = (enum conn_state)atomic_load_explicit(
		&conn->state, memory_order_relaxed);
	if (__builtin_expect(packet->flags & PACKET_LATER_FRAGMENT, 0))
		return track_later(tracker, index, conn, key, packet);
	if (state != CONN_UDP_ANSWERED)
		return track_next(tracker, index, conn, key, packet);
	conn_seen(conn, tracker->now_s);
	conn_count(conn, key->direction, packet->len);
	return DROP_NONE;
}

// Whether the packet is an ICMP or ICMPv6 error; then *key is that of the connection it speaks of
// (not hashed), with the direction that the error itself goes, and *sound whether it can be
// believed at all: the quoted packet is whole enough to tell its L4 ports, and comes from whom the
// error is sent to. Such a packet changes no state and no time. Worker.
bool track_error_key(const struct packet *packet, uint32_t zone, struct conn_key *key, bool *sound);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// What the state machines have in common: an entry's steps, and the machines by protocol. Inside
// conntrack/ only. Worker.
#ifndef WEIR_CONNTRACK_MACHINE_H
#define WEIR_CONNTRACK_MACHINE_H

#include <string.h>

#include "conntrack/track.h"

// One packet on its way through a state machine.
struct step {
	const struct tracker *tracker;
	uint32_t index; // of the entry; not published: 0
	struct conn *conn;
	const struct packet *packet;
	unsigned direction;
	bool anew; // the packet may begin the connection anew
};

static inline enum conn_state step_state(const struct step *s)
{
	return (enum conn_state)atomic_load_explicit(&s->conn->state, memory_order_relaxed);
}

static inline bool step_is_reply(const struct step *s)
{
	return s->direction != conn_original_direction(s->conn);
}

static inline uint8_t step_flags(const struct step *s)
{
	return atomic_load_explicit(&s->conn->flags, memory_order_relaxed);
}

// Moves the entry to a state; the janitor is told where that ends sooner than the old one.
static inline void step_to(const struct step *s, enum conn_state state)
{
	enum conn_state before = step_state(s);
	if (before == state)
		return;
	const uint32_t *timeouts_s = s->tracker->settings->timeouts_s;
	atomic_store_explicit(&s->conn->state, (uint8_t)state, memory_order_relaxed);
	if (s->index && timeouts_s[state] < timeouts_s[before])
		conn_due(s->tracker->table, s->index, s->tracker->now_s + timeouts_s[state]);
}

// The packet belongs to the connection and is part of it: notes the time, and an answer.
static inline void step_done(const struct step *s)
{
	if (__builtin_expect(step_is_reply(s) && !(step_flags(s) & CONN_ANSWERED), 0))
		atomic_fetch_or_explicit(&s->conn->flags, CONN_ANSWERED, memory_order_relaxed);
	conn_seen(s->conn, s->tracker->now_s);
}

// A fresh connection in place of the old; its first packet went that direction.
static inline void step_anew(const struct step *s, unsigned direction)
{
	struct conn *conn = s->conn;
	uint8_t generation = atomic_load_explicit(&conn->generation, memory_order_relaxed);
	atomic_store_explicit(&conn->epoch, 0, memory_order_relaxed);
	atomic_store_explicit(&conn->flags, direction ? CONN_BEGAN_HIGH : 0, memory_order_relaxed);
	atomic_store_explicit(&conn->unchanged, 0, memory_order_relaxed);
	atomic_store_explicit(&conn->created_s, s->tracker->now_s, memory_order_relaxed);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store_explicit(&conn->packets[i], 0, memory_order_relaxed);
		atomic_store_explicit(&conn->packets_high[i], 0, memory_order_relaxed);
		atomic_store_explicit(&conn->bytes[i], 0, memory_order_relaxed);
	}
	memset(conn->sides, 0, sizeof(conn->sides));
	memset(&conn->syn, 0, sizeof(conn->syn));
	atomic_store_explicit(&conn->generation, (uint8_t)(generation + 1), memory_order_release);
}

// Each: the first packet of an entry that nobody sees yet, and any later one. tcp and sctp are
// called with the entry's lock held; of them, too, what a later one would begin (track_begins).
enum drop_reason tcp_first(const struct step *s);
enum drop_reason tcp_next(const struct step *s);
enum drop_reason tcp_begins(const struct step *s);
// A fragment that is not the first; it changes how much its end has sent, and with the last one
// whether that has ended.
void tcp_later(const struct step *s, const struct conn_key *key);
enum drop_reason sctp_first(const struct step *s);
enum drop_reason sctp_next(const struct step *s);
enum drop_reason sctp_begins(const struct step *s);
enum drop_reason udp_first(const struct step *s);
enum drop_reason udp_next(const struct step *s);
enum drop_reason icmp_first(const struct step *s);
enum drop_reason icmp_next(const struct step *s);
enum drop_reason other_first(const struct step *s);
enum drop_reason other_next(const struct step *s);

#endif

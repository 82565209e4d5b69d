// SPDX-License-Identifier: BSD-3-Clause
// The common segment of an established connection in a straight line: ACK alone, whole, plainly
// inside of its windows. It does what the table in conntrack/tcp.c would do, and no more. Worker,
// with the entry's lock held.
#ifndef WEIR_CONNTRACK_TCP_PLAIN_H
#define WEIR_CONNTRACK_TCP_PLAIN_H

#include "base/likely.h"
#include "conntrack/tcp.h"

// False, with nothing changed: the table has to say. An established entry that was not picked up
// knows both ends' limits, was answered, and has seen no FIN; such a segment keeps it so.
static inline bool tcp_plain(
	struct conn *conn, unsigned direction, const struct packet *p, uint32_t now_s)
{
	const uint8_t *tcp = p->data + p->l4_off;
	struct conn_side *us = &conn->sides[direction], *peer = &conn->sides[!direction];
	if (unlikely((tcp[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
		     p->flags & PACKET_FRAGMENT ||
		     atomic_load_explicit(&conn->state, memory_order_relaxed) !=
			     CONN_TCP_ESTABLISHED ||
		     atomic_load_explicit(&conn->flags, memory_order_relaxed) & CONN_PICKED_UP))
		return false;
	uint32_t seq = load32(tcp + 4), ack = load32(tcp + 8);
	uint32_t end = seq + packet_l3_end(p) - p->payload_off;
	if (unlikely(tcp_after(seq, peer->limit) || peer->end - ack > TCP_BEHIND ||
		     tcp_after(us->end - TCP_BEHIND, end)))
		return false;
	uint16_t window = load16(tcp + 14);
	uint32_t limit = ack + ((uint32_t)window << us->scale) + !window;
	us->end = tcp_after(end, us->end) ? end : us->end;
	us->acked = tcp_after(ack, us->acked) ? ack : us->acked;
	us->limit = tcp_after(limit, us->limit) ? limit : us->limit;
	us->window = window > us->window ? window : us->window;
	conn_seen(conn, now_s);
	return true;
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
// TCP's windows (RFC 9293 3.4, 3.8.6; RFC 7323 2; RFC 5961 5), seen from the middle. Of each end is
// known what it has sent (`end`), acknowledged (`acked`) and offered (`limit`). Whatever reaches us
// may still be lost, so the ends may be behind that, and never ahead.
//
//  I    A segment begins at or before what the receiver has offered: seq <= peer.limit.
//  II   It acknowledges only what was sent: ack <= peer.end.
//  III  It ends no further behind the sender's own end, and IV acknowledges no further behind the
//       peer's end, than a window, and 128 KiB at least.
//
// What breaks I or II is dropped: no end can have reason to send it. What breaks III or IV is old,
// or a guess; it is passed, since its receiver answers it by an ACK (RFC 9293 3.10.7.4), but says
// nothing. An entry that was picked up from a conversation's middle does not know how windows are
// scaled; so it drops nothing and learns from all.
#include "conntrack/tcp.h"

enum {
	SCALE_MAX = 14, // RFC 7323 2.3
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_SCALE = 3,
	OPTION_TIMESTAMPS = 8,
	TCP_LEN = 20,
};

void tcp_read_options(const struct packet *packet, struct tcp_options *options)
{
	const uint8_t *at = packet->data + packet->l4_off + TCP_LEN;
	const uint8_t *end = packet->data + packet->payload_off;
	*options = (struct tcp_options){0};
	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return;
		if (at[0] == OPTION_SCALE && at[1] == 3) {
			options->scales = true;
			options->scale = at[2] < SCALE_MAX ? at[2] : SCALE_MAX;
		}
		if (at[0] == OPTION_TIMESTAMPS && at[1] == 10)
			options->timestamps = true;
		at += at[1];
	}
}

static inline uint32_t reach(const struct conn_side *side)
{
	uint32_t window = (uint32_t)side->window << side->scale;
	return window > TCP_BEHIND ? window : TCP_BEHIND;
}

enum drop_reason tcp_judge(const struct step *s, const struct tcp_segment *segment, bool *counts)
{
	const struct conn_side *us = &s->conn->sides[s->direction];
	const struct conn_side *peer = &s->conn->sides[!s->direction];
	bool ahead = tcp_after(segment->ack, peer->end) ||
		     (peer->flags & SIDE_LIMIT && tcp_after(segment->seq, peer->limit));
	if (step_flags(s) & CONN_PICKED_UP) {
		*counts = true;
		return DROP_NONE;
	}
	if (ahead)
		return DROP_TCP_WINDOW;
	*counts = !tcp_after(us->end - reach(peer), segment->end) &&
		  !tcp_after(peer->end - reach(us), segment->ack);
	// The first acknowledgement is of the SYN (RFC 9293 3.10.7.4), or it is for another
	// conversation.
	if (peer->flags & SIDE_SYN && !(us->flags & SIDE_ACKED) &&
		!tcp_after(segment->ack, s->conn->isns[!s->direction]))
		*counts = false;
	return DROP_NONE;
}

void tcp_learn(const struct step *s, const struct tcp_segment *segment)
{
	struct conn_side *us = &s->conn->sides[s->direction];
	struct conn_side *peer = &s->conn->sides[!s->direction];
	if (tcp_after(segment->end, us->end))
		us->end = segment->end;
	if (segment->flags & TCP_FIN && segment->cut)
		us->flags |= SIDE_FIN_CUT;
	else if (segment->flags & TCP_FIN && segment->end == us->end)
		us->flags |= SIDE_FIN;
	// Only of an entry that was picked up: what it did not see was sent too.
	if (tcp_after(segment->ack, peer->end))
		peer->end = segment->ack;
	if (!(us->flags & SIDE_ACKED) || tcp_after(segment->ack, us->acked))
		us->acked = segment->ack;
	// A zero window may be probed with one octet (RFC 9293 3.8.6.1).
	uint32_t window = segment->flags & TCP_SYN ? segment->window
						   : (uint32_t)segment->window << us->scale;
	uint32_t limit = segment->ack + (window ? window : 1);
	if (!(us->flags & SIDE_LIMIT) || tcp_after(limit, us->limit))
		us->limit = limit;
	us->flags |= SIDE_ACKED | SIDE_LIMIT;
	if (!(segment->flags & TCP_SYN) && segment->window > us->window)
		us->window = segment->window;
	if (peer->flags & SIDE_FIN && segment->ack == peer->end)
		peer->flags |= SIDE_FIN_ACKED;
}

// The first does not tell how many octets follow, so each is sent with its own fragment. Where the
// first did not count, they lie far behind, or ahead of all that was sent; or its acknowledgement
// was wrong, and they were sent all the same.
void tcp_later(const struct step *s, const struct conn_key *key)
{
	struct conn_side *us = &s->conn->sides[s->direction];
	struct conn_syn *noted = &s->conn->syn;
	if (noted->flags && noted->direction == s->direction && noted->isn == key->seq) {
		uint16_t data = (uint16_t)(key->end - key->seq - 1);
		noted->data = data > noted->data ? data : noted->data;
		return;
	}
	if (!(us->flags & SIDE_SEEN) || step_state(s) == CONN_TCP_CLOSED ||
		tcp_after(key->seq, us->end))
		return;
	if (tcp_after(key->end, us->end))
		us->end = key->end;
	if (key->flags & KEY_FIN && us->flags & SIDE_FIN_CUT && key->end == us->end) {
		us->flags |= SIDE_FIN;
		step_to(s, tcp_state_of(s->conn->sides));
	}
}

enum conn_state tcp_state_of(const struct conn_side sides[2])
{
	enum phase {
		OPEN,
		ENDING, // FIN sent
		ENDED,  // and acknowledged
		PHASES
	};
	static const uint8_t states[PHASES][PHASES] = {
		[OPEN] = {CONN_TCP_ESTABLISHED, CONN_TCP_FIN_WAIT, CONN_TCP_CLOSE_WAIT},
		[ENDING] = {CONN_TCP_FIN_WAIT, CONN_TCP_LAST_ACK, CONN_TCP_LAST_ACK},
		[ENDED] = {CONN_TCP_CLOSE_WAIT, CONN_TCP_LAST_ACK, CONN_TCP_TIME_WAIT},
	};
	enum phase phases[2];
	for (int i = 0; i < 2; i++)
		phases[i] = sides[i].flags & SIDE_FIN_ACKED ? ENDED
			    : sides[i].flags & SIDE_FIN     ? ENDING
							    : OPEN;
	if (!(sides[0].flags & sides[1].flags & SIDE_ACKED) && phases[0] + phases[1] == 0)
		return CONN_TCP_SYN_RECEIVED;
	return (enum conn_state)states[phases[0]][phases[1]];
}

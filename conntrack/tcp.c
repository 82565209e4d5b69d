// SPDX-License-Identifier: BSD-3-Clause
// The TCP state machine (RFC 9293), seen from the middle: `actions` says by state, segment and
// direction what is done; the state that follows is made of what both ends have said so far
// (tcp_state_of). Windows: conntrack/tcp_window.c.
//
// Differences to Linux's connection tracking, each where an RFC asks for it:
//  - An RST ends a connection only with exactly the sequence number that its receiver expects: what
//    it has acknowledged, or the end of what was sent to it; one merely inside of the window is
//    passed and changes nothing, for the receiver challenges it (RFC 5961 3.2). Linux does that in
//    the established state only, and closes by any RST once a FIN was seen. An RST's
//    acknowledgement is not looked at outside of SYN-SENT (RFC 9293 3.10.7.4 looks at the sequence
//    number alone).
//  - An RST that answers a SYN has to acknowledge it (RFC 9293 3.10.7.3). Linux also takes one
//    without ACK, or with the acknowledgement 0.
//  - A SYN in a synchronised state is passed whoever sends it, for the receiver challenges it (RFC
//    5961 4.2). Linux drops those of the end that did not begin the connection.
//  - A SYN where a reset connection was begins a new one, whoever sends it (RFC 9293 3.10.7.1, .2).
//    Linux drops those of the other end.
//  - A SYN in TIME-WAIT begins a new one if its sequence number is beyond the old ones (RFC 9293
//    3.6.1) or if it has timestamps (RFC 6191); any other is passed, and counts once it is
//    answered. Linux takes any.
//  - The window of the SYN limits what is sent before the first ACK (RFC 7413 4.2: data behind a
//    SYN-ACK). Linux drops the second of such segments.
//  - Selective acknowledgements widen no window (RFC 2018 3: it is counted from the cumulative
//    one). Linux adds them.
#include "conntrack/tcp.h"

enum event {
	NONSENSE,
	SYN,
	SYN_ACK,
	ACK,
	FIN,
	RST,
	EVENTS
};

// By FIN, SYN, RST, ACK and URG; the others may go with any. What is not here is nonsense.
static const uint8_t events[64] = {
	[TCP_SYN] = SYN,
	[TCP_SYN | TCP_URG] = SYN,
	[TCP_SYN | TCP_ACK] = SYN_ACK,
	[TCP_ACK] = ACK,
	[TCP_ACK | TCP_URG] = ACK,
	[TCP_FIN | TCP_ACK] = FIN,
	[TCP_FIN | TCP_ACK | TCP_URG] = FIN,
	[TCP_RST] = RST,
	[TCP_RST | TCP_ACK] = RST,
};

enum action {
	REFUSE,  // no state allows it
	PASS,    // nothing follows from it
	BEGIN,   // a SYN: the first segment of a conversation
	PICK_UP, // a segment of one that we have not seen beginning
	AGAIN,   // a SYN of an end that has sent one: its retransmission, or it is noted
	MEET,    // a SYN against a SYN: both ends open at once
	ANSWER,  // a SYN-ACK that may acknowledge a SYN
	RESYNC,  // a SYN-ACK that may acknowledge a SYN that was noted
	DATA,    // a segment with ACK, or with FIN
	LATE,    // the same, after the end: held against the windows, nothing follows from it
	RESET,   // an RST
	DENY,    // an RST against a SYN
	ABANDON, // an RST of the end that has sent a SYN
	REUSE,   // a SYN in TIME-WAIT
	ACTIONS
};

#define BOTH(action) \
	{ \
		action, action \
	}
// [state][event][is a reply]
static const uint8_t actions[CONN_TCP_CLOSED + 1][EVENTS][2] = {
	[CONN_FREE] = {[SYN] = {BEGIN, REFUSE}, [ACK] = {PICK_UP, REFUSE}},
	[CONN_TCP_SYN_SENT] = {[SYN] = {AGAIN, MEET},
		[SYN_ACK] = {REFUSE, ANSWER},
		[ACK] = {REFUSE, PASS}, // of a connection that the other end remembers
		[RST] = {ABANDON, DENY}},
	[CONN_TCP_SYN_RECEIVED] = {[SYN] = BOTH(AGAIN),
		[SYN_ACK] = BOTH(ANSWER),
		[ACK] = BOTH(DATA),
		[FIN] = BOTH(DATA),
		[RST] = BOTH(RESET)},
#define SYNCHRONISED \
	{ \
		[SYN] = BOTH(AGAIN), [SYN_ACK] = BOTH(RESYNC), [ACK] = BOTH(DATA), \
		[FIN] = BOTH(DATA), [RST] = BOTH(RESET) \
	}
	[CONN_TCP_ESTABLISHED] = SYNCHRONISED,
	[CONN_TCP_FIN_WAIT] = SYNCHRONISED,
	[CONN_TCP_CLOSE_WAIT] = SYNCHRONISED,
	[CONN_TCP_LAST_ACK] = SYNCHRONISED,
	[CONN_TCP_TIME_WAIT] = {[SYN] = BOTH(REUSE),
		[SYN_ACK] = BOTH(RESYNC),
		[ACK] = BOTH(DATA),
		[FIN] = BOTH(DATA),
		[RST] = BOTH(RESET)},
	[CONN_TCP_CLOSED] = {[SYN] = BOTH(BEGIN),
		[SYN_ACK] = BOTH(RESYNC),
		[ACK] = BOTH(LATE),
		[FIN] = BOTH(LATE),
		[RST] = BOTH(RESET)},
};

// Takes the SYN of one end over.
static void take_syn(const struct step *s, unsigned direction, const struct conn_syn *syn)
{
	struct conn_side *us = &s->conn->sides[direction], *peer = &s->conn->sides[!direction];
	*us = (struct conn_side){.end = syn->isn + 1 + syn->data,
		.window = syn->window,
		.scale = syn->scale,
		.flags = syn->flags};
	s->conn->isns[direction] = syn->isn;
	if (!(peer->flags & SIDE_SYN))
		return;
	// Both have spoken: windows are scaled if both have offered it (RFC 7323 2.2). Those of
	// SYNs never are.
	bool scaled = us->flags & peer->flags & SIDE_SCALES;
	for (int i = 0; i < 2; i++) {
		struct conn_side *side = &s->conn->sides[i];
		side->limit = s->conn->isns[!i] + 1 + (side->window ? side->window : 1);
		side->flags |= SIDE_LIMIT;
		side->scale = scaled ? side->scale : 0;
		side->window = (uint16_t)(side->window >> side->scale);
	}
}

static struct conn_syn read_syn(const struct step *s, const struct tcp_segment *segment)
{
	struct tcp_options options;
	tcp_read_options(s->packet, &options);
	return (struct conn_syn){.isn = segment->seq,
		.window = segment->window,
		.data = (uint16_t)(segment->end - segment->seq - 1),
		.scale = options.scale,
		.flags = (uint8_t)(SIDE_SEEN | SIDE_SYN | (options.scales ? SIDE_SCALES : 0)),
		.direction = (uint8_t)s->direction};
}

static enum drop_reason begin(const struct step *s, const struct tcp_segment *segment)
{
	struct conn_syn syn = read_syn(s, segment);
	if (step_state(s) != CONN_FREE)
		step_anew(s, s->direction);
	take_syn(s, s->direction, &syn);
	step_to(s, CONN_TCP_SYN_SENT);
	step_done(s);
	return DROP_NONE;
}

static enum drop_reason pick_up(const struct step *s, const struct tcp_segment *segment)
{
	if (!s->tracker->settings->pickup && !s->tracker->liberal)
		return DROP_CONNECTION_INVALID;
	struct conn_side *us = &s->conn->sides[s->direction];
	struct conn_side *peer = &s->conn->sides[!s->direction];
	us->flags = peer->flags = SIDE_SEEN;
	us->scale = peer->scale = 14; // no window is larger than it is taken for
	us->end = segment->end;
	peer->end = segment->ack;
	atomic_fetch_or_explicit(&s->conn->flags, CONN_PICKED_UP, memory_order_relaxed);
	tcp_learn(s, segment);
	step_to(s, CONN_TCP_SYN_RECEIVED); // until the other end has been heard
	step_done(s);
	return DROP_NONE;
}

static enum drop_reason syn_again(const struct step *s, const struct tcp_segment *segment)
{
	struct conn_side *us = &s->conn->sides[s->direction];
	if (us->flags & SIDE_SYN && segment->seq == s->conn->isns[s->direction]) {
		// One of the two may carry data (RFC 7413 4.2).
		if (step_state(s) == CONN_TCP_SYN_SENT) {
			if (tcp_after(segment->end, us->end))
				us->end = segment->end;
			step_done(s);
		}
		return DROP_NONE;
	}
	s->conn->syn = read_syn(s, segment);
	return DROP_NONE;
}

static enum drop_reason syn_meets(const struct step *s, const struct tcp_segment *segment)
{
	struct conn_syn syn = read_syn(s, segment);
	take_syn(s, s->direction, &syn);
	step_to(s, CONN_TCP_SYN_RECEIVED);
	step_done(s);
	return DROP_NONE;
}

// Whether a segment acknowledges the SYN, and perhaps data that came with it.
static bool acks_syn(const struct tcp_segment *segment, uint32_t isn, uint32_t end)
{
	return segment->flags & TCP_ACK && segment->ack - isn - 1 <= end - isn - 1;
}

static bool acks_noted(const struct step *s, const struct tcp_segment *segment)
{
	const struct conn_syn *syn = &s->conn->syn;
	return syn->flags && syn->direction != s->direction &&
	       acks_syn(segment, syn->isn, syn->isn + 1 + syn->data);
}

// The SYN that was noted has begun a new connection, as its answer shows.
static enum drop_reason resync(const struct step *s, const struct tcp_segment *segment)
{
	struct conn_syn first = s->conn->syn, syn = read_syn(s, segment);
	step_anew(s, first.direction);
	take_syn(s, first.direction, &first);
	take_syn(s, s->direction, &syn);
	tcp_learn(s, segment);
	step_to(s, CONN_TCP_SYN_RECEIVED);
	step_done(s);
	return DROP_NONE;
}

static enum drop_reason answer(const struct step *s, const struct tcp_segment *segment)
{
	const struct conn_side *us = &s->conn->sides[s->direction];
	const struct conn_side *peer = &s->conn->sides[!s->direction];
	if (acks_noted(s, segment))
		return resync(s, segment);
	if (!(peer->flags & SIDE_SYN))
		return DROP_NONE; // picked up
	if (!acks_syn(segment, s->conn->isns[!s->direction], peer->end))
		return tcp_after(segment->ack, peer->end) ? DROP_TCP_WINDOW : DROP_NONE;
	if (!(us->flags & SIDE_SYN)) {
		struct conn_syn syn = read_syn(s, segment);
		take_syn(s, s->direction, &syn);
	} else if (segment->seq != s->conn->isns[s->direction]) {
		return DROP_NONE;
	}
	tcp_learn(s, segment);
	step_to(s, tcp_state_of(s->conn->sides));
	step_done(s);
	return DROP_NONE;
}

static enum drop_reason data(const struct step *s, const struct tcp_segment *segment)
{
	bool counts = false;
	enum drop_reason reason = tcp_judge(s, segment, &counts);
	if (counts) {
		tcp_learn(s, segment);
		step_to(s, tcp_state_of(s->conn->sides));
		step_done(s);
	}
	return reason;
}

// Whether a handshake came as far as an answer: a refused one leaves nothing to speak of.
static bool was_answered(const struct step *s)
{
	return step_flags(s) & CONN_ANSWERED;
}

static enum drop_reason late(const struct step *s, const struct tcp_segment *segment)
{
	bool counts;
	return was_answered(s) ? tcp_judge(s, segment, &counts) : DROP_CONNECTION_INVALID;
}

static enum drop_reason close_by_reset(const struct step *s)
{
	if (step_state(s) == CONN_TCP_CLOSED)
		return DROP_NONE;
	step_to(s, CONN_TCP_CLOSED);
	conn_seen(s->conn, s->tracker->now_s);
	return DROP_NONE;
}

static enum drop_reason reset(const struct step *s, const struct tcp_segment *segment)
{
	const struct conn_side *us = &s->conn->sides[s->direction];
	const struct conn_side *peer = &s->conn->sides[!s->direction];
	bool closed = step_state(s) == CONN_TCP_CLOSED;
	if (closed && !was_answered(s))
		return DROP_CONNECTION_INVALID;
	if (acks_noted(s, segment))
		return close_by_reset(s);
	if ((peer->flags & SIDE_ACKED && segment->seq == peer->acked) || segment->seq == us->end)
		return close_by_reset(s);
	if (peer->flags & SIDE_ACKED && tcp_after(peer->acked, segment->seq))
		return DROP_TCP_WINDOW;
	if (peer->flags & SIDE_LIMIT && tcp_after(segment->seq, peer->limit))
		return DROP_TCP_WINDOW;
	return DROP_NONE;
}

static enum drop_reason deny(const struct step *s, const struct tcp_segment *segment)
{
	uint32_t isn = s->conn->isns[!s->direction], end = s->conn->sides[!s->direction].end;
	if (acks_noted(s, segment) || acks_syn(segment, isn, end))
		return close_by_reset(s);
	return DROP_TCP_WINDOW;
}

static enum drop_reason abandon(const struct step *s, const struct tcp_segment *segment)
{
	if (segment->seq == s->conn->sides[s->direction].end)
		return close_by_reset(s);
	return DROP_NONE; // it answers what was passed to it
}

static bool is_newer(const struct step *s, const struct tcp_segment *segment)
{
	struct tcp_options options;
	tcp_read_options(s->packet, &options);
	return options.timestamps || !tcp_after(s->conn->sides[s->direction].end, segment->seq);
}

static enum action action_of(const struct step *s, const struct tcp_segment *segment)
{
	enum event event = (enum event)events[segment->flags & 0x37];
	enum conn_state state = step_state(s);
	if (state > CONN_TCP_CLOSED)
		return REFUSE;
	return (enum action)actions[state][event][state != CONN_FREE && step_is_reply(s)];
}

// What the action would make of an entry that has been there.
static enum drop_reason begins(
	const struct step *s, const struct tcp_segment *segment, enum action action)
{
	switch (action) {
	case BEGIN:
		return TRACK_ANEW;
	case REUSE:
		return is_newer(s, segment) ? TRACK_ANEW : DROP_NONE;
	case ANSWER:
	case RESYNC:
		return acks_noted(s, segment) ? TRACK_ANEW_ANSWERED : DROP_NONE;
	default:
		return DROP_NONE;
	}
}

static enum drop_reason act(
	const struct step *s, const struct tcp_segment *segment, enum action action)
{
	switch (action) {
	case PASS:
		return DROP_NONE;
	case BEGIN:
		return begin(s, segment);
	case PICK_UP:
		return pick_up(s, segment);
	case AGAIN:
		return syn_again(s, segment);
	case MEET:
		return syn_meets(s, segment);
	case ANSWER:
		return answer(s, segment);
	case RESYNC:
		return acks_noted(s, segment) ? resync(s, segment) : DROP_NONE;
	case DATA:
		return data(s, segment);
	case LATE:
		return late(s, segment);
	case RESET:
		return reset(s, segment);
	case DENY:
		return deny(s, segment);
	case ABANDON:
		return abandon(s, segment);
	case REUSE:
		return is_newer(s, segment) ? begin(s, segment) : syn_again(s, segment);
	default:
		return DROP_CONNECTION_INVALID;
	}
}

enum drop_reason tcp_first(const struct step *s)
{
	struct tcp_segment segment = tcp_read(s->packet);
	return act(s, &segment, action_of(s, &segment));
}

enum drop_reason tcp_begins(const struct step *s)
{
	struct tcp_segment segment = tcp_read(s->packet);
	return begins(s, &segment, action_of(s, &segment));
}

// What was seen of the conversation says that this cannot be a part of it, and nobody asked for
// that to be checked. It is tracked to be led through a chain; perhaps there was none for a while,
// and nothing seen. So the segment is believed, and what it says is taken over.
static enum drop_reason catch_up(const struct step *s, const struct tcp_segment *segment)
{
	if ((segment->flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK) {
		tcp_learn(s, segment);
		step_to(s, tcp_state_of(s->conn->sides));
		step_done(s);
	}
	return DROP_NONE;
}

enum drop_reason tcp_next(const struct step *s)
{
	struct tcp_segment segment = tcp_read(s->packet);
	enum action action = action_of(s, &segment);
	enum drop_reason anew = s->anew ? DROP_NONE : begins(s, &segment, action);
	if (anew != DROP_NONE)
		return anew;
	enum drop_reason reason = act(s, &segment, action);
	return reason != DROP_NONE && step_flags(s) & CONN_LIBERAL ? catch_up(s, &segment) : reason;
}

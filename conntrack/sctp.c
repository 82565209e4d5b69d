// SPDX-License-Identifier: BSD-3-Clause
// SCTP (RFC 9260), by its verification tags: each end chooses the tag that packets to it carry, in
// its INIT or INIT-ACK. What an end has offered is kept beside the tag in use until a COOKIE-ECHO
// takes it, so a restart (5.2.2) and a lost INIT-ACK (each has another tag) leave a running
// association alone. A restart is a new association, in the direction of its INIT, once its
// COOKIE-ECHO is allowed. Only the chunks in the stash are looked at, and of them the one that
// decides: INIT, INIT-ACK and SHUTDOWN-COMPLETE stand alone (3.3), COOKIE-ECHO and COOKIE-ACK come
// first.
//
// Of an end's side: `end` is its tag, `limit` the one it has offered last and `acked` the one
// before.
//
// Difference to Linux: only an INIT begins an entry (8.4: anything else out of the blue is answered
// by an ABORT at most); Linux also takes a HEARTBEAT, for further paths of a multi-homed end.
#include <string.h>

#include "conntrack/machine.h"
#include "conntrack/wire.h"

enum {
	SCTP_LEN = 12,
	CHUNK_LEN = 4,
	INIT_LEN = 20, // of INIT and INIT-ACK without parameters
	CHUNKS_MAX = 16,
	REFLECTED = 1, // the T bit
};

enum event {
	OTHER,
	INIT,
	INIT_ACK,
	ABORT,
	SHUTDOWN,
	SHUTDOWN_ACK,
	COOKIE_ECHO,
	COOKIE_ACK,
	COMPLETE,
	EVENTS
};

// By chunk type (RFC 9260 3.2); what is not here changes nothing.
static const uint8_t events[16] = {
	[1] = INIT,
	[2] = INIT_ACK,
	[6] = ABORT,
	[7] = SHUTDOWN,
	[8] = SHUTDOWN_ACK,
	[10] = COOKIE_ECHO,
	[11] = COOKIE_ACK,
	[14] = COMPLETE,
};

enum action {
	REFUSE,
	STAY,
	BEGIN, // an INIT where there is no association, or none any more
	OFFER, // an INIT: its tag is kept
	REPLY, // an INIT-ACK: likewise
	ADOPT, // a COOKIE-ECHO: both offered tags are the association's now, perhaps a new one's
	ESTABLISH, // a COOKIE-ACK
	CLOSING,
	OVER,
	ACTIONS
};

// [state - CONN_SCTP_HANDSHAKE][event]; tags tell the directions apart.
static const uint8_t actions[4][EVENTS] = {
	{STAY, OFFER, REPLY, OVER, STAY, STAY, ADOPT, ESTABLISH, OVER},
	{STAY, OFFER, REPLY, OVER, CLOSING, CLOSING, ADOPT, STAY, OVER},
	{STAY, OFFER, REPLY, OVER, STAY, STAY, ADOPT, STAY, OVER},
	{STAY, BEGIN, REPLY, OVER, STAY, STAY, ADOPT, STAY, OVER},
};

struct chunks {
	uint32_t tag;  // of the common header
	uint32_t init; // the initiate tag
	enum event event;
	bool reflected;
};

static bool stands_alone(enum event event)
{
	return event == INIT || event == INIT_ACK || event == COMPLETE;
}

// False: the chunks contradict themselves.
static bool read_chunks(const struct packet *p, struct chunks *chunks)
{
	const uint8_t *sctp = p->data + p->l4_off;
	uint32_t end = packet_l3_end(p), at = p->l4_off + SCTP_LEN;
	*chunks = (struct chunks){.tag = load32(sctp + 4)};
	if (at + CHUNK_LEN > end)
		return false;
	for (int i = 0; i < CHUNKS_MAX && at + CHUNK_LEN <= end && at + CHUNK_LEN <= p->head_len;
		i++) {
		const uint8_t *chunk = p->data + at;
		uint32_t len = load16(chunk + 2);
		enum event event = chunk[0] < 16 ? (enum event)events[chunk[0]] : OTHER;
		if (len < CHUNK_LEN || (at + len > end && !(p->flags & PACKET_FRAGMENT)))
			return false;
		bool alone = stands_alone(event) || stands_alone(chunks->event);
		if (i && (alone || event == COOKIE_ECHO || event == COOKIE_ACK))
			return false;
		if (event == INIT || event == INIT_ACK) {
			if (len < INIT_LEN || at + INIT_LEN > p->head_len)
				return false;
			chunks->init = load32(chunk + 4);
		}
		// One that ends the association decides, else the first.
		if (!i || event == ABORT || (event != OTHER && chunks->event == OTHER)) {
			chunks->event = event;
			chunks->reflected = chunk[1] & REFLECTED;
		}
		at += (len + 3) & ~3u;
	}
	return (chunks->event != INIT && chunks->event != INIT_ACK) || chunks->init;
}

static bool is_offered(const struct conn_side *side, uint32_t tag)
{
	return tag && (side->limit == tag || side->acked == tag);
}

// Whether the packet carries the tag that it has to (8.5, 8.5.1).
static bool tag_fits(const struct step *s, const struct chunks *c)
{
	const struct conn_side *us = &s->conn->sides[s->direction];
	const struct conn_side *peer = &s->conn->sides[!s->direction];
	bool handshake = step_state(s) == CONN_SCTP_HANDSHAKE;
	bool offered = is_offered(peer, c->tag);
	if (c->event == INIT)
		return !c->tag;
	if (!c->tag)
		return false;
	if (c->event == INIT_ACK || c->event == COOKIE_ECHO)
		return offered || (c->event == COOKIE_ECHO && c->tag == peer->end);
	if ((c->event == ABORT || c->event == COMPLETE) && c->reflected)
		return c->tag == us->end || (handshake && is_offered(us, c->tag));
	// An INIT that would restart the association may be refused, and goes on alone.
	return c->tag == peer->end || ((handshake || c->event == ABORT) && offered);
}

static void offer(struct conn_side *side, uint32_t tag)
{
	if (side->limit == tag)
		return;
	side->acked = side->limit;
	side->limit = tag;
}

// A COOKIE-ECHO of an association that is not the running one.
static bool restarts(const struct step *s, const struct chunks *c)
{
	const struct conn_side *peer = &s->conn->sides[!s->direction];
	return c->event == COOKIE_ECHO && step_state(s) != CONN_SCTP_HANDSHAKE &&
	       c->tag != peer->end && is_offered(peer, c->tag);
}

// The one who echoes has the other's tag from its INIT-ACK; its own is that of its INIT.
static void adopt(const struct step *s, const struct chunks *c)
{
	struct conn_side *us = &s->conn->sides[s->direction];
	struct conn_side *peer = &s->conn->sides[!s->direction];
	uint32_t own = us->limit;
	if (restarts(s, c)) {
		step_anew(s, s->direction);
		step_to(s, CONN_SCTP_HANDSHAKE);
		offer(us, own);
		offer(peer, c->tag);
	}
	// One that comes again says nothing new.
	if (step_state(s) == CONN_SCTP_HANDSHAKE && is_offered(peer, c->tag)) {
		peer->end = c->tag;
		us->end = own;
	}
}

static void begin(const struct step *s, const struct chunks *c)
{
	if (step_state(s) != CONN_FREE)
		step_anew(s, s->direction);
	offer(&s->conn->sides[s->direction], c->init);
	step_to(s, CONN_SCTP_HANDSHAKE);
}

static enum drop_reason act(const struct step *s, const struct chunks *c)
{
	struct conn_side *us = &s->conn->sides[s->direction];
	enum conn_state state = step_state(s);
	bool running = c->tag == s->conn->sides[!s->direction].end;
	switch ((enum action)actions[state - CONN_SCTP_HANDSHAKE][c->event]) {
	case STAY:
		break;
	case BEGIN:
		begin(s, c);
		break;
	case OFFER:
	case REPLY:
		offer(us, c->init);
		break;
	case ADOPT:
		adopt(s, c);
		break;
	case ESTABLISH:
		if (!running)
			return DROP_CONNECTION_INVALID;
		step_to(s, CONN_SCTP_ESTABLISHED);
		break;
	case CLOSING:
		step_to(s, CONN_SCTP_SHUTDOWN);
		break;
	case OVER:
		if (c->event == ABORT && state != CONN_SCTP_HANDSHAKE && !c->reflected && !running)
			break; // it refuses a restart
		step_to(s, CONN_SCTP_CLOSED);
		break;
	default:
		return DROP_CONNECTION_INVALID;
	}
	step_done(s);
	return DROP_NONE;
}

enum drop_reason sctp_first(const struct step *s)
{
	struct chunks c;
	if (!read_chunks(s->packet, &c) || c.event != INIT || c.tag)
		return DROP_CONNECTION_INVALID;
	begin(s, &c);
	step_done(s);
	return DROP_NONE;
}

// An INIT after the end, or the COOKIE-ECHO of a restart, which shows that the other end has
// answered its INIT.
static enum drop_reason begins(const struct step *s, const struct chunks *c)
{
	bool over = step_state(s) == CONN_SCTP_CLOSED && c->event == INIT && !c->tag;
	return over || restarts(s, c) ? TRACK_ANEW : DROP_NONE;
}

enum drop_reason sctp_begins(const struct step *s)
{
	struct chunks c;
	return read_chunks(s->packet, &c) ? begins(s, &c) : DROP_NONE;
}

enum drop_reason sctp_next(const struct step *s)
{
	struct chunks c;
	if (!read_chunks(s->packet, &c))
		return DROP_CONNECTION_INVALID;
	enum drop_reason anew = s->anew ? DROP_NONE : begins(s, &c);
	if (anew != DROP_NONE)
		return anew;
	return tag_fits(s, &c) ? act(s, &c) : DROP_CONNECTION_INVALID;
}

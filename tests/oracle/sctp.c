// SPDX-License-Identifier: BSD-3-Clause
// SCTP associations (RFC 9260), with right and wrong verification tags.
#include <netinet/in.h>
#include <string.h>

#include "tests/oracle/talk.h"

enum chunk {
	DATA = 0,
	INIT = 1,
	INIT_ACK = 2,
	SACK = 3,
	HEARTBEAT = 4,
	HEARTBEAT_ACK = 5,
	ABORT = 6,
	SHUTDOWN = 7,
	SHUTDOWN_ACK = 8,
	ERROR = 9,
	COOKIE_ECHO = 10,
	COOKIE_ACK = 11,
	SHUTDOWN_COMPLETE = 14,
	REFLECTED = 1 // flag T of ABORT and SHUTDOWN COMPLETE
};

struct association {
	struct talk *talk;
	uint32_t tags[SIDES]; // that the side has chosen
	unsigned client;
};

static const uint8_t kinds[] = {DATA, INIT, INIT_ACK, SACK, HEARTBEAT, HEARTBEAT_ACK, ABORT,
	SHUTDOWN, SHUTDOWN_ACK, ERROR, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE, 200};

static size_t chunk_len(uint8_t type)
{
	return type == INIT || type == INIT_ACK ? 20 : type == DATA || type == SACK ? 20 : 8;
}

static void send_chunk(struct association *a, unsigned side, uint8_t type, uint8_t flags,
	uint32_t tag, const char *label)
{
	struct talk *t = a->talk;
	uint8_t l4[12 + 20] = {0};
	size_t len = chunk_len(type);
	if (!talk_has_room(t))
		return;
	put16(l4, t->port[side]);
	put16(l4 + 2, t->port[!side]);
	put32(l4 + 4, tag);
	l4[12] = type;
	l4[13] = flags;
	put16(l4 + 14, (uint16_t)len);
	if (type == INIT || type == INIT_ACK) {
		put32(l4 + 16, a->tags[side]);
		put32(l4 + 20, 65536);
		put16(l4 + 24, 1);
		put16(l4 + 26, 1);
	}
	talk_add(t, side, IPPROTO_SCTP, l4, 12 + len, label);
}

static void send_right(struct association *a, unsigned side, uint8_t type, const char *label)
{
	send_chunk(a, side, type, 0, type == INIT ? 0 : a->tags[!side], label);
}

static void odd_chunk(struct association *a)
{
	struct talk *t = a->talk;
	unsigned side = rng_below(&t->rng, 2);
	uint8_t type = kinds[rng_below(&t->rng, sizeof(kinds))];
	static const char *const wrong[] = {[DATA] = "DATA with a wrong tag",
		[INIT] = "INIT with a tag",
		[INIT_ACK] = "INIT ACK with a wrong tag",
		[SACK] = "SACK with a wrong tag",
		[HEARTBEAT] = "HEARTBEAT with a wrong tag",
		[HEARTBEAT_ACK] = "HEARTBEAT ACK with a wrong tag",
		[ABORT] = "ABORT with a wrong tag",
		[SHUTDOWN] = "SHUTDOWN with a wrong tag",
		[SHUTDOWN_ACK] = "SHUTDOWN ACK with a wrong tag",
		[ERROR] = "ERROR with a wrong tag",
		[COOKIE_ECHO] = "COOKIE ECHO with a wrong tag",
		[COOKIE_ACK] = "COOKIE ACK with a wrong tag",
		[12] = "",
		[13] = "",
		[SHUTDOWN_COMPLETE] = "SHUTDOWN COMPLETE with a wrong tag"};
	static const char *const untimely[] = {[DATA] = "DATA at any time",
		[INIT] = "INIT at any time",
		[INIT_ACK] = "INIT ACK at any time",
		[SACK] = "SACK at any time",
		[HEARTBEAT] = "HEARTBEAT at any time",
		[HEARTBEAT_ACK] = "HEARTBEAT ACK at any time",
		[ABORT] = "ABORT at any time",
		[SHUTDOWN] = "SHUTDOWN at any time",
		[SHUTDOWN_ACK] = "SHUTDOWN ACK at any time",
		[ERROR] = "ERROR at any time",
		[COOKIE_ECHO] = "COOKIE ECHO at any time",
		[COOKIE_ACK] = "COOKIE ACK at any time",
		[12] = "",
		[13] = "",
		[SHUTDOWN_COMPLETE] = "SHUTDOWN COMPLETE at any time"};
	switch (rng_below(&t->rng, 4)) {
	case 0:
		send_chunk(a, side, type, 0, a->tags[!side] + 1,
			type > SHUTDOWN_COMPLETE ? "an unknown chunk with a wrong tag"
						 : wrong[type]);
		break;
	case 1:
		send_chunk(a, side, ABORT, REFLECTED, a->tags[side], "ABORT with its own tag");
		break;
	case 2:
		send_chunk(a, side, SHUTDOWN_COMPLETE, REFLECTED, a->tags[side],
			"SHUTDOWN COMPLETE with its own tag");
		break;
	default:
		send_right(a, side, type,
			type > SHUTDOWN_COMPLETE ? "an unknown chunk at any time" : untimely[type]);
	}
}

static void perhaps_odd(struct association *a, unsigned places)
{
	while (rng_one_in(&a->talk->rng, places) && talk_has_room(a->talk))
		odd_chunk(a);
	if (rng_one_in(&a->talk->rng, 30))
		talk_add_error(a->talk, rng_below(&a->talk->rng, 2));
}

static void short_packet(struct association *a, unsigned side)
{
	struct talk *t = a->talk;
	uint8_t l4[20] = {0};
	put16(l4, t->port[side]);
	put16(l4 + 2, t->port[!side]);
	put32(l4 + 4, a->tags[!side]);
	if (rng_one_in(&t->rng, 2)) {
		talk_add(t, side, IPPROTO_SCTP, l4, 12, "SCTP without a chunk");
	} else {
		l4[12] = DATA;
		talk_add(t, side, IPPROTO_SCTP, l4, 16, "a chunk of length 0");
	}
}

void sctp_talk(struct talk *t)
{
	unsigned client = rng_one_in(&t->rng, 3) ? SIDE_B : SIDE_A;
	struct association a = {.talk = t,
		.client = client,
		.tags = {(uint32_t)rng_next(&t->rng) | 1, (uint32_t)rng_next(&t->rng) | 1}};
	t->port[client] = (uint16_t)(1024 + (t->number >> 16));
	t->port[!client] = rng_one_in(&t->rng, 5) ? 6000 : 5000;
	perhaps_odd(&a, 12);
	send_right(&a, client, INIT, "INIT");
	t->phase = "INIT sent";
	perhaps_odd(&a, 12);
	send_right(&a, !client, INIT_ACK, "INIT ACK");
	t->phase = "INIT answered";
	perhaps_odd(&a, 12);
	send_right(&a, client, COOKIE_ECHO, "COOKIE ECHO");
	t->phase = "COOKIE ECHO sent";
	perhaps_odd(&a, 12);
	send_right(&a, !client, COOKIE_ACK, "COOKIE ACK");
	t->phase = "established";
	for (unsigned n = rng_below(&t->rng, 5); n; n--) {
		unsigned side = rng_below(&t->rng, 2);
		send_right(
			&a, side, rng_one_in(&t->rng, 4) ? HEARTBEAT : DATA, "DATA or HEARTBEAT");
		send_right(&a, !side, SACK, "SACK");
		perhaps_odd(&a, 6);
		if (rng_one_in(&t->rng, 20))
			short_packet(&a, side);
	}
	unsigned side = rng_below(&t->rng, 2);
	if (rng_one_in(&t->rng, 4)) {
		send_right(&a, side, ABORT, "ABORT");
		t->phase = "aborted";
	} else {
		send_right(&a, side, SHUTDOWN, "SHUTDOWN");
		t->phase = "SHUTDOWN sent";
		perhaps_odd(&a, 12);
		send_right(&a, !side, SHUTDOWN_ACK, "SHUTDOWN ACK");
		t->phase = "SHUTDOWN answered";
		perhaps_odd(&a, 12);
		send_right(&a, side, SHUTDOWN_COMPLETE, "SHUTDOWN COMPLETE");
		t->phase = "closed";
	}
	perhaps_odd(&a, 3);
	if (rng_one_in(&t->rng, 3)) {
		send_right(&a, client, INIT, "INIT once more");
		send_right(&a, !client, INIT_ACK, "INIT ACK once more");
	}
}

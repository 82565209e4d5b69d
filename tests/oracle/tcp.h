// SPDX-License-Identifier: BSD-3-Clause
// Both ends of a TCP conversation, as they would be if nothing were lost.
#ifndef WEIR_TESTS_ORACLE_TCP_H
#define WEIR_TESTS_ORACLE_TCP_H

#include "tests/oracle/talk.h"

enum {
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
	URG = 0x20,
	ECE = 0x40,
	CWR = 0x80,
};

struct tcp_end {
	uint32_t iss;
	uint32_t next;  // sequence number of its next segment
	uint32_t got;   // what it expects from the other
	uint32_t limit; // how far the other lets it send
	uint16_t window;
	uint8_t scale;
	bool offers_scale, offers_sack, offers_stamps; // in its SYN
	bool limited;                                  // the other has offered a window
};

struct tcp {
	struct talk *talk;
	struct rng *rng;
	unsigned client;
	bool scaled; // both have offered it
	struct tcp_end ends[SIDES];
};

struct segment {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t window;
	uint16_t len;
	uint32_t sack_from, sack_to; // a SACK block, where they differ
};

void tcp_init(struct tcp *c, struct talk *t);
// What the side would send next.
struct segment tcp_next(const struct tcp *c, unsigned side, uint8_t flags, uint16_t len);
// Sends it, whatever it is; the ends do not notice.
void tcp_emit(struct tcp *c, unsigned side, const struct segment *s, const char *label);
// Sends what is next, and both ends go on.
void tcp_send(struct tcp *c, unsigned side, uint8_t flags, uint16_t len, const char *label);
// Something odd from either side.
void tcp_odd(struct tcp *c);
// A segment with numbers near those that matter, or far, and any flags.
void tcp_random(struct tcp *c);
// The three segments; some conversations begin in other ways.
void tcp_open(struct tcp *c);

#endif

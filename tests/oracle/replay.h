// SPDX-License-Identifier: BSD-3-Clause
// What a talk's TCP conversation had come to before one of its segments, as far as both ways have
// let segments pass: of each end what it has sent, acknowledged and offered.
#ifndef WEIR_TESTS_ORACLE_REPLAY_H
#define WEIR_TESTS_ORACLE_REPLAY_H

#include "tests/oracle/talk.h"
#include "tests/oracle/tcp.h"

struct replay_end {
	bool syn, fin, sent, acked_any, limited, scales;
	uint8_t scale;
	uint32_t iss;
	uint32_t next;   // behind the highest that it has sent
	uint32_t acked;  // the highest that it has acknowledged
	uint32_t limit;  // as far as the other has let it send
	uint32_t widest; // window that it has offered
};

// One TCP segment, and the ends before it.
struct replayed {
	const struct talk *talk;
	const struct unit *unit;
	bool is_tcp;
	uint8_t flags;
	uint32_t seq, ack, end;
	uint16_t window;
	bool sack, stamps;
	struct replay_end us, peer;
	bool is_sctp;
	uint8_t chunk; // of SCTP, the first
	bool init;     // of SCTP, one has passed
	bool over;     // SCTP: its end has passed, and no COOKIE ECHO since
};

// Calls back for each unit of the talk in order.
typedef void replay_visit(const struct replayed *at, void *to);
void replay(const struct talk *t, replay_visit *visit, void *to);

#endif

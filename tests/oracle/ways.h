// SPDX-License-Identifier: BSD-3-Clause
// The two ways from side to side. A way takes packets of one side in order, and has told the board
// what arrived when it returns.
#ifndef WEIR_TESTS_ORACLE_WAYS_H
#define WEIR_TESTS_ORACLE_WAYS_H

#include "tests/oracle/talk.h"

enum {
	BATCH_MAX = 192, // with room in a ring for held fragments that come along
	ETHER_LEN = 14
};

struct batch {
	unsigned count;
	struct {
		const struct talk *talk;
		const struct step *step;
	} of[BATCH_MAX];
};

// Linux routes between two tap devices of these names, each with the MAC address 02:6f:72:00:00:0x,
// x being 1 for side A's and 2 for side B's.
void taps_open(const char *const names[SIDES]);
void taps_send(unsigned side, const struct batch *b);

// A running weir-switchd listens at the sockets of these ports.
void ports_open(const char *const sockets[SIDES]);
void ports_send(unsigned side, const struct batch *b);
void ports_close(void);

#endif

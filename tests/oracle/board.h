// SPDX-License-Identifier: BSD-3-Clause
// What has arrived, and which packet it was. Each packet of the talks that go on has a mark of its
// own, which arrives with it.
#ifndef WEIR_TESTS_ORACLE_BOARD_H
#define WEIR_TESTS_ORACLE_BOARD_H

#include "tests/oracle/talk.h"

struct board_counts {
	uint64_t strays[WAYS];  // of no talk that goes on, or from the wrong side
	uint64_t changed[WAYS]; // arrived other than it was sent
};

// A mark for a unit of the talk.
uint16_t board_mark(struct talk *t, unsigned unit);
// The talk has ended; its marks are free.
void board_release(struct talk *t);
// A packet, from its IP header on, that arrived at a side.
void board_arrived(unsigned way, unsigned side, const uint8_t *packet, size_t len);
const struct board_counts *board_counts(void);

#endif

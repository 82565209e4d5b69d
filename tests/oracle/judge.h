// SPDX-License-Identifier: BSD-3-Clause
// Compares the verdicts of a talk that has ended, and keeps account.
#ifndef WEIR_TESTS_ORACLE_JUDGE_H
#define WEIR_TESTS_ORACLE_JUDGE_H

#include "tests/oracle/talk.h"

// Why a difference is meant: a standard's words, or what makes it none.
struct justified {
	const char *why;
};

// The justification of a difference, or NULL.
const struct justified *justification(const struct talk *t, const struct unit *u);

// All there are, by number; NULL behind the last.
const struct justified *justification_at(unsigned i);

// Counts a talk's units and differences. Behind a talk's first difference the two ways have seen
// other conversations: further ones are consequences of it.
void judge(const struct talk *t);
// Prints classes of differences with an example each, and one line of JSON. Whether all is well.
bool judge_report(uint64_t seed, uint64_t packets, bool verbose);

// Prints a talk's packets and what became of them.
void talk_print(const struct talk *t, unsigned last_unit);

#endif

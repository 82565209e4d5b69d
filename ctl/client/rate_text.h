// SPDX-License-Identifier: BSD-3-Clause
// Large numbers for people, in the unit that keeps them short: "199.8Mbit", "1.5ms".
#ifndef WEIR_CTL_CLIENT_RATE_TEXT_H
#define WEIR_CTL_CLIENT_RATE_TEXT_H

#include <stdint.h>

enum rate_unit {
	RATE_UNIT_BITS,    // per second
	RATE_UNIT_PACKETS, // per second
	RATE_UNIT_BYTES,
	RATE_UNIT_NS
};

enum {
	RATE_TEXT_SIZE = 32,
	RATE_DIGITS = 4,        // of what was measured
	RATE_DIGITS_EXACT = 12, // of what was set
};

// Rounded to so many digits, 1 to 15.
void rate_text(uint64_t value, enum rate_unit unit, int digits, char text[RATE_TEXT_SIZE]);

#endif

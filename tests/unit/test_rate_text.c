// SPDX-License-Identifier: BSD-3-Clause
// Speeds, sizes and times for people.
#include <criterion/criterion.h>

#include "ctl/client/rate_text.h"

Test(rate_text, the_unit_keeps_it_short)
{
	static const struct {
		uint64_t value;
		enum rate_unit unit;
		int digits;
		const char *text;
	} cases[] = {
		{0, RATE_UNIT_BITS, RATE_DIGITS, "0bit"},
		{999, RATE_UNIT_BITS, RATE_DIGITS, "999bit"},
		{1000, RATE_UNIT_BITS, RATE_DIGITS, "1kbit"},
		{199840123, RATE_UNIT_BITS, RATE_DIGITS, "199.8Mbit"},
		{199840123, RATE_UNIT_BITS, RATE_DIGITS_EXACT, "199.840123Mbit"},
		{1500000000, RATE_UNIT_BITS, RATE_DIGITS_EXACT, "1.5Gbit"},
		{400000000000, RATE_UNIT_BITS, RATE_DIGITS_EXACT, "400Gbit"},
		{999999999, RATE_UNIT_BITS, RATE_DIGITS, "1000Mbit"},
		{UINT64_MAX, RATE_UNIT_BITS, RATE_DIGITS, "18446744Tbit"},
		{500000, RATE_UNIT_PACKETS, RATE_DIGITS, "500kpps"},
		{14880952, RATE_UNIT_PACKETS, RATE_DIGITS, "14.88Mpps"},
		{1023, RATE_UNIT_BYTES, RATE_DIGITS, "1023B"},
		{65536, RATE_UNIT_BYTES, RATE_DIGITS, "64KiB"},
		{1536 << 10, RATE_UNIT_BYTES, RATE_DIGITS, "1.5MiB"},
		{0, RATE_UNIT_NS, RATE_DIGITS, "0ns"},
		{1500000, RATE_UNIT_NS, RATE_DIGITS, "1.5ms"},
		{90000000000, RATE_UNIT_NS, RATE_DIGITS, "1.5min"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[RATE_TEXT_SIZE];
		rate_text(cases[i].value, cases[i].unit, cases[i].digits, text);
		cr_expect_str_eq(text, cases[i].text);
	}
}

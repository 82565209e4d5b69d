// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/rate_text.h"

#include <stdio.h>

struct unit {
	const char *name;
	double scale; // 0 ends the list
};

// Each from small to large, as the configuration writes them.
static const struct unit units[][7] = {
	[RATE_UNIT_BITS] = {{"bit", 1}, {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9},
		{"Tbit", 1e12}},
	[RATE_UNIT_PACKETS] = {{"pps", 1}, {"kpps", 1e3}, {"Mpps", 1e6}, {"Gpps", 1e9}},
	[RATE_UNIT_BYTES] = {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
		{"TiB", 1ll << 40}},
	[RATE_UNIT_NS] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9},
		{"h", 3600e9}},
};

void rate_text(uint64_t value, enum rate_unit unit, int digits, char text[RATE_TEXT_SIZE])
{
	const struct unit *best = units[unit];
	while (best[1].scale > 0 && (double)value >= best[1].scale)
		best++;
	double scaled = (double)value / best->scale;
	// Beyond 9999 of the largest unit: no exponent.
	if (scaled >= 1e4)
		snprintf(text, RATE_TEXT_SIZE, "%.0f%s", scaled, best->name);
	else
		snprintf(text, RATE_TEXT_SIZE, "%.*g%s", digits, scaled, best->name);
}

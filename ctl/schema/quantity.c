// SPDX-License-Identifier: BSD-3-Clause
// Numbers with units. Decimal fractions are exact (`1.5Gbit`); what is not a whole number of the
// smallest unit is refused rather than rounded.
#include "ctl/schema/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t scale;
};

#define THOUSAND 1000ull
#define MILLION  1000000ull
#define BILLION  1000000000ull

// Each from small to large.
static const struct unit durations[] = {{"ns", 1}, {"us", THOUSAND}, {"ms", MILLION},
	{"s", BILLION}, {"min", 60 * BILLION}, {"h", 3600 * BILLION}, {"d", 86400 * BILLION}, {0}};
static const struct unit sizes[] = {
	{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1ull << 40}, {0}};
static const struct unit bits[] = {{"bit", 1}, {"kbit", THOUSAND}, {"Mbit", MILLION},
	{"Gbit", BILLION}, {"Tbit", THOUSAND *BILLION}, {0}};
static const struct unit packets[] = {
	{"pps", 1}, {"kpps", THOUSAND}, {"Mpps", MILLION}, {"Gpps", BILLION}, {0}};
static const struct unit conns[] = {{"cps", 1}, {"kcps", THOUSAND}, {"Mcps", MILLION}, {0}};

static const struct quantity {
	const char *noun;
	const char *example;
	const struct unit *units;
} quantities[] = {
	[TYPE_DURATION] = {"duration", "300s", durations},
	[TYPE_SIZE] = {"size", "64KiB", sizes},
	[TYPE_BITS] = {"bit rate", "200Mbit", bits},
	[TYPE_PACKETS] = {"packet rate", "100kpps", packets},
	[TYPE_CONNS] = {"connection rate", "5kcps", conns},
};

// "12.50" is 1250 and 2 digits after the point.
static const char *decimal_parse(const char *text, uint64_t *digits, unsigned *fraction)
{
	bool point = false;
	*digits = 0;
	*fraction = 0;
	if (*text < '0' || *text > '9')
		return NULL;
	for (;; text++) {
		if (*text == '.' && !point && text[1] >= '0' && text[1] <= '9') {
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9')
			return text;
		if (__builtin_mul_overflow(*digits, 10, digits) ||
			__builtin_add_overflow(*digits, (uint64_t)(*text - '0'), digits))
			return NULL;
		*fraction += point;
	}
}

bool quantity_parse(enum key_type type, const char *text, uint64_t *out)
{
	uint64_t digits;
	unsigned fraction;
	const char *name = decimal_parse(text, &digits, &fraction);
	if (!name)
		return false;
	for (const struct unit *unit = quantities[type].units; unit->name; unit++) {
		if (strcmp(name, unit->name) != 0)
			continue;
		unsigned __int128 value = (unsigned __int128)digits * unit->scale;
		for (; fraction && value % 10 == 0; fraction--)
			value /= 10;
		*out = (uint64_t)value;
		return !fraction && value == *out;
	}
	return false;
}

void quantity_print(enum key_type type, uint64_t value, char *buf, size_t size)
{
	const struct unit *best = quantities[type].units;
	for (const struct unit *unit = best; unit->name; unit++) {
		if (value && value % unit->scale == 0)
			best = unit;
	}
	if (!value && type == TYPE_DURATION)
		best = &durations[3]; // "0s" reads better than "0ns"
	snprintf(buf, size, "%" PRIu64 "%s", value / best->scale, best->name);
}

void quantity_round(enum key_type type, uint64_t value, int digits, char *buf, size_t size)
{
	const struct unit *best = quantities[type].units;
	while (best[1].name && value >= best[1].scale)
		best++;
	double scaled = (double)value / (double)best->scale;
	// Beyond 9999 of the largest unit: no exponent.
	if (scaled >= 9999.5)
		snprintf(buf, size, "%.0f%s", scaled, best->name);
	else
		snprintf(buf, size, "%.*g%s", digits, scaled, best->name);
}

const char *quantity_noun(enum key_type type)
{
	return quantities[type].noun;
}

const char *quantity_example(enum key_type type)
{
	return quantities[type].example;
}

const char *quantity_units(enum key_type type, char *buf, size_t size)
{
	size_t used = 0;
	buf[0] = '\0';
	for (const struct unit *unit = quantities[type].units; unit->name && used < size; unit++)
		used += snprintf(buf + used, size - used, "%s`%s`", used ? ", " : "", unit->name);
	return buf;
}

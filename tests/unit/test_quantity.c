// SPDX-License-Identifier: BSD-3-Clause
// Numbers with units: as they are written, and as people are told of speeds, sizes and times.
#include <criterion/criterion.h>

#include "ctl/schema/quantity.h"

Test(quantity, what_is_written)
{
	static const struct {
		enum key_type type;
		const char *text;
		bool valid;
		uint64_t value;
		const char *printed;
	} cases[] = {
		{TYPE_DURATION, "300s", true, 300000000000, "5min"},
		{TYPE_DURATION, "100ms", true, 100000000, "100ms"},
		{TYPE_DURATION, "0d", true, 0, "0s"},
		{TYPE_DURATION, "1.5ns", false, 0, NULL},
		{TYPE_DURATION, "1.50us", true, 1500, "1500ns"},
		{TYPE_DURATION, "1M", false, 0, NULL},
		{TYPE_SIZE, "64KiB", true, 65536, "64KiB"},
		{TYPE_SIZE, "0.5KiB", true, 512, "512B"},
		{TYPE_SIZE, "16777215.999999TiB", false, 0, NULL},
		{TYPE_SIZE, "16777216TiB", false, 0, NULL},
		{TYPE_SIZE, "18446744073709551615B", true, UINT64_MAX, "18446744073709551615B"},
		{TYPE_SIZE, "18446744073709551616B", false, 0, NULL},
		{TYPE_SIZE, "64KB", false, 0, NULL},
		{TYPE_SIZE, "64", false, 0, NULL},
		{TYPE_BITS, "1.5Gbit", true, 1500000000, "1500Mbit"},
		{TYPE_BITS, "200Mbit", true, 200000000, "200Mbit"},
		{TYPE_BITS, "1gbit", false, 0, NULL},
		{TYPE_BITS, ".5Gbit", false, 0, NULL},
		{TYPE_BITS, "5.Gbit", false, 0, NULL},
		{TYPE_BITS, "1.2.3Gbit", false, 0, NULL},
		{TYPE_PACKETS, "100kpps", true, 100000, "100kpps"},
		{TYPE_PACKETS, "14.88Mpps", true, 14880000, "14880kpps"},
		{TYPE_CONNS, "1.5kcps", true, 1500, "1500cps"},
		{TYPE_CONNS, "2Mcps", true, 2000000, "2Mcps"},
		{TYPE_CONNS, "5", false, 0, NULL},
		{TYPE_PACKETS, "", false, 0, NULL},
		{TYPE_PACKETS, "+1pps", false, 0, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char printed[64];
		uint64_t value = 0;
		bool valid = quantity_parse(cases[i].type, cases[i].text, &value);
		cr_expect_eq(valid, cases[i].valid, "%s", cases[i].text);
		if (!valid || !cases[i].valid)
			continue;
		cr_expect_eq(value, cases[i].value, "%s is %lu", cases[i].text, value);
		quantity_print(cases[i].type, value, printed, sizeof(printed));
		cr_expect_str_eq(printed, cases[i].printed);
	}
}

Test(quantity, rounded_the_unit_keeps_it_short)
{
	static const struct {
		uint64_t value;
		enum key_type type;
		int digits;
		const char *text;
	} cases[] = {
		{0, TYPE_BITS, 4, "0bit"},
		{999, TYPE_BITS, 4, "999bit"},
		{1000, TYPE_BITS, 4, "1kbit"},
		{199840123, TYPE_BITS, 4, "199.8Mbit"},
		{199840123, TYPE_BITS, 12, "199.840123Mbit"},
		{1500000000, TYPE_BITS, 12, "1.5Gbit"},
		{400000000000, TYPE_BITS, 12, "400Gbit"},
		{999999999, TYPE_BITS, 4, "1000Mbit"},
		{9999400000000000, TYPE_BITS, 4, "9999Tbit"},
		{9999700000000000, TYPE_BITS, 4, "10000Tbit"},
		{UINT64_MAX, TYPE_BITS, 4, "18446744Tbit"},
		{500000, TYPE_PACKETS, 4, "500kpps"},
		{14880952, TYPE_PACKETS, 4, "14.88Mpps"},
		{1023, TYPE_SIZE, 4, "1023B"},
		{65536, TYPE_SIZE, 4, "64KiB"},
		{1536 << 10, TYPE_SIZE, 4, "1.5MiB"},
		{0, TYPE_DURATION, 4, "0ns"},
		{1500000, TYPE_DURATION, 4, "1.5ms"},
		{90000000000, TYPE_DURATION, 4, "1.5min"},
		{129600000000000, TYPE_DURATION, 4, "1.5d"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[32];
		quantity_round(cases[i].type, cases[i].value, cases[i].digits, text, sizeof(text));
		cr_expect_str_eq(text, cases[i].text);
	}
}

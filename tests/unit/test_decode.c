// SPDX-License-Identifier: BSD-3-Clause
// Headers in words, whole and cut after each byte; hexadecimal digits that are none.
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/client/decode.h"

// clang-format off
#define MACS      "ffffffffffff525400000001"
#define MACS_TEXT "52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff"
#define IPV4(fragment, protocol) \
	"0800" "45000030" "0001" fragment "40" protocol "0000" "0a000001" "0a000002"
#define IPV4_TEXT " ipv4 10.0.0.1 > 10.0.0.2"
#define IPV6(next) \
	"86dd" "60000000" "0020" next "ff" "fd000000000000000000000000000001" \
	"ff0200000000000000000001ff000002"
#define IPV6_TEXT " ipv6 fd00::1 > ff02::1:ff00:2"

static const struct {
	const char *hex;
	const char *text;
} frames[] = {
	{MACS "8100" "000a" IPV4("0000", "11") "00440043",
		MACS_TEXT " vlan 10" IPV4_TEXT " udp 68 > 67"},
	{MACS IPV4("4000", "06") "c3500050", MACS_TEXT IPV4_TEXT " tcp 50000 > 80"},
	{MACS IPV4("0000", "84") "00010002", MACS_TEXT IPV4_TEXT " sctp 1 > 2"},
	{MACS IPV4("0000", "01") "0800", MACS_TEXT IPV4_TEXT " icmp type 8 code 0"},
	{MACS IPV4("0000", "2f"), MACS_TEXT IPV4_TEXT " protocol 47"},
	// RFC 791: more fragments, and one behind the first, which has no ports.
	{MACS IPV4("2000", "11") "00350035", MACS_TEXT IPV4_TEXT " fragment at 0 udp 53 > 53"},
	{MACS IPV4("00b9", "11") "00350035", MACS_TEXT IPV4_TEXT " fragment at 1480 protocol 17"},
	{MACS "0800" "46000034" "00000000" "40060000" "0a000001" "0a000002" "01010101" "00010002",
		MACS_TEXT IPV4_TEXT " tcp 1 > 2"},
	{MACS "0800" "44000034" "00000000" "40060000" "0a000001" "0a000002",
		MACS_TEXT IPV4_TEXT " bad header"},
	{MACS "88a8" "0064" "8100" "c00a" IPV6("06") "00160017",
		MACS_TEXT " vlan 100 vlan 10" IPV6_TEXT " tcp 22 > 23"},
	{MACS IPV6("3a") "8700" "0000" "00000000" "fd000000000000000000000000000002",
		MACS_TEXT IPV6_TEXT " icmpv6 type 135 code 0 target fd00::2"},
	{MACS IPV6("3a") "8000", MACS_TEXT IPV6_TEXT " icmpv6 type 128 code 0"},
	{MACS IPV6("2c"), MACS_TEXT IPV6_TEXT " protocol 44"},
	// RFC 3810: a report of multicast listeners has a hop-by-hop option; RFC 8200, 4.4 and 4.6.
	{MACS IPV6("00") "3a00050200000100" "8f00", MACS_TEXT IPV6_TEXT " icmpv6 type 143 code 0"},
	{MACS IPV6("2b") "3c01000000000000" "0000000000000000" "1100000000000000" "00350036",
		MACS_TEXT IPV6_TEXT " udp 53 > 54"},
	{MACS IPV6("00") "3aff050200000100", MACS_TEXT IPV6_TEXT " ..."},
	{MACS "0806" "0001" "0800" "0604" "0001" "525400000001" "0a000001" "000000000000" "0a000002",
		MACS_TEXT " arp who has 10.0.0.2, tell 10.0.0.1"},
	{MACS "0806" "0001" "0800" "0604" "0002" "525400000001" "0a000001" "525400000002" "0a000002",
		MACS_TEXT " arp 10.0.0.1 is at 52:54:00:00:00:01"},
	{MACS "0806" "0006" "0800" "0604" "0002" "525400000001" "0a000001" "525400000002" "0a000002",
		MACS_TEXT " arp of another kind"},
	{MACS "88b5" "0000", MACS_TEXT " type 0x88b5"},
	{MACS "0026" "424203", MACS_TEXT " length 38"},
	// Three tags: only two are taken off.
	{MACS "8100" "0001" "8100" "0002" "8100" "0003" "0800", MACS_TEXT " vlan 1 vlan 2 type 0x8100"},
	{MACS "08", " ..."},
	{"", " ..."},
};
// clang-format on

Test(decode, frames)
{
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		char text[DECODE_TEXT_SIZE];
		decode_hex(frames[i].hex, text, sizeof(text));
		cr_expect_str_eq(text, frames[i].text);
	}
}

static size_t from_hex(const char *hex, uint8_t *data)
{
	size_t len = strlen(hex) / 2;
	for (size_t i = 0; i < len; i++) {
		char pair[] = {hex[2 * i], hex[2 * i + 1], 0};
		data[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return len;
}

// Each frame cut after each byte, in memory of just that size, for the sanitizer; and what is said
// of a part is the start of what is said of the whole, or ends with three points.
Test(decode, cut_anywhere)
{
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		uint8_t whole[DECODE_BYTES_MAX];
		size_t len = from_hex(frames[i].hex, whole);
		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t *part = malloc(cut ? cut : 1);
			char text[DECODE_TEXT_SIZE];
			memcpy(part, whole, cut);
			decode_frame(part, cut, text, sizeof(text));
			free(part);
			size_t n = strlen(text);
			bool points = n >= 4 && !strcmp(text + n - 4, " ...");
			cr_expect(points || !strcmp(text, frames[i].text), "%s: %s", frames[i].hex,
				text);
		}
	}
}

Test(decode, a_small_text_is_cut)
{
	for (size_t size = 1; size < 80; size++) {
		char *text = malloc(size);
		decode_hex(frames[0].hex, text, size);
		cr_expect_eq(strlen(text), size - 1);
		cr_expect(!strncmp(text, frames[0].text, size - 1));
		free(text);
	}
}

// The control protocol's answer is another program's: what is no digit ends the frame, and so does
// the decoder's own limit.
Test(decode, digits_that_are_none)
{
	char text[DECODE_TEXT_SIZE], longer[4 * DECODE_BYTES_MAX + 1];
	decode_hex(MACS "88b5zz", text, sizeof(text));
	cr_expect_str_eq(text, MACS_TEXT " type 0x88b5");
	decode_hex(MACS "88b", text, sizeof(text));
	cr_expect_str_eq(text, " ...");
	memset(longer, 'f', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	decode_hex(longer, text, sizeof(text));
	cr_expect_str_eq(text, "ff:ff:ff:ff:ff:ff > ff:ff:ff:ff:ff:ff type 0xffff");
}

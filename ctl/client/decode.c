// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/decode.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	ETHER_VLAN = 0x8100,
	ETHER_QINQ = 0x88a8,
	ETHER_ARP = 0x0806,
	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	ETHER_TYPE_MIN = 0x600, // below it is a length (IEEE 802.3)
	TAGS_MAX = 2,
	EXTENSIONS_MAX = 8,
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	ARP_IPV4 = 28,
	NEIGHBOUR_SOLICITATION = 135,
	NEIGHBOUR_ADVERTISEMENT = 136,
};

// What is left of the frame, and the line so far.
struct decoder {
	const uint8_t *data;
	size_t len;
	char *text;
	size_t size;
	size_t used;
};

static void __attribute__((format(printf, 2, 3))) say(struct decoder *d, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(d->text + d->used, d->size - d->used, fmt, args);
	va_end(args);
	size_t room = d->size - d->used - 1;
	d->used += (size_t)n < room ? (size_t)n : room;
}

// The next n bytes; NULL, and said so, where the header is cut.
static const uint8_t *take(struct decoder *d, size_t n)
{
	const uint8_t *at = d->data;
	if (d->len < n) {
		say(d, " ...");
		d->len = 0;
		return NULL;
	}
	d->data += n;
	d->len -= n;
	return at;
}

static unsigned u16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void say_mac(struct decoder *d, const uint8_t *mac)
{
	say(d, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void say_address(struct decoder *d, int family, const uint8_t *address)
{
	char text[INET6_ADDRSTRLEN];
	say(d, "%s", inet_ntop(family, address, text, sizeof(text)));
}

static void say_ports(struct decoder *d, const char *name)
{
	say(d, " %s", name);
	const uint8_t *ports = take(d, 4);
	if (ports)
		say(d, " %u > %u", u16(ports), u16(ports + 2));
}

static void say_icmp(struct decoder *d, const char *name, bool v6)
{
	say(d, " %s", name);
	const uint8_t *head = take(d, 2);
	if (!head)
		return;
	say(d, " type %u code %u", head[0], head[1]);
	if (!v6 || (head[0] != NEIGHBOUR_SOLICITATION && head[0] != NEIGHBOUR_ADVERTISEMENT))
		return;
	say(d, " target ");
	const uint8_t *rest = take(d, 22); // checksum, four bytes that mean nothing here, target
	if (rest)
		say_address(d, AF_INET6, rest + 6);
}

static void say_l4(struct decoder *d, unsigned protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		say_ports(d, "tcp");
		break;
	case IPPROTO_UDP:
		say_ports(d, "udp");
		break;
	case IPPROTO_SCTP:
		say_ports(d, "sctp");
		break;
	case IPPROTO_ICMP:
		say_icmp(d, "icmp", false);
		break;
	case IPPROTO_ICMPV6:
		say_icmp(d, "icmpv6", true);
		break;
	default:
		say(d, " protocol %u", protocol);
	}
}

static void say_ipv4(struct decoder *d)
{
	say(d, " ipv4 ");
	const uint8_t *head = take(d, IPV4_HEADER);
	if (!head)
		return;
	say_address(d, AF_INET, head + 12);
	say(d, " > ");
	say_address(d, AF_INET, head + 16);
	unsigned header_len = (head[0] & 15) * 4u, fragment = u16(head + 6);
	if (head[0] >> 4 != 4 || header_len < IPV4_HEADER) {
		say(d, " bad header");
		return;
	}
	if (fragment & 0x3fff)
		say(d, " fragment at %u", (fragment & 0x1fff) * 8);
	if (fragment & 0x1fff)
		say(d, " protocol %u", head[9]);
	else if (take(d, header_len - IPV4_HEADER))
		say_l4(d, head[9]);
}

// Those of RFC 8200 that have their length in their second byte, and whose contents say nothing
// here.
static bool is_extension(unsigned next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

static void say_ipv6(struct decoder *d)
{
	say(d, " ipv6 ");
	const uint8_t *head = take(d, IPV6_HEADER);
	if (!head)
		return;
	say_address(d, AF_INET6, head + 8);
	say(d, " > ");
	say_address(d, AF_INET6, head + 24);
	if (head[0] >> 4 != 6) {
		say(d, " bad header");
		return;
	}
	unsigned next = head[6];
	for (unsigned i = 0; i < EXTENSIONS_MAX && is_extension(next); i++) {
		const uint8_t *extension = take(d, 2);
		if (!extension || !take(d, extension[1] * 8u + 6))
			return;
		next = extension[0];
	}
	say_l4(d, next);
}

static void say_arp(struct decoder *d)
{
	static const uint8_t over_ethernet[] = {0, 1, 8, 0, 6, 4};
	say(d, " arp ");
	const uint8_t *head = take(d, ARP_IPV4);
	if (!head)
		return;
	if (memcmp(head, over_ethernet, sizeof(over_ethernet))) {
		say(d, "of another kind");
		return;
	}
	bool asks = u16(head + 6) == 1;
	if (asks)
		say(d, "who has ");
	say_address(d, AF_INET, asks ? head + 24 : head + 14);
	say(d, "%s", asks ? ", tell " : " is at ");
	if (asks)
		say_address(d, AF_INET, head + 14);
	else
		say_mac(d, head + 8);
}

static void say_payload(struct decoder *d, unsigned type)
{
	if (type == ETHER_IPV4)
		say_ipv4(d);
	else if (type == ETHER_IPV6)
		say_ipv6(d);
	else if (type == ETHER_ARP)
		say_arp(d);
	else if (type < ETHER_TYPE_MIN)
		say(d, " length %u", type);
	else
		say(d, " type 0x%04x", type);
}

void decode_frame(const uint8_t *data, size_t len, char *text, size_t size)
{
	struct decoder d = {.data = data, .len = len, .text = text, .size = size};
	text[0] = 0;
	const uint8_t *head = take(&d, 14);
	if (!head)
		return;
	say_mac(&d, head + 6);
	say(&d, " > ");
	say_mac(&d, head);
	unsigned type = u16(head + 12);
	for (unsigned i = 0; i < TAGS_MAX && (type == ETHER_VLAN || type == ETHER_QINQ); i++) {
		say(&d, " vlan");
		const uint8_t *tag = take(&d, 4);
		if (!tag)
			return;
		say(&d, " %u", u16(tag) & 0xfff);
		type = u16(tag + 2);
	}
	say_payload(&d, type);
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

void decode_hex(const char *hex, char *text, size_t size)
{
	uint8_t data[DECODE_BYTES_MAX];
	size_t len = 0;
	while (len < sizeof(data)) {
		int high = digit(hex[0]);
		int low = high < 0 ? -1 : digit(hex[1]);
		if (low < 0)
			break;
		data[len++] = (uint8_t)(high << 4 | low);
		hex += 2;
	}
	decode_frame(data, len, text, size);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "vm-images/nf/ids/payload.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "base/bytes.h"

enum {
	VLAN_TAG = 4,
	TAGS_MAX = 2,
	ETHERTYPE_QINQ = 0x88a8,
	IP4_HEADER = 20,
	IP4_OFFSET_MASK = 0x1fff,
	IP6_HEADER = 40,
	IP6_EXTENSION = 8,
	IP6_EXTENSIONS_MAX = 8,
	IP6_OFFSET_MASK = 0xfff8,
	TCP_HEADER = 20,
	UDP_HEADER = 8,
};

struct cursor {
	const uint8_t *frame;
	size_t length, at;
};

static bool has(const struct cursor *c, size_t count)
{
	return c->length - c->at >= count;
}

static const uint8_t *here(const struct cursor *c)
{
	return c->frame + c->at;
}

static uint16_t skip_tags(struct cursor *c)
{
	uint16_t type = load16(here(c) - 2);
	for (unsigned i = 0; i < TAGS_MAX; i++) {
		if ((type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ) || !has(c, VLAN_TAG))
			break;
		type = load16(here(c) + 2);
		c->at += VLAN_TAG;
	}
	return type;
}

// What follows the header, or -1 for nothing that has a header here.
static int skip_ip4(struct cursor *c)
{
	if (!has(c, IP4_HEADER) || here(c)[0] >> 4 != 4)
		return -1;
	size_t length = (here(c)[0] & 15u) * 4;
	if (length < IP4_HEADER || !has(c, length))
		return -1;
	bool is_first = !(load16(here(c) + 6) & IP4_OFFSET_MASK);
	int protocol = here(c)[9];
	c->at += length;
	return is_first ? protocol : -1;
}

static int skip_ip6(struct cursor *c)
{
	if (!has(c, IP6_HEADER) || here(c)[0] >> 4 != 6)
		return -1;
	int next = here(c)[6];
	c->at += IP6_HEADER;
	for (unsigned i = 0; i < IP6_EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
			next != IPPROTO_FRAGMENT)
			return next;
		if (!has(c, IP6_EXTENSION))
			return -1;
		bool is_fragment = next == IPPROTO_FRAGMENT;
		size_t length = is_fragment ? IP6_EXTENSION : (here(c)[1] + 1u) * 8;
		bool is_first = !is_fragment || !(load16(here(c) + 2) & IP6_OFFSET_MASK);
		if (!has(c, length))
			return -1;
		next = here(c)[0];
		c->at += length;
		if (!is_first)
			return -1;
	}
	return -1;
}

static void skip_l4(struct cursor *c, int protocol)
{
	size_t length = 0;
	if (protocol == IPPROTO_UDP)
		length = UDP_HEADER;
	else if (protocol == IPPROTO_TCP && has(c, TCP_HEADER))
		length = (here(c)[12] >> 4) * 4u;
	if (protocol == IPPROTO_TCP && length < TCP_HEADER)
		return;
	if (has(c, length))
		c->at += length;
}

size_t payload_offset(const uint8_t *frame, size_t length)
{
	struct cursor c = {frame, length, ETHER_HDR_LEN};
	if (length < ETHER_HDR_LEN)
		return length;
	uint16_t type = skip_tags(&c);
	int protocol = type == ETHERTYPE_IP     ? skip_ip4(&c)
		       : type == ETHERTYPE_IPV6 ? skip_ip6(&c)
						: -1;
	skip_l4(&c, protocol);
	return c.at;
}

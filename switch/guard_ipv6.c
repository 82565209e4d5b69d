// SPDX-License-Identifier: BSD-3-Clause
// IPv6, and neighbour discovery in it.
#include "switch/guard_private.h"

#include <netinet/in.h>

enum {
	DHCP6_CLIENT_PORT = 546
};

// ICMPv6 types (RFC 4861, 2710, 3810).
enum {
	MLD_REPORT = 131,
	MLD_DONE = 132,
	ROUTER_SOLICITATION = 133,
	ROUTER_ADVERTISEMENT = 134,
	NEIGHBOUR_SOLICITATION = 135,
	NEIGHBOUR_ADVERTISEMENT = 136,
	REDIRECT = 137,
	MLD2_REPORT = 143,
};

static bool has_v6(const struct guard *g, const uint8_t *address)
{
	uint64_t high = raw64(address), low = raw64(address + 8);
	for (unsigned i = 0; i < g->nv6; i++)
		if ((high & g->v6[i].mask[0]) == g->v6[i].network[0] &&
			(low & g->v6[i].mask[1]) == g->v6[i].network[1])
			return true;
	return !g->link_local_listed && is_link_local_v6(address);
}

static bool is_unspecified_v6(const uint8_t *address)
{
	return !(raw64(address) | raw64(address + 8));
}

// Bytes before the options; 0: no neighbour discovery.
static uint32_t nd_len(uint8_t type)
{
	switch (type) {
	case ROUTER_SOLICITATION:
		return 8;
	case ROUTER_ADVERTISEMENT:
		return 16;
	case NEIGHBOUR_SOLICITATION:
	case NEIGHBOUR_ADVERTISEMENT:
		return 24;
	case REDIRECT:
		return 40;
	default:
		return 0;
	}
}

static enum drop_reason check_nd_options(
	const struct guard *g, const struct packet *p, uint32_t off, uint32_t end)
{
	enum {
		SOURCE_LINK_LAYER = 1,
		TARGET_LINK_LAYER = 2
	};
	if (end > p->head_len)
		return DROP_ADDRESSES_HIDDEN;
	while (off < end) {
		const uint8_t *option = p->data + off;
		uint32_t len = end - off >= 8 ? option[1] * 8u : 0;
		// Length 0 makes the whole message void (RFC 4861, 4.6).
		if (!len || len > end - off)
			return DROP_SPOOFED_ND;
		if ((option[0] == SOURCE_LINK_LAYER || option[0] == TARGET_LINK_LAYER) &&
			mac_at(option + 2) != g->mac)
			return DROP_SPOOFED_ND;
		off += len;
	}
	return DROP_NONE;
}

static enum drop_reason check_nd_target(
	const struct guard *g, const struct packet *p, const uint8_t *icmp)
{
	const uint8_t *target = icmp + 8;
	switch (icmp[0]) {
	case ROUTER_ADVERTISEMENT:
		return DROP_ROUTER_ADVERTISEMENT;
	case REDIRECT:
		return DROP_SPOOFED_ND;
	case NEIGHBOUR_SOLICITATION:
		if (!is_unspecified_v6(p->data + p->l3_off + 8))
			return DROP_NONE;
		return has_v6(g, target) ? DROP_NONE : DROP_SPOOFED_ND;
	case NEIGHBOUR_ADVERTISEMENT:
		return has_v6(g, target) ? DROP_NONE : DROP_SPOOFED_ND;
	default:
		return DROP_NONE;
	}
}

static enum drop_reason check_icmp6(const struct guard *g, const struct packet *p)
{
	const uint8_t *icmp = l4_header(p, 4);
	if (!icmp)
		return DROP_ADDRESSES_HIDDEN;
	uint32_t len = nd_len(icmp[0]);
	if (!len)
		return DROP_NONE;
	if (p->flags & PACKET_FRAGMENT)
		return DROP_SPOOFED_ND;
	if (!l4_header(p, len))
		return DROP_ADDRESSES_HIDDEN;
	enum drop_reason reason = g->ips ? check_nd_target(g, p, icmp) : DROP_NONE;
	if (reason == DROP_NONE && g->mac)
		reason = check_nd_options(g, p, p->l4_off + len, ip_end(p));
	return reason;
}

// `::`, to look for routers or for a double of an own address, or to report a group.
static bool is_configuring_v6(const struct packet *p)
{
	const uint8_t *icmp = p->l4_proto == IPPROTO_ICMPV6 ? l4_header(p, 4) : NULL;
	if (!icmp || p->flags & PACKET_FRAGMENT || !is_unspecified_v6(p->data + p->l3_off + 8))
		return false;
	return icmp[0] == NEIGHBOUR_SOLICITATION || icmp[0] == ROUTER_SOLICITATION ||
	       icmp[0] == MLD_REPORT || icmp[0] == MLD_DONE || icmp[0] == MLD2_REPORT;
}

// Where parsing has stopped at one: behind the stash, or at the ninth.
static bool is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_DSTOPTS || proto == IPPROTO_AH;
}

enum drop_reason guard_check_ipv6(const struct guard *g, const struct packet *p)
{
	bool later = p->flags & PACKET_LATER_FRAGMENT;
	if (!later && is_extension(p->l4_proto))
		return DROP_ADDRESSES_HIDDEN;
	if (g->ips && !has_v6(g, p->data + p->l3_off + 8) && (later || !is_configuring_v6(p)))
		return DROP_SPOOFED_IP;
	if (later)
		return DROP_NONE;
	if (p->l4_proto == IPPROTO_ICMPV6)
		return check_icmp6(g, p);
	if (p->l4_proto == IPPROTO_UDP && g->ips)
		return check_udp(p, DHCP6_CLIENT_PORT);
	return DROP_NONE;
}

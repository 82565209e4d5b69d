// SPDX-License-Identifier: BSD-3-Clause
#include "switch/guard_check.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "base/likely.h"
#include "switch/guard_private.h"

enum {
	ARP_LEN = 28, // over Ethernet, for IPv4
	DHCP_SERVER_PORT = 67,
	DHCP_CLIENT_PORT = 68,
	SNAP_SAP = 0xaa,
};

bool guard_wanted(const struct config_addresses *addresses)
{
	return mac_at(addresses->mac) || addresses->nips;
}

// The first `length` bits of an address, as a mask.
static void mask_of(uint8_t mask[16], unsigned length)
{
	memset(mask, 0, 16);
	for (unsigned i = 0; i < length; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

void guard_compile(struct guard *g, const struct config_addresses *addresses)
{
	uint64_t mac = mac_at(addresses->mac);
	bool ips = addresses->nips > 0;
	*g = (struct guard){
		.mac = mac,
		.mac_mask = mac ? (1ull << 48) - 1 : 0,
		.ips = ips,
		.client_port = ips ? htons(DHCP_CLIENT_PORT) : UINT32_MAX,
		.v4[0].network = ips, // with a mask of 0: nothing has it
	};
	for (unsigned i = 0; i < addresses->nips; i++) {
		const struct config_prefix *prefix = &addresses->ips[i];
		uint8_t mask[16];
		mask_of(mask, prefix->length);
		if (prefix->family == AF_INET) {
			g->v4[g->nv4].network = raw32(prefix->address);
			g->v4[g->nv4++].mask = raw32(mask);
			continue;
		}
		g->link_local_listed |= prefix->length >= 10 && is_link_local_v6(prefix->address);
		for (unsigned k = 0; k < 2; k++) {
			g->v6[g->nv6].network[k] = raw64(prefix->address + 8 * k);
			g->v6[g->nv6].mask[k] = raw64(mask + 8 * k);
		}
		g->nv6++;
	}
}

static bool has_v4(const struct guard *g, const uint8_t *address)
{
	uint32_t word = raw32(address);
	for (unsigned i = 0; i < g->nv4; i++)
		if ((word & g->v4[i].mask) == g->v4[i].network)
			return true;
	return false;
}

// 0.0.0.0, to ask a DHCP server or report a group.
static bool is_configuring_v4(const struct packet *p)
{
	if (raw32(p->data + p->l3_off + 12) || p->flags & PACKET_FRAGMENT)
		return false;
	if (p->l4_proto == IPPROTO_IGMP)
		return true;
	const uint8_t *udp = p->l4_proto == IPPROTO_UDP ? l4_header(p, 4) : NULL;
	return udp && load16(udp) == DHCP_CLIENT_PORT && load16(udp + 2) == DHCP_SERVER_PORT;
}

static enum drop_reason check_ipv4(const struct guard *g, const struct packet *p)
{
	if (unlikely(!has_v4(g, p->data + p->l3_off + 12)) && !is_configuring_v4(p))
		return DROP_SPOOFED_IP;
	if (p->l4_proto == IPPROTO_UDP && !(p->flags & PACKET_LATER_FRAGMENT))
		return check_udp(p, DHCP_CLIENT_PORT);
	return DROP_NONE;
}

static enum drop_reason check_arp(const struct guard *g, const struct packet *p)
{
	static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4};
	enum {
		RARP_REQUEST = 3,
		OPERATION = 6,
		SENDER_MAC = 8,
		SENDER_IP = 14,
		TARGET_IP = 24
	};
	const uint8_t *arp = p->data + p->l3_off;
	if (p->l3_off + ARP_LEN > p->head_len || memcmp(arp, ethernet_ipv4, sizeof(ethernet_ipv4)))
		return DROP_ADDRESSES_HIDDEN;
	if (g->mac && mac_at(arp + SENDER_MAC) != g->mac)
		return DROP_SPOOFED_ARP;
	// RARP's sender asks for its own address (RFC 903); who is behind it, its MAC has told.
	if (!g->ips || has_v4(g, arp + SENDER_IP) ||
		(p->ether_type == ETH_P_RARP && load16(arp + OPERATION) == RARP_REQUEST &&
			!raw32(arp + SENDER_IP)))
		return DROP_NONE;
	bool probe = !raw32(arp + SENDER_IP) && load16(arp + OPERATION) == 1;
	return probe && has_v4(g, arp + TARGET_IP) ? DROP_NONE : DROP_SPOOFED_ARP;
}

static enum drop_reason check_other(const struct guard *g, const struct packet *p)
{
	switch (p->ether_type) {
	case ETH_P_ARP:
	case ETH_P_RARP:
		return check_arp(g, p);
	// IP whose header is not in the stash, and more tags than are parsed.
	case ETH_P_IP:
	case ETH_P_IPV6:
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case ETH_P_QINQ1:
		return DROP_ADDRESSES_HIDDEN;
	default:
		break;
	}
	if (p->ether_type >= ETH_P_802_3_MIN)
		return DROP_NONE;
	bool hidden = p->l3_off < p->head_len ? (p->data[p->l3_off] & 0xfe) == SNAP_SAP
					      : p->len > p->l3_off;
	return hidden ? DROP_ADDRESSES_HIDDEN : DROP_NONE;
}

enum drop_reason guard_check_any(const struct guard *g, const struct packet *p)
{
	if (g->mac && unlikely(mac_at(p->data + 6) != g->mac))
		return DROP_SPOOFED_MAC;
	if (likely(p->flags & PACKET_IPV4))
		return g->ips ? check_ipv4(g, p) : DROP_NONE;
	if (p->flags & PACKET_IPV6)
		return guard_check_ipv6(g, p);
	return check_other(g, p);
}

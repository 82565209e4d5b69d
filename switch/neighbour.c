// SPDX-License-Identifier: BSD-3-Clause
#include "switch/neighbour.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "switch/checksum.h"
#include "switch/parse.h"

enum {
	MAC_LEN = 6,
	IPV4_LEN = 4,
	ETHER_LEN = 14,
	// ARP over Ethernet for IPv4.
	ARP_LEN = 28,
	ARP_OPERATION = 6,
	ARP_SENDER_MAC = 8,
	ARP_SENDER = 14,
	ARP_TARGET_MAC = 18,
	ARP_TARGET = 24,
	ARP_REPLY = 2,
	// IPv6 and, behind it, neighbour discovery.
	IPV6_LEN = 40,
	IPV6_ADDRESS = 16,
	IPV6_SOURCE = 8,
	IPV6_DESTINATION = 24,
	HOPS = 255,
	SOLICITATION = 135,
	ADVERTISEMENT = 136,
	TARGET = 8, // from the ICMPv6 header
	OPTION = 24,
	TARGET_LINK_LAYER = 2,
	ADVERTISEMENT_LEN = OPTION + 8,
	// Who answers routes, has been asked, and is to replace what was known: with the flag for
	// routers clear, hosts would take it out of their list of those.
	ROUTER_SOLICITED_OVERRIDE = 0xe0,
};

// The frame, whose first `len` bytes behind the Ethernet header have been written, for its sender.
static void send_back(struct packet *p, const uint8_t mac[6], uint16_t len)
{
	memcpy(p->data, p->data + MAC_LEN, MAC_LEN);
	memcpy(p->data + MAC_LEN, mac, MAC_LEN);
	p->len = p->head_len = (uint16_t)(ETHER_LEN + len);
	p->nbody = 0;
	p->offload = 0;
	parse_packet(p);
}

static void untag(struct packet *p)
{
	packet_set_tag(p, 0, 0);
}

// --- ARP

static bool is_request(const struct packet *p)
{
	static const uint8_t head[] = {0, 1, 0x08, 0x00, MAC_LEN, IPV4_LEN, 0, 1};
	static const uint8_t nobody[IPV4_LEN];
	const uint8_t *arp = p->data + p->l3_off;
	return p->l3_off + ARP_LEN <= p->head_len && !memcmp(arp, head, sizeof(head)) &&
	       memcmp(arp + ARP_SENDER, nobody, IPV4_LEN) != 0 &&
	       memcmp(arp + ARP_SENDER, arp + ARP_TARGET, IPV4_LEN) != 0;
}

static void answer_request(struct packet *p, const uint8_t mac[6])
{
	uint8_t sender[MAC_LEN + IPV4_LEN];
	uint8_t *arp = p->data + p->l3_off;
	memcpy(sender, arp + ARP_SENDER_MAC, sizeof(sender));
	store16(arp + ARP_OPERATION, ARP_REPLY);
	memcpy(arp + ARP_SENDER_MAC, mac, MAC_LEN);
	memcpy(arp + ARP_SENDER, arp + ARP_TARGET, IPV4_LEN);
	memcpy(arp + ARP_TARGET_MAC, sender, sizeof(sender));
	send_back(p, mac, ARP_LEN);
}

// --- IPv6

// Without extension headers, which none has (RFC 6980 for fragments), and sound as RFC 4861, 7.1.1
// says.
static bool is_solicitation(const struct packet *p)
{
	static const uint8_t nowhere[IPV6_ADDRESS];
	const uint8_t *ip = p->data + p->l3_off, *icmp = p->data + p->l4_off;
	if (!(p->flags & PACKET_L4) || p->l4_proto != IPPROTO_ICMPV6 ||
		p->l4_off != p->l3_off + IPV6_LEN || p->l4_off + OPTION > p->head_len ||
		load16(ip + 4) < OPTION)
		return false;
	return icmp[0] == SOLICITATION && icmp[1] == 0 && ip[7] == HOPS && icmp[TARGET] != 0xff &&
	       memcmp(ip + IPV6_SOURCE, nowhere, IPV6_ADDRESS) != 0;
}

static void answer_solicitation(struct packet *p, const uint8_t mac[6])
{
	uint8_t *ip = p->data + p->l3_off, *icmp = ip + IPV6_LEN;
	store16(ip + 4, ADVERTISEMENT_LEN);
	memcpy(ip + IPV6_DESTINATION, ip + IPV6_SOURCE, IPV6_ADDRESS);
	memcpy(ip + IPV6_SOURCE, icmp + TARGET, IPV6_ADDRESS);
	icmp[0] = ADVERTISEMENT;
	memset(icmp + 2, 0, TARGET - 2);
	icmp[4] = ROUTER_SOLICITED_OVERRIDE;
	icmp[OPTION] = TARGET_LINK_LAYER;
	icmp[OPTION + 1] = 1; // of eight bytes
	memcpy(icmp + OPTION + 2, mac, MAC_LEN);
	uint64_t sum = checksum_sum32(icmp, ADVERTISEMENT_LEN) +
		       checksum_pseudo6(ip, IPPROTO_ICMPV6, ADVERTISEMENT_LEN);
	uint16_t check = (uint16_t)~checksum_fold(sum);
	memcpy(icmp + 2, &check, sizeof(check));
	send_back(p, mac, IPV6_LEN + ADVERTISEMENT_LEN);
}

bool neighbour_is(const struct packet *p)
{
	if (p->flags & PACKET_ARP || p->ether_type == ETH_P_RARP)
		return true;
	if (!(p->flags & PACKET_IPV6) || !(p->flags & PACKET_L4) || p->l4_proto != IPPROTO_ICMPV6)
		return false;
	uint8_t type = p->data[p->l4_off];
	return type == SOLICITATION || type == ADVERTISEMENT;
}

bool neighbour_answer(struct packet *p, const uint8_t mac[6])
{
	// One tag is taken off, a second one would stay.
	if (p->l3_off > ETHER_LEN + (p->flags & PACKET_TAGGED ? 4 : 0))
		return false;
	if (p->flags & PACKET_ARP && is_request(p)) {
		untag(p);
		answer_request(p, mac);
		return true;
	}
	if (p->flags & PACKET_IPV6 && is_solicitation(p)) {
		untag(p);
		answer_solicitation(p, mac);
		return true;
	}
	return false;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "switch/parse.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "base/likely.h"
#include "base/bytes.h"
#include "switch/offload.h"
#include "switch/pipeline.h"

enum {
	ETHER_LEN = 14,
	TAG_LEN = 4,
	IPV4_LEN = 20, // without options
	IPV6_LEN = 40,
	TCP_LEN = 20, // without options
	UDP_LEN = 8,
	ICMP_LEN = 8,
	SCTP_LEN = 12,
	AH_UNIT = 4, // of its length field; the other extension headers count 8 bytes
	ETHER_TYPE_QINQ_OLD = 0x9100, // before 802.1ad; still sent as an outer tag
};

// As it stands in memory: only to be mixed.
static inline uint64_t load64_raw(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

// Spreads queues; nothing is looked up by it, so it needs no key. Any bits of the result are good.
static inline uint32_t mix(uint64_t addresses, uint64_t rest)
{
	uint64_t h = addresses * 0x9e3779b97f4a7c15 + rest * 0xc2b2ae3d27d4eb4f;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
	return (uint32_t)(h >> 32);
}

// The protocol, and the ports of whole packets: a first fragment alone has them, and with them it
// would leave its packet's queue.
static inline uint64_t flow_ports(const struct packet *p)
{
	uint64_t rest = (uint64_t)p->l4_proto << 32;
	bool ports = p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP ||
		     p->l4_proto == IPPROTO_SCTP;
	if (ports && (p->flags & (PACKET_L4 | PACKET_FRAGMENT)) == PACKET_L4)
		rest |= load32(p->data + p->l4_off);
	return rest;
}

uint32_t packet_flow_hash(const struct packet *p)
{
	const uint8_t *l3 = p->data + p->l3_off;
	if (p->flags & PACKET_IPV4)
		return mix(load64_raw(l3 + 12), flow_ports(p));
	if (p->flags & PACKET_IPV6) {
		uint64_t high = load64_raw(l3 + 8) * 3 + load64_raw(l3 + 24) * 5;
		uint64_t low = load64_raw(l3 + 16) * 7 + load64_raw(l3 + 32);
		return mix(low ^ (high << 23 | high >> 41), flow_ports(p));
	}
	return mix(load64_raw(p->data), load32(p->data + 8));
}

// Both halves of a product, folded: no bit of it can be told without both factors.
static inline uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t packet_flow_keyed(const struct packet *p, const uint64_t secret[2])
{
	const uint8_t *l3 = p->data + p->l3_off;
	uint64_t h = secret[0], rest = flow_ports(p);
	if (p->flags & PACKET_IPV4) {
		h = fold(h ^ load64_raw(l3 + 12), secret[1]);
	} else if (p->flags & PACKET_IPV6) {
		for (unsigned i = 8; i < IPV6_LEN; i += 8)
			h = fold(h ^ load64_raw(l3 + i), secret[1]);
	} else {
		h = fold(h ^ load64_raw(p->data), secret[1]);
		rest = load32(p->data + 8);
	}
	return (uint32_t)fold(h ^ rest, secret[1]);
}

// Whether n more bytes are inside the packet and in the stash.
static bool have(const struct packet *p, struct walk *w, uint32_t n)
{
	bool inside = w->off + n <= w->end;
	if (inside && w->off + n <= p->head_len)
		return true;
	w->beyond = inside;
	return false;
}

// For headers that must be there. False, and the drop is named unless the stash is merely too
// short.
static bool require(struct packet *p, struct walk *w, uint32_t n)
{
	if (have(p, w, n))
		return true;
	if (!w->beyond)
		packet_drop(p, DROP_BAD_HEADER);
	return false;
}

static bool is_tag(uint16_t type)
{
	return type == ETH_P_8021Q || type == ETH_P_8021AD;
}

static bool parse_tags(struct packet *p, struct walk *w)
{
	p->ether_type = load16(p->data + 12);
	w->off = ETHER_LEN;
	for (int i = 0; i < 2; i++) {
		if (!is_tag(p->ether_type) && (i || p->ether_type != ETHER_TYPE_QINQ_OLD))
			break;
		if (!have(p, w, TAG_LEN)) {
			// Its VLAN is unknown, so it cannot be switched at all.
			packet_drop(p, w->beyond ? DROP_HEADERS_TOO_LONG : DROP_BAD_HEADER);
			return false;
		}
		if (i == 0) {
			p->flags |= PACKET_TAGGED;
			p->vlan_tpid = p->ether_type;
			p->vlan_tci = load16(p->data + w->off);
		}
		p->ether_type = load16(p->data + w->off + 2);
		w->off += TAG_LEN;
	}
	p->l3_off = p->l4_off = p->payload_off = (uint16_t)w->off;
	return true;
}

// The length of the L4 header at w->off, 0 for a protocol that is not known, or one longer than the
// packet where the header contradicts it.
static uint32_t l4_header_len(const struct packet *p, struct walk *w)
{
	const uint8_t *l4 = p->data + w->off;
	uint32_t room = w->end - w->off;
	uint32_t len;
	switch (p->l4_proto) {
	case IPPROTO_TCP:
		if (!have(p, w, TCP_LEN))
			return 0;
		len = (l4[12] >> 4) * 4;
		return len < TCP_LEN ? 0 : len;
	case IPPROTO_UDP:
		if (!have(p, w, UDP_LEN))
			return 0;
		len = load16(l4 + 4);
		// A first fragment carries the length of the whole datagram.
		if (len < UDP_LEN || (len > room && !(p->flags & PACKET_FRAGMENT)))
			return 0;
		return UDP_LEN;
	case IPPROTO_ICMP:
		return p->flags & PACKET_IPV4 ? ICMP_LEN : 0;
	case IPPROTO_ICMPV6:
		return p->flags & PACKET_IPV6 ? ICMP_LEN : 0;
	case IPPROTO_SCTP:
		return SCTP_LEN;
	default:
		return 0;
	}
}

static void parse_l4(struct packet *p, struct walk *w)
{
	uint32_t len = l4_header_len(p, w);
	if (len && have(p, w, len)) {
		p->flags |= PACKET_L4;
		p->payload_off = (uint16_t)(w->off + len);
	}
}

static void parse_ipv4(struct packet *p, struct walk *w)
{
	if (!require(p, w, IPV4_LEN))
		return;
	const uint8_t *ip = p->data + w->off;
	uint32_t hlen = (ip[0] & 0xf) * 4;
	uint32_t total = load16(ip + 2);
	if (total == 0 && (p->offload & OFFLOAD_TSO)) {
		packet_drop(p, DROP_BAD_OFFLOAD); // a length beyond 16 bits; never offered
		return;
	}
	if (ip[0] >> 4 != 4 || hlen < IPV4_LEN || total < hlen || w->off + total > p->len) {
		packet_drop(p, DROP_BAD_HEADER);
		return;
	}
	w->end = w->off + total;
	if (!have(p, w, hlen))
		return;
	uint16_t fragment = load16(ip + 6);
	p->flags |= PACKET_IPV4;
	if (fragment & 0x3fff) // more fragments, or an offset
		p->flags |= PACKET_FRAGMENT;
	p->l4_proto = ip[9];
	w->off += hlen;
	p->l4_off = p->payload_off = (uint16_t)w->off;
	if (fragment & 0x1fff)
		p->flags |= PACKET_LATER_FRAGMENT;
	else
		parse_l4(p, w);
}

// Takes one extension header. False at the end of the chain.
static bool take_extension(struct packet *p, struct walk *w)
{
	const uint8_t *ext = p->data + w->off;
	uint8_t type = p->l4_proto;
	if (type != IPPROTO_HOPOPTS && type != IPPROTO_ROUTING && type != IPPROTO_DSTOPTS &&
		type != IPPROTO_FRAGMENT && type != IPPROTO_AH)
		return false;
	if (!require(p, w, 8)) // all are at least this long
		return false;
	uint32_t len = (ext[1] + 1) * 8;
	if (type == IPPROTO_AH) {
		len = (ext[1] + 2) * AH_UNIT;
	} else if (type == IPPROTO_ROUTING) {
		w->routed |= ext[3] != 0; // segments left
	} else if (type == IPPROTO_FRAGMENT) {
		uint16_t fragment = load16(ext + 2);
		len = 8;
		if (fragment & 0xfff9) // an offset, or more fragments
			p->flags |= PACKET_FRAGMENT;
		if (fragment & 0xfff8)
			p->flags |= PACKET_LATER_FRAGMENT;
	}
	if (!require(p, w, len))
		return false;
	p->l4_proto = ext[0];
	w->off += len;
	p->l4_off = p->payload_off = (uint16_t)w->off;
	return !(p->flags & PACKET_LATER_FRAGMENT);
}

static void parse_ipv6(struct packet *p, struct walk *w)
{
	if (!require(p, w, IPV6_LEN))
		return;
	const uint8_t *ip = p->data + w->off;
	uint32_t total = IPV6_LEN + load16(ip + 4);
	if (ip[0] >> 4 != 6 || w->off + total > p->len) {
		packet_drop(p, DROP_BAD_HEADER);
		return;
	}
	p->flags |= PACKET_IPV6;
	p->l4_proto = ip[6];
	w->end = w->off + total;
	w->off += IPV6_LEN;
	p->l4_off = p->payload_off = (uint16_t)w->off;
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++)
		if (!take_extension(p, w))
			break;
	// A ninth extension header is no L4 protocol, so it ends here too.
	if (p->verdict != VERDICT_DROP && !w->beyond && !(p->flags & PACKET_LATER_FRAGMENT))
		parse_l4(p, w);
}

// Everything but the plain case.
static void parse_any(struct packet *p, struct walk *w)
{
	p->flags = 0;
	p->vlan_tpid = 0;
	p->vlan_tci = 0;
	p->ether_type = 0;
	p->l3_off = p->l4_off = p->payload_off = 0;
	p->l4_proto = 0;
	if (p->head_len < ETHER_LEN) {
		packet_drop(p, DROP_FRAME_TOO_SHORT);
		return;
	}
	w->end = p->len;
	if (!parse_tags(p, w))
		return;
	if (p->ether_type == ETH_P_IP)
		parse_ipv4(p, w);
	else if (p->ether_type == ETH_P_IPV6)
		parse_ipv6(p, w);
	else if (p->ether_type == ETH_P_ARP)
		p->flags |= PACKET_ARP;
}

// The common case in a straight line: no tag, IPv4 without options, whole, TCP or UDP, sound.
// False, with nothing written, for everything else.
static inline bool parse_plain(struct packet *p, struct walk *w)
{
	enum {
		L3 = ETHER_LEN,
		L4 = L3 + IPV4_LEN,
		UDP_END = L4 + UDP_LEN
	};
	const uint8_t *d = p->data;
	uint32_t payload_off;

	if (p->head_len < UDP_END)
		return false;
	// Type, version and header length in one load; the type of service is left out.
	if ((load32(d + 12) & 0xffffff00) != ((uint32_t)ETH_P_IP << 16 | 0x4500) ||
		(load16(d + L3 + 6) & 0x3fff))
		return false;
	uint32_t end = L3 + load16(d + L3 + 2);
	uint8_t proto = d[L3 + 9];
	if (end > p->len)
		return false;
	if (proto == IPPROTO_UDP) {
		uint32_t udp_len = load16(d + L4 + 4);
		if (udp_len < UDP_LEN || L4 + udp_len > end)
			return false;
		payload_off = UDP_END;
	} else if (proto == IPPROTO_TCP && p->head_len >= L4 + TCP_LEN) {
		payload_off = L4 + (d[L4 + 12] >> 4) * 4;
		if (payload_off < L4 + TCP_LEN || payload_off > end || payload_off > p->head_len)
			return false;
	} else {
		return false;
	}
	p->flags = PACKET_IPV4 | PACKET_L4;
	p->vlan_tpid = 0;
	p->vlan_tci = 0;
	p->ether_type = ETH_P_IP;
	p->l3_off = L3;
	p->l4_off = L4;
	p->payload_off = (uint16_t)payload_off;
	p->l4_proto = proto;
	w->end = end;
	return true;
}

static inline void parse_one(struct packet *p)
{
	struct walk w = {.end = 0};
	if (unlikely(!parse_plain(p, &w)))
		parse_any(p, &w);
	if (unlikely(p->offload) && p->verdict != VERDICT_DROP)
		confirm_offload(p, &w);
}

void parse_packet(struct packet *p)
{
	parse_one(p);
}

void stage_parse(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	for (unsigned i = 0; i < burst->count; i++)
		if (likely(burst->packets[i].verdict == VERDICT_NONE))
			parse_one(&burst->packets[i]);
}

// SPDX-License-Identifier: BSD-3-Clause
// What the files of guard_check share.
#ifndef WEIR_SWITCH_GUARD_PRIVATE_H
#define WEIR_SWITCH_GUARD_PRIVATE_H

#include "base/bytes.h"
#include "switch/guard_check.h"

enum {
	IPV6_LEN = 40
};

// As it stands in memory.
static inline uint32_t raw32(const uint8_t *at)
{
	uint32_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint64_t raw64(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint64_t mac_at(const uint8_t *at)
{
	uint64_t word = 0;
	memcpy(&word, at, 6);
	return word;
}

static inline bool is_link_local_v6(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

// Where the IP packet ends. parse_packet has seen that this is inside the frame.
static inline uint32_t ip_end(const struct packet *p)
{
	const uint8_t *ip = p->data + p->l3_off;
	return p->l3_off +
	       (p->flags & PACKET_IPV4 ? load16(ip + 2) : (uint32_t)IPV6_LEN + load16(ip + 4));
}

// The L4 header's first n bytes; NULL: not all of them are in the packet and the stash. It need not
// be sound: receivers differ in what they take, as with a UDP length of 0.
static inline const uint8_t *l4_header(const struct packet *p, uint32_t n)
{
	uint32_t end = p->l4_off + n;
	return end <= ip_end(p) && end <= p->head_len ? p->data + p->l4_off : NULL;
}

// A datagram's first fragment holds the ports, however small and wherever others overlap.
static inline enum drop_reason check_udp(const struct packet *p, uint16_t client_port)
{
	const uint8_t *udp = l4_header(p, 4);
	if (unlikely(!udp))
		return DROP_ADDRESSES_HIDDEN;
	return unlikely(load16(udp + 2) == client_port) ? DROP_DHCP_SERVER : DROP_NONE;
}

// guard_ipv6.c: an IPv6 packet from the right MAC address.
enum drop_reason guard_check_ipv6(const struct guard *guard, const struct packet *p);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The Internet checksum (RFC 1071) over trusted bytes. Sums are of 16-bit words as loaded from
// memory: the ones' complement sum does not care for byte order, so nothing is swapped and a folded
// sum is stored as it is. These functions touch what they are given and nothing else; any thread.
#ifndef WEIR_SWITCH_CHECKSUM_H
#define WEIR_SWITCH_CHECKSUM_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/packet.h"

// Folds a sum to 16 bits, in memory order, not complemented.
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// The sum of len bytes, a multiple of four, as 32-bit words: congruent, and half the loads.
static inline uint64_t checksum_sum32(const uint8_t *at, unsigned len)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < len; i += 4) {
		uint32_t word;
		memcpy(&word, at + i, sizeof(word));
		sum += word;
	}
	return sum;
}

// The folded sum of a TCP or UDP pseudo header (RFC 9293, 3.1; RFC 768; RFC 8200, 8.1), from the IP
// header at l3. l4_len: bytes of L4 header and payload, below 65536.
static inline uint16_t checksum_pseudo4(const uint8_t *l3, uint8_t proto, uint32_t l4_len)
{
	return checksum_fold(checksum_sum32(l3 + 12, 8) + htons(proto) + htons((uint16_t)l4_len));
}

static inline uint16_t checksum_pseudo6(const uint8_t *l3, uint8_t proto, uint32_t l4_len)
{
	return checksum_fold(checksum_sum32(l3 + 8, 32) + htons(proto) + htons((uint16_t)l4_len));
}

// The same for a parsed packet with PACKET_L4, whose headers stand at head.
static inline uint16_t checksum_pseudo(const struct packet *p, const uint8_t *head, uint32_t l4_len)
{
	const uint8_t *l3 = head + p->l3_off;
	return p->flags & PACKET_IPV4 ? checksum_pseudo4(l3, p->l4_proto, l4_len)
				      : checksum_pseudo6(l3, p->l4_proto, l4_len);
}

// Writes the header checksum of the IPv4 header at l3 anew; hlen: its length with options.
static inline void checksum_ipv4_header(uint8_t *l3, unsigned hlen)
{
	memset(l3 + 10, 0, 2);
	uint16_t check = (uint16_t)~checksum_fold(checksum_sum32(l3, hlen));
	memcpy(l3 + 10, &check, sizeof(check));
}

// Mends the checksum at `check` for two bytes that it covers and that have become others (RFC 1624,
// equation 3); they begin at an even distance from its start.
static inline void checksum_replace16(uint8_t *check, const uint8_t *before, const uint8_t *after)
{
	uint16_t sum, was, is;
	memcpy(&sum, check, sizeof(sum));
	memcpy(&was, before, sizeof(was));
	memcpy(&is, after, sizeof(is));
	sum = (uint16_t)~checksum_fold((uint64_t)(uint16_t)~sum + (uint16_t)~was + is);
	memcpy(check, &sum, sizeof(sum));
}

#endif

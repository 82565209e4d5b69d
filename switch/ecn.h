// SPDX-License-Identifier: BSD-3-Clause
// Congestion as told by a mark in the IP header (RFC 3168), in place of a loss. The header is
// trusted bytes; any thread.
#ifndef WEIR_SWITCH_ECN_H
#define WEIR_SWITCH_ECN_H

#include "switch/checksum.h"

enum {
	ECN_CE = 3,         // of the two bits: congestion was met. 0: the flow does not know ECN
	ECN_IPV6_SHIFT = 4, // of the traffic class, in the second byte of the header
};

// False: the flow does not know ECN, nothing is changed. True: it is marked, by us or others.
static inline bool ecn_mark(uint8_t *ip, bool is_ipv6)
{
	const unsigned shift = is_ipv6 ? ECN_IPV6_SHIFT : 0;
	if (!(ip[1] >> shift & ECN_CE))
		return false;
	uint8_t before[2] = {ip[0], ip[1]};
	ip[1] |= ECN_CE << shift;
	if (!is_ipv6)
		checksum_replace16(ip + 10, before, ip);
	return true;
}

#endif

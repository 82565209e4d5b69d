// SPDX-License-Identifier: BSD-3-Clause
// A frame's headers in one line, for people:
// "52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff vlan 10 ipv4 10.0.0.1 > 10.0.0.2 udp 68 > 67".
#ifndef WEIR_CTL_CLIENT_DECODE_H
#define WEIR_CTL_CLIENT_DECODE_H

#include <stddef.h>
#include <stdint.h>

enum {
	DECODE_TEXT_SIZE = 256, // what any line fits in
	DECODE_BYTES_MAX = 256  // taken from hexadecimal digits
};

// The first `len` bytes of a frame. Nothing beyond them is read; where a header is cut, the line
// ends with "...". Ethernet, two VLAN tags (IEEE 802.1Q, 802.1ad), ARP, IPv4, IPv6 with up to 8
// extension headers, the L4 ports of TCP, UDP and SCTP, types of ICMP and ICMPv6, and the target of
// neighbour discovery (RFC 4861). `text` is cut at `size`.
void decode_frame(const uint8_t *data, size_t len, char *text, size_t size);

// The same of hexadecimal digits, as in the control protocol; what is none ends the frame.
void decode_hex(const char *hex, char *text, size_t size);

#endif

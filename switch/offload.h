// SPDX-License-Identifier: BSD-3-Clause
// The last step of parse_packet: what the sender's virtio-net header claims against what the
// headers say. parse.h has the rules.
#ifndef WEIR_SWITCH_OFFLOAD_H
#define WEIR_SWITCH_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

// Within the L4 header.
enum {
	TCP_CSUM_OFFSET = 16,
	TCP_FLAGS_OFFSET = 13,
	UDP_CSUM_OFFSET = 6
};
enum {
	// The smallest gso_size: the smallest MSS of Linux's TCP, 48, without 40 bytes of options
	// (its TCP_MIN_GSO_SIZE). It bounds as how many packets one frame counts.
	OFFLOAD_GSO_MIN = 8
};
enum {
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80
};

// What the walk over the headers knows beyond the packet's own fields.
struct walk {
	uint32_t off; // of the next header, from data
	uint32_t end; // of the frame, then of the IP packet: nothing behind it is looked at
	bool beyond;  // a header runs past the stash, while the packet goes on
	bool routed;  // the IPv6 destination is not yet the final one
};

// Clears every claim but the confirmed ones, or drops. p->offload is not 0. Worker.
void confirm_offload(struct packet *p, const struct walk *w);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// What a probe looks like (switch/probe.h): a frame that a bridge passes on, or an echo request
// that a router does. Touches what it is given and nothing else; any thread. No DPDK here.
#ifndef WEIR_SWITCH_PROBE_FRAME_H
#define WEIR_SWITCH_PROBE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/packet.h"

enum {
	PROBE_FRAME_MAX = 96 // bytes
};

// What an answer is known by. A router may change all of the packet but this.
struct probe_mark {
	uint16_t chain; // its number
	uint8_t instance;
	uint64_t number;
};

// Between two addresses that are nobody's, which a bridge floods to its other side and which teach
// it nothing that matters. Returns the frame's length.
uint16_t probe_write_frame(uint8_t frame[PROBE_FRAME_MAX], const struct probe_mark *mark);

// An ICMP or ICMPv6 echo request (RFC 792, RFC 4443 4.1) of the probe's addresses, `from` and `to`,
// for a router with this MAC address. Returns the frame's length.
uint16_t probe_write_echo(uint8_t frame[PROBE_FRAME_MAX], const uint8_t router[6],
	const uint8_t sender[6], const struct config_probe *probe, const struct probe_mark *mark);

// The mark that a parsed packet carries, whichever of the two it is. False: it is no probe.
bool probe_read(const struct packet *p, struct probe_mark *mark);

#endif

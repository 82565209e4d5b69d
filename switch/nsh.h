// SPDX-License-Identifier: BSD-3-Clause
// The Network Service Header (RFC 8300): around a whole Ethernet frame, the service path that it is
// on and how far it has come. Reads and writes the packet's stash and nothing else. No DPDK here.
#ifndef WEIR_SWITCH_NSH_H
#define WEIR_SWITCH_NSH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

enum {
	NSH_ROOM = 14 + 8,   // what is put before the frame: Ethernet, and NSH without metadata
	NSH_INDEX_MAX = 255, // at the first function of a path
};

struct nsh {
	uint32_t path; // service path identifier, 24 bits
	uint8_t index; // service index: each function takes one off
};

// Puts the frame, without its VLAN's tag, into a frame of NSH between these addresses: version 0,
// MD type 2 and no metadata, TTL 63, next protocol Ethernet. Offsets and offloads stay those of the
// frame inside, from the new start. p is parsed; its headroom has NSH_ROOM. Worker.
void nsh_push(
	struct packet *p, const uint8_t destination[6], const uint8_t source[6], struct nsh nsh);
// Takes it out of such a frame, and parses what was inside: then the verdict may be a drop. False,
// and nothing is written: it is none, or has another version, length, type or protocol, or is OAM,
// or the Ethernet header inside is not in the stash. Worker.
bool nsh_pull(struct packet *p, struct nsh *nsh);
// Takes off again what nsh_push has put on, or nsh_on. Worker.
void nsh_off(struct packet *p);
// Puts on again what nsh_pull has taken off, as it came: its bytes still stand before the frame,
// for as long as nothing else is put there. Worker.
void nsh_on(struct packet *p);

#endif

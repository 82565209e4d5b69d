// SPDX-License-Identifier: BSD-3-Clause
// Bounded parsing of the stash, and what depends on header layout: tags, checksums, segments.
// Functions take (pointer, length) or a packet and touch nothing else, so tests and fuzzers call
// them on exact heap copies. No DPDK here.
#ifndef WEIR_SWITCH_PARSE_H
#define WEIR_SWITCH_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

// Parses p->data[0…head_len): Ethernet, up to two VLAN tags (802.1Q, 802.1ad), ARP, IPv4 with
// options, IPv6 with extension headers (at most 8), TCP, UDP, ICMP, ICMPv6, SCTP. Sets flags,
// offsets, vlan_tpid/vlan_tci (outer tag), l4_proto and hash. Confirms the sender's offload claims
// against the headers (csum_start/csum_offset, gso_type, gso_size); a claim that does not hold is
// verdict VERDICT_DROP with DROP_BAD_OFFLOAD. An unknown protocol is no error: it is switched on
// its MAC. Contradictions (an IP header longer than the frame, a total length beyond it) are
// DROP_BAD_HEADER; headers that run past the stash while the frame goes on are no error unless an
// offload needs them: then DROP_HEADERS_TOO_LONG. Worker.
void parse_packet(struct packet *p);

// Puts the frame into tagged form with this TPID and TCI, or into untagged form, in the stash;
// idempotent. Moves all offsets, csum_start and the lengths. tpid 0: untagged. Worker.
void packet_set_tag(struct packet *p, uint16_t tpid, uint16_t tci);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Bounded parsing of the stash, and what depends on header layout: tags, checksums, segments.
// Functions take (pointer, length) or a packet and touch nothing else, so tests and fuzzers call
// them on exact heap copies. No DPDK here.
#ifndef WEIR_SWITCH_PARSE_H
#define WEIR_SWITCH_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

enum {
	IPV6_EXTENSIONS_MAX = 8
};

// Parses p->data[0…head_len): Ethernet, up to two VLAN tags (802.1Q, 802.1ad, outer 0x9100), ARP,
// IPv4 with options (RFC 791), IPv6 with extension headers (RFC 8200; at most 8), TCP (RFC 9293),
// UDP (RFC 768), ICMP, ICMPv6, SCTP. Reads data, head_len, len and the offload fields; writes all
// of flags, the offsets, ether_type, vlan_tpid/vlan_tci (outer tag) and l4_proto. Worker.
//
// Layer 3 contradictions (a truncated tag or IP header, a total length beyond the frame, an
// extension header beyond the packet) are DROP_BAD_HEADER. What is no error, and is switched on its
// MAC: an unknown protocol; bytes behind the IP packet's end (Ethernet padding); headers that run
// past the stash while the frame goes on; an L4 header that contradicts its packet: it leaves
// PACKET_L4 clear.
//
// PACKET_IPV4/PACKET_IPV6: the IP header (IPv4: with its options) is in the stash and sound.
// PACKET_L4: so is the whole L4 header, and TCP, UDP, ICMP, ICMPv6 or SCTP is its protocol; never
// set for a later fragment. An IPv6 atomic fragment is not a fragment (RFC 6946). l3_off is set
// always (behind all tags). l4_off and l4_proto are set as far as the headers could be followed,
// so a later fragment has its protocol; without IP they are l3_off and 0. Without PACKET_L4
// payload_off is l4_off.
//
// Offload claims: what is left set afterwards is confirmed, and everything else is cleared.
// - OFFLOAD_CSUM_PARTIAL: TCP or UDP, no fragment, csum_start == l4_off and the right csum_offset.
//   The frame is cut at the IP packet's end (the checksum is defined over that), and the checksum
//   field in the stash is set to the pseudo header's sum, as every receiver expects it there. A
//   packet with a routing header that is not yet used up is refused: its pseudo header has another
//   destination.
// - OFFLOAD_TSO4/6: CSUM_PARTIAL too (virtio 1.2, 5.1.6.2), TCP over that IP version, gso_size
//   OFFLOAD_GSO_MIN at least. A payload that fits one segment leaves only CSUM_PARTIAL. OFFLOAD_ECN
//   then says whether CWR is set, whatever was claimed.
// - OFFLOAD_CSUM_VALID is cleared: a driver must not claim it (virtio 1.2, 5.1.6.2). What a NIC has
//   checked (OFFLOAD_NIC_CHECKED) becomes it.
// A claim that does not hold is DROP_BAD_OFFLOAD; one whose headers are not all in the stash,
// DROP_HEADERS_TOO_LONG.
void parse_packet(struct packet *p);

// Spreads flows over a receiver's queues: over addresses and protocol, of whole packets with L4
// ports; for other protocols than IP over both MACs. All fragments of a packet have the same. After
// parse_packet; tags do not matter. Worker.
uint32_t packet_flow_hash(const struct packet *p);
// The same, where nobody who does not know the secret, which is random, may be able to make flows
// that fall together.
uint32_t packet_flow_keyed(const struct packet *p, const uint64_t secret[2]);

// Puts the frame into tagged form with this TPID and TCI (host byte order), or into untagged form
// (tpid 0), in the stash; idempotent. Only the outer tag is meant: an inner one stays. Moves data
// within the headroom, all offsets, csum_start, head_len and len. Tagged, vlan_tpid/vlan_tci are
// what now stands in the stash; untagged, they keep the last tag (so a priority survives a pop).
// After parse_packet. Worker.
void packet_set_tag(struct packet *p, uint16_t tpid, uint16_t tci);
// The same for a port that gets the packet's VLAN tagged or not: priority and TPID stay as they
// came.
void packet_tag_vlan(struct packet *p, bool tagged);
// For a receiver that gets it tagged and can insert a tag of TPID 0x8100 by itself: true, and the
// tag in *tci (host byte order), if the frame is right for that as it stands. False: use
// packet_tag_vlan. A tag that stands in the frame already is not taken out for it, and no second
// one is left to the receiver. Worker.
bool packet_leave_tag(const struct packet *p, uint16_t *tci);

#endif

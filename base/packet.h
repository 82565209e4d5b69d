// SPDX-License-Identifier: BSD-3-Clause
// A packet is the descriptor of one frame in flight. It owns no copy of the payload: the first
// bytes stand in the stash, which only the switch can write; the rest stays in the sender's
// memory, which the sender can change at any time. So whatever is decided or re-derived is read
// from the stash, and the receiver gets those bytes from the stash.
//
// Life cycle: a worker owns one burst; rx fills it, the stages walk it, tx delivers from it, and
// completing the source's descriptors ends it. Nothing here is shared between threads.
#ifndef WEIR_BASE_PACKET_H
#define WEIR_BASE_PACKET_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"

enum {
	BURST_MAX = 32,
	STASH_HEADROOM = 64, // for headers that are pushed
	STASH_HEADERS = 192, // bytes gathered from the frame's start
	STASH_SIZE = STASH_HEADROOM + STASH_HEADERS,
	// The longest chain of descriptors taken as one frame; QEMU's own limit is the same.
	CHAIN_MAX = 1024,
	// Per burst: room for one longest chain beyond what ordinary frames use. A descriptor that
	// spans two regions of guest memory takes two segments.
	BURST_SEGMENTS = 2 * CHAIN_MAX + BURST_MAX,
	FRAME_MIN = 14,
	FRAME_MAX = 65535 + 14 + 8, // an IP packet of full length, Ethernet and two VLAN tags
};

// A run of guest memory, as mapped here. Volatile in spirit: read each byte once.
struct segment {
	const uint8_t *base;
	uint32_t len;
};

// What the sender's virtio-net header claims. Only a claim, until the parser has confirmed it.
enum offload_flag {
	OFFLOAD_CSUM_PARTIAL = 1 << 0, // VIRTIO_NET_HDR_F_NEEDS_CSUM: L4 checksum not finished
	OFFLOAD_CSUM_VALID = 1 << 1,   // VIRTIO_NET_HDR_F_DATA_VALID
	OFFLOAD_TSO4 = 1 << 2,
	OFFLOAD_TSO6 = 1 << 3,
	OFFLOAD_ECN = 1 << 4,         // VIRTIO_NET_HDR_GSO_ECN: CWR only on the first segment
	OFFLOAD_UNKNOWN_GSO = 1 << 5, // a gso_type that was never negotiated
	OFFLOAD_NIC_CHECKED = 1 << 6, // not claimed: a NIC of ours found the L4 checksum right
};
#define OFFLOAD_TSO (OFFLOAD_TSO4 | OFFLOAD_TSO6)

enum packet_flag {
	PACKET_TAGGED = 1 << 0, // the VLAN tag in vlan_tpid/vlan_tci stands in the stash at data
	PACKET_IPV4 = 1 << 1,
	PACKET_IPV6 = 1 << 2,
	PACKET_FRAGMENT = 1 << 3,       // any fragment
	PACKET_LATER_FRAGMENT = 1 << 4, // one without the L4 header
	PACKET_L4 = 1 << 5, // l4_off and l4_proto are set, and the L4 header is in the stash
	PACKET_ARP = 1 << 6,
	PACKET_KEYED = 1 << 7,        // key is set: it can belong to a connection
	PACKET_ICMP_ERROR = 1 << 8,   // ... namely to the one that it quotes
	PACKET_CONNECTION = 1 << 9,   // conn is set: it does
	PACKET_TRACKED = 1 << 10,     // ... and has advanced it
	PACKET_UNDECIDED = 1 << 11,   // policy is to look at it, once its receiver is known
	PACKET_TO_RECEIVER = 1 << 12, // its drop is one of out_port
	PACKET_BEGUN = 1 << 13,       // a TSO frame of which segments_gone have been delivered
	PACKET_CHAINED = 1 << 14,     // its connection visits network functions
	PACKET_STEERED = 1 << 15,     // ... and it goes from one on to where its chain leads
};

enum verdict {
	VERDICT_NONE,    // still on its way
	VERDICT_FORWARD, // to out_port
	VERDICT_FLOOD,   // to each port of its VLAN but the one it came from
	VERDICT_DROP,    // for the reason in drop
	VERDICT_HELD,    // copied, to go on later
	VERDICT_TAKEN,   // it was for the switch
};

struct packet {
	alignas(64) uint8_t *data;  // the Ethernet header, in the stash
	const struct segment *body; // what follows the head_len stash bytes, in guest memory
	uint32_t len;               // the whole frame in bytes: head_len and the body
	uint16_t head_len;          // trusted bytes at data
	uint16_t nbody;             // segments in body
	uint16_t flags;             // enum packet_flag
	uint8_t verdict;            // enum verdict
	uint8_t drop;               // enum drop_reason; of a flood, why ports with groups lose it
	// VERDICT_FORWARD: index of a port in the snapshot; of a flood without a drop reason, the
	// only one that gets it, once for each of its chains
	uint16_t out_port;

	// The VLAN it was classified to, and the tag as it came; all in host byte order.
	uint16_t vlan;      // 0 to 4094
	uint16_t vlan_tpid; // 0: it came without a tag
	uint16_t vlan_tci;

	// Offsets from data, as parsed; they move when a tag is pushed or popped.
	uint16_t ether_type; // behind all tags, host byte order
	uint16_t l3_off;
	uint16_t l4_off;
	uint16_t payload_off; // behind the L4 header
	uint8_t l4_proto;     // IPPROTO_*; behind IPv6 extension headers

	uint8_t offload; // enum offload_flag

	uint16_t chain; // of what comes from a network function: the chain's number that it names

	// As in the virtio-net header, and in its order: stored by one word.
	union {
		uint64_t vnet;
		struct {
			uint16_t hdr_len; // the sender's claim; never trusted
			uint16_t gso_size;
			uint16_t csum_start;  // from data
			uint16_t csum_offset; // from csum_start
		};
	};

	uint32_t conn; // PACKET_CONNECTION: its entry in the connection table
	uint8_t key;   // PACKET_KEYED: which of the pass's keys is its

	uint16_t segments_gone; // PACKET_BEGUN
};

struct burst {
	uint16_t count;
	uint16_t nsegments;
	alignas(64) struct packet packets[BURST_MAX]; // one cache line each
	alignas(64) uint8_t stash[BURST_MAX][STASH_SIZE];
	struct segment segments[BURST_SEGMENTS];
};

_Static_assert(sizeof(struct packet) <= 64, "a packet fills one cache line");

// Whether it goes to a group address: to all of its VLAN, or to many.
static inline bool packet_is_to_group(const struct packet *p)
{
	return p->data[0] & 1;
}

static inline void packet_drop(struct packet *p, enum drop_reason reason)
{
	p->verdict = VERDICT_DROP;
	p->drop = (uint8_t)reason;
}

#endif

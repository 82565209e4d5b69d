// SPDX-License-Identifier: BSD-3-Clause
// From a packet to the frames one receiver gets: pass-through with a header re-derived from the
// parsed packet, checksum completion, or segmentation in software (TCP, IPv4 and IPv6).
//
// Neither the packet nor its stash is changed, since a flood gives the same packet to several
// receivers: what differs for this receiver is written to the segmenter's own head.
#ifndef WEIR_SWITCH_SEGMENT_H
#define WEIR_SWITCH_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "vhost/ring.h"

enum {
	SEGMENT_HEAD_MAX = STASH_SIZE,
	// The smallest gso_size that is segmented in software; it bounds the work of one packet to
	// about 1366 frames.
	SEGMENT_GSO_MIN = 48,
};

// Walks the frames of one packet for one receiver. Start with segment_begin, then segment_next
// until it returns 0 or a frame cannot be delivered: with a full ring the rest is not worth
// cutting.
struct segmenter {
	const struct packet *packet;
	const struct segment *body; // where the next segment's body bytes start:
	uint32_t body_off;          // this far into body
	uint32_t offset;            // payload bytes given out
	uint32_t count;             // frames in all
	uint16_t index;             // of the next frame
	bool guest_csum;            // the receiver completes partial checksums itself
	bool in_software;
	uint8_t head[SEGMENT_HEAD_MAX]; // private header of the current segment
};

// DROP_NONE, or the reason why this receiver cannot get the packet. DROP_TO_VM_MTU: mtu is the
// longest layer 3 packet in bytes (behind all VLAN tags), for a TSO frame of its segments.
// DROP_SEGMENT_FAILED: gso_size is below SEGMENT_GSO_MIN and the receiver lacks TSO.
// receiver_features are the negotiated VIRTIO_NET_F_GUEST_*; TSO counts only with GUEST_CSUM, and
// with OFFLOAD_ECN only with GUEST_ECN (virtio 1.2, 5.1.3.1). A frame with PACKET_BEGUN is cut in
// any case, and goes on where it had ended. p is parsed, not dropped, in the form
// (tagged or not) in which it is to be delivered, and stays unchanged meanwhile. Worker.
enum drop_reason segment_begin(
	struct segmenter *s, const struct packet *p, uint64_t receiver_features, uint16_t mtu);
// 1 and *frame (valid until the next call), or 0 at the end. With frame->csum_at the field in the
// head is zero and csum_init is the pseudo header's sum; head is private then. Worker.
int segment_next(struct segmenter *s, struct frame *frame);
// How many frames segment_next gives in all, with those that have gone before.
uint32_t segment_count(const struct segmenter *s);

#endif

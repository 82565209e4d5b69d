// SPDX-License-Identifier: BSD-3-Clause
// From a packet to the frames one receiver gets: pass-through with a header re-derived from the
// parsed packet, checksum completion, or segmentation in software (TCP, IPv4 and IPv6).
#ifndef WEIR_SWITCH_SEGMENT_H
#define WEIR_SWITCH_SEGMENT_H

#include <stdint.h>

#include "base/packet.h"
#include "vhost/ring.h"

enum { SEGMENT_HEAD_MAX = STASH_SIZE };

// Walks the frames of one packet for one receiver. Start with segment_begin, then segment_next
// until it returns 0.
struct segmenter {
	struct packet *packet;
	uint64_t features; // the receiver's negotiated virtio features (GUEST_CSUM, GUEST_TSO4, …)
	uint16_t mtu;
	uint32_t offset; // payload bytes given out
	uint16_t index;
	bool in_software;
	uint8_t head[SEGMENT_HEAD_MAX]; // private header of the current segment
};

// DROP_NONE, or the reason why this receiver cannot get the packet: DROP_TO_VM_MTU,
// DROP_SEGMENT_FAILED, DROP_HEADERS_TOO_LONG. Worker.
enum drop_reason segment_begin(
	struct segmenter *s, struct packet *p, uint64_t receiver_features, uint16_t mtu);
// 1 and *frame (valid until the next call), or 0 at the end. Worker.
int segment_next(struct segmenter *s, struct frame *frame);
// How many frames segment_next will give.
uint32_t segment_count(const struct segmenter *s);

#endif

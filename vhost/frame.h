// SPDX-License-Identifier: BSD-3-Clause
// Writes one frame into memory, with its checksum completed on the way where it asks for that.
// Without DPDK.
#ifndef WEIR_VHOST_FRAME_H
#define WEIR_VHOST_FRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

// One frame to deliver: head bytes from trusted memory, the rest from the sender's memory.
struct frame {
	struct virtio_net_hdr vnet; // as the receiver shall see it; num_buffers is the ring's
	uint8_t *head;              // head_len bytes; the checksum field in it may be written
	uint32_t head_len;
	const struct segment *body; // body_len bytes, starting body_off bytes into body[0]…
	uint32_t body_off;
	uint32_t body_len;
	// Checksum completed during the copy (RFC 1071): csum_at is the offset in head of the
	// field, which counts as zero in the sum, 0 for none; csum_start is the offset in head
	// where summing starts (the L4 header); csum_init is the pseudo header's sum (not folded,
	// in host order of 16-bit words as loaded from memory). A UDP checksum that comes out as
	// zero is written as 0xffff.
	uint16_t csum_at;
	uint16_t csum_start;
	uint32_t csum_init;
	bool csum_udp;
};

static inline uint32_t frame_len(const struct frame *frame)
{
	return frame->head_len + frame->body_len;
}

// Writes frame_len bytes to dst: payload, then header. Workers.
void frame_write(const struct frame *frame, uint8_t *dst);

// The same over pieces of memory, from `offset` bytes into them on; together they have room for all
// of it. Where the head is a private one its checksum field is written, too. Workers.
void frame_pour(const struct frame *frame, const struct segment *pieces, uint32_t offset);

// Writes n bytes over pieces, from `offset` bytes into them on. Workers.
void frame_pour_bytes(
	const struct segment *pieces, uint32_t offset, const uint8_t *src, uint32_t n);

#endif

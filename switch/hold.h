// SPDX-License-Identifier: BSD-3-Clause
// A packet that is held: a copy of its own, for the buffers it came in go back to the sender. It
// lies in buffers of one size; the first has all but the payload of a long one, and is a struct
// held. Delivered, it is a packet as any: checksums, segments and tags are made for the receiver
// then. Without DPDK.
#ifndef WEIR_SWITCH_HOLD_H
#define WEIR_SWITCH_HOLD_H

#include "base/packet.h"
#include "switch/scheduler.h"
#include "switch/shape.h"

enum {
	HOLD_BUFFER = 2048,    // bytes; a frame of 1,514 takes one
	HOLD_BUFFERS_MAX = 34, // of the longest frame
};

struct held {
	struct queued queued; // first
	struct packet packet;
	uint8_t stash[STASH_SIZE];
	struct segment body[]; // and behind it the payload of a short one
};

static inline struct held *held_of(struct queued *q)
{
	return (struct held *)q;
}

static inline struct held *held_of_packet(struct packet *p)
{
	return (struct held *)((uint8_t *)p - offsetof(struct held, packet));
}

// What a packet that goes to a VM counts as by rates: a TSO frame as its segments, but for those
// that have gone.
struct shape_load hold_load(const struct packet *packet);

// How many buffers a packet takes; at most HOLD_BUFFERS_MAX of one that is no longer than
// FRAME_MAX. Worker.
unsigned hold_buffers(const struct packet *packet);

// Copies the packet into its hold_buffers() buffers, aligned to 64. Of `queued` it sets all that
// the packet itself tells. Worker.
struct held *hold_copy(
	const struct packet *packet, void *const *buffers, const uint64_t flow_secret[2]);

// All buffers of a held packet, hold_buffers() of them, into `buffers`. How many. Worker.
unsigned hold_list(struct held *held, void **buffers);

#endif

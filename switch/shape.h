// SPDX-License-Identifier: BSD-3-Clause
// Which frames of a VM may go now: its own rate, and those that it shares with others. The latest
// due time of all wins.
//
// What is not due stays in the guest's ring: nothing is dropped and nothing is stored, the guest's
// own queue waits. The queues of a port share its words, also across workers. Whose turn it is when
// something is due is drawn by lot, and whoever has just sent stands back for a while: else the one
// that a worker comes to first would have it all.
#ifndef WEIR_SWITCH_SHAPE_H
#define WEIR_SWITCH_SHAPE_H

#include "base/packet.h"
#include "switch/rate.h"
#include "switch/share.h"

enum {
	// A queue that was held back is looked at no sooner than after so long, though the next
	// frame may be due before: so frames go in bursts, and the worker can sleep in between.
	SHAPE_LOOK_US = 100,
	SHAPE_MEAN = 8, // log2 of the parts that means are kept in
};

// The lasting half, in struct port; zeroed, it is new. Workers write.
struct shaper {
	struct rate rate;
	// What a frame has counted as of late, by SHAPE_MEAN; hints.
	_Atomic uint32_t mean_bytes, mean_packets;
	_Atomic uint32_t draws;   // of lots, for whose turn it is
	_Atomic uint64_t held_at; // TSC when this rate, not a shared one, last held frames back
	_Atomic uint64_t full_at; // TSC when a full burst was last taken
};

// The compiled half, in the snapshot.
struct shaping {
	bool is_set;    // there is a limit
	bool by_queues; // several queues send
	uint8_t nshares;
	uint64_t look; // cycles of SHAPE_LOOK_US
	struct rate_limit own;
	struct share_ref shares[PORT_SHARED_MAX];
};

// What a frame counts as: a TSO frame as the segments that it will be. One that the parser has
// dropped has claims that nothing confirms, and may be longer than any that goes on.
struct shape_load {
	uint64_t bytes, packets;
};

static inline struct shape_load shape_load(const struct packet *p)
{
	if (p->verdict == VERDICT_DROP)
		return (struct shape_load){p->len < FRAME_MAX ? p->len : FRAME_MAX, 1};
	if (!(p->offload & OFFLOAD_TSO))
		return (struct shape_load){p->len, 1};
	uint32_t payload = p->len - p->payload_off;
	uint64_t segments = (payload + p->gso_size - 1) / p->gso_size;
	return (struct shape_load){p->len + (segments - 1) * p->payload_off, segments};
}

// Of some frames.
struct shape_sum {
	struct shape_load load;
	uint64_t len; // bytes, as they are
};

// How many frames are worth to be taken now from a ring that has some. 0: none is due, and *again
// is when to look. Worker.
unsigned shape_take(
	struct shaper *shaper, const struct shaping *limits, uint64_t tsc, uint64_t *again);

// How many of n frames may go, from the first on; charges them. *sum: what those count as.
// `waiting`: there are more behind the n. *again: when to look again; 0: at once. Worker.
unsigned shape_burst(struct shaper *shaper, const struct shaping *limits, uint64_t tsc,
	const struct packet *packets, unsigned n, bool waiting, struct shape_sum *sum,
	uint64_t *again);

// Whether the port's own rate, and no shared one, is what frames wait for. Worker.
bool shape_is_own(const struct shaper *shaper, const struct shaping *limits, uint64_t tsc);

#endif

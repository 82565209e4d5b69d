// SPDX-License-Identifier: BSD-3-Clause
// Whether a guest takes what is put into a to-vm ring. A ring does not tell what has been read; but
// a driver gives buffers back when it has read some, and, where it uses the event index, says up to
// where it has looked when it waits for more. One packet is then enough to tell. A guest that gives
// no buffers takes nothing either, as one whose card is not up.
//
// Without the event index a driver may keep the buffers of a few packets that it has read, and
// those look like packets that it has not; so a few packets do not count. It cannot be learned that
// one keeps none: DPDK's gives them back by 32, and can be seen with none for as long as the
// traffic is even.
#ifndef WEIR_SWITCH_STALL_H
#define WEIR_SWITCH_STALL_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/ring.h"

enum {
	STALL_LOOKS = 4, // in so many looks, a quarter of a second apart, nothing was taken
	// Linux and DPDK give buffers back when they lack 32 of them, or half of a small ring.
	STALL_KEPT = 64,
};

// Of one ring; zeroed: of none yet. Janitor.
struct stall {
	uint64_t ring;         // its number
	uint16_t avail, event; // as last seen
	uint16_t taken;        // of the used index: all before it counts as taken
	bool uses_event;       // it has moved
	uint8_t looks;         // in which packets were pending, and none was taken
};

static inline uint16_t stall_kept(const struct stall *s, uint16_t size)
{
	if (s->uses_event)
		return 0;
	return STALL_KEPT < size / 2 ? STALL_KEPT : size / 2;
}

// To be called four times a second. Whether it has been stalled for a second.
static inline bool stall_look(struct stall *s, const struct ring_progress *now)
{
	// What has not given one buffer yet is no card that is up.
	if (s->ring != now->number)
		*s = (struct stall){.ring = now->number,
			.avail = now->avail,
			.event = now->event,
			.taken = now->used,
			.looks = now->avail == now->used ? STALL_LOOKS : 0};
	bool waits = now->event != s->event;
	s->uses_event |= waits;
	bool gives = now->avail != s->avail;
	if (gives || waits || (s->uses_event && now->event == now->used))
		s->taken = now->used;
	s->avail = now->avail;
	s->event = now->event;
	uint16_t pending = (uint16_t)(now->used - s->taken);
	// One with more to do than it can has its buffers filled as soon as it gives them.
	bool is_free = gives || now->avail != now->used;
	if (is_free && (!pending || pending < stall_kept(s, now->size)))
		s->looks = 0;
	else if (s->looks < STALL_LOOKS)
		s->looks++;
	return s->looks == STALL_LOOKS;
}

#endif

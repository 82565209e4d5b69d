// SPDX-License-Identifier: BSD-3-Clause
// Whether a guest takes what is put into a to-vm ring. A ring does not tell what has been read; but
// a driver gives buffers back when it has read some, and, where it uses the event index, says up to
// where it has looked when it waits for more. It may keep some buffers for a while, so without the
// event index a few packets do not count as pending.
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

// Of one ring. Janitor.
struct stall {
	const void *ring;
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
static inline bool stall_look(
	struct stall *s, const struct ring *ring, const struct ring_progress *now)
{
	if (s->ring != ring)
		*s = (struct stall){
			.ring = ring, .avail = now->avail, .event = now->event, .taken = now->used};
	bool waits = now->event != s->event;
	s->uses_event |= waits;
	if (now->avail != s->avail || waits || (s->uses_event && now->event == now->used))
		s->taken = now->used;
	s->avail = now->avail;
	s->event = now->event;
	uint16_t pending = (uint16_t)(now->used - s->taken);
	if (!pending || pending < stall_kept(s, now->size))
		s->looks = 0;
	else if (s->looks < STALL_LOOKS)
		s->looks++;
	return s->looks == STALL_LOOKS;
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
// How long a worker waits from one look at its rings to the next.
//
// What a burst costs beside its packets is the way of some cache lines from the driver's CPU: as
// much as three or four small packets. A worker that looks at its rings as soon as it can finds one
// or two packets each time, pays that for each of them, takes those lines from the driver while it
// writes them, and is saturated by a load that it could carry with half of its time. So when
// packets come faster than they could be handled one by one, it waits until about a burst has come:
// at such a rate each packet would have to wait for others anyway. Below that rate, and for the
// first packets after a pause, it never waits.
#ifndef WEIR_SWITCH_GATHER_H
#define WEIR_SWITCH_GATHER_H

#include <stdint.h>

#include "base/packet.h"

enum {
	GATHER_WINDOW = 65536,    // cycles over which the rate is taken
	GATHER_ALONE_MAX = 4096,  // a packet that took longer had to wait for its CPU
	GATHER_ALONE_START = 512, // until one has come alone
	GATHER_HOLD_US = 2,       // never waits longer
};

// A worker's own.
struct gather {
	uint64_t hold;     // cycles from one look to the next; 0: at once
	uint64_t hold_max; //
	uint64_t since;    // TSC: the window's start
	uint32_t packets;  // in the window
	uint32_t alone;    // cycles that a packet takes which comes alone; an average
};

static inline void gather_init(struct gather *g, uint64_t now, uint64_t tsc_hz)
{
	*g = (struct gather){
		.hold_max = tsc_hz * GATHER_HOLD_US / 1000000,
		.since = now,
		.alone = GATHER_ALONE_START,
	};
}

// After a round that moved packets and took so many cycles.
static inline void gather_note(struct gather *g, uint64_t now, unsigned moved, uint64_t cycles)
{
	if (moved == 1 && cycles < GATHER_ALONE_MAX)
		g->alone += (uint32_t)(((int64_t)cycles - (int64_t)g->alone) / 16);
	g->packets += moved;
	uint64_t elapsed = now - g->since;
	if (elapsed < GATHER_WINDOW)
		return;
	uint64_t hold = 0;
	if ((uint64_t)g->packets * g->alone > elapsed) {
		hold = elapsed * BURST_MAX / g->packets;
		if (hold > g->hold_max)
			hold = g->hold_max;
	}
	g->hold = hold;
	g->since = now;
	g->packets = 0;
}

#endif

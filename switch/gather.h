// SPDX-License-Identifier: BSD-3-Clause
// How long a worker waits from one look at its rings to the next.
//
// What a burst costs beside its packets is the way of some cache lines from the driver's CPU: as
// much as three or four small packets. A worker that looks at its rings as soon as it can finds one
// or two packets each time, pays that for each of them, takes those lines from the driver while it
// writes them, and is saturated by a load that it could carry with half of its time.
//
// So when packets come faster than they can be handled one by one, it lets them gather: each would
// have to wait for others anyway. How long grows with the load, which is what packets handled one
// by one would take of its time: from nothing at 100 percent to GATHER_US at GATHER_FULL. Below
// that it never waits, and so not for what comes first after a pause, unless another port keeps the
// worker busy.
#ifndef WEIR_SWITCH_GATHER_H
#define WEIR_SWITCH_GATHER_H

#include <stdint.h>

#include "base/packet.h"

enum {
	GATHER_US = 3,
	GATHER_FULL = 115,
	GATHER_WINDOW = 65536, // cycles over which the load is taken
	// What a packet takes that comes alone: cycles, and bytes per cycle. From
	// docs/profiling.md's ways to find out; learning it while packets gather, when none comes
	// alone, was tried, and went wrong both ways. A CPU that takes longer merely waits later.
	GATHER_ALONE = 450,
	GATHER_BYTES = 6,
};

// What one look at a worker's rings has moved.
struct round {
	unsigned bursts;
	unsigned packets;
	uint64_t bytes;
};

// A worker's own.
struct gather {
	uint64_t hold;  // cycles from one look to the next; 0: at once
	uint64_t us;    // cycles of a microsecond
	uint64_t since; // TSC: the window's start
	// In the window:
	uint64_t packets;
	uint64_t bytes;
};

static inline void gather_init(struct gather *g, uint64_t now, uint64_t tsc_hz)
{
	*g = (struct gather){.us = tsc_hz / 1000000, .since = now};
}

// The longest wait under this load, in percent.
static inline uint64_t gather_limit(const struct gather *g, uint64_t load)
{
	if (load <= 100)
		return 0;
	uint64_t over = (load < GATHER_FULL ? load : GATHER_FULL) - 100;
	return g->us * GATHER_US * over / (GATHER_FULL - 100);
}

// After a round that moved packets.
static inline void gather_note(struct gather *g, uint64_t now, const struct round *round)
{
	g->packets += round->packets;
	g->bytes += round->bytes;
	uint64_t elapsed = now - g->since;
	if (elapsed < GATHER_WINDOW)
		return;
	uint64_t alone = g->packets * GATHER_ALONE + g->bytes / GATHER_BYTES;
	uint64_t limit = gather_limit(g, alone * 100 / elapsed);
	uint64_t burst = elapsed * BURST_MAX / g->packets; // the time that one takes to come
	g->hold = burst < limit ? burst : limit;
	g->since = now;
	g->packets = 0;
	g->bytes = 0;
}

#endif

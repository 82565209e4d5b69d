// SPDX-License-Identifier: BSD-3-Clause
// What the data path has to tell of a rate, and who holds its packets back.
#ifndef WEIR_SWITCH_RATE_FIGURES_H
#define WEIR_SWITCH_RATE_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/switch.h"

struct port;
struct shared_rate;

// Stamps are of the time stamp counter; 0: never.
struct rate_figures {
	struct traffic passed; // running totals, as the rate counts but for what `layer` adds
	struct traffic held;   // what waits for it now
	uint64_t wait_ns;      // for how long the oldest of them has
	uint64_t marks, drops; // running totals
	uint64_t rate_tsc;     // when the rate last held packets back
	uint64_t receiver_tsc; // to-vm: when the receiver's full ring did
	uint64_t backlog_tsc;  // from-vm: when there was last more in a ring than was taken
};

// Main thread.
void rate_figures_from_vm(const struct port *port, struct rate_figures *figures);
void rate_figures_to_vm(const struct port *port, struct rate_figures *figures);
// But for `passed`, which is the members'.
void rate_figures_shared(const struct shared_rate *shared, struct rate_figures *figures);

// Whether it was within the last second. hz: of the counter.
static inline bool rate_is_recent(uint64_t stamp, uint64_t tsc, uint64_t hz)
{
	return stamp && (int64_t)(tsc - stamp) < (int64_t)hz;
}

// busy: whether a worker of it has no time left.
static inline enum rate_limited rate_limited_by(
	const struct rate_figures *figures, bool busy, uint64_t tsc, uint64_t hz)
{
	bool rate = rate_is_recent(figures->rate_tsc, tsc, hz);
	bool receiver = rate_is_recent(figures->receiver_tsc, tsc, hz);
	// Both: the later one.
	if (receiver && (!rate || (int64_t)(figures->receiver_tsc - figures->rate_tsc) > 0))
		return LIMITED_BY_RECEIVER;
	if (rate)
		return LIMITED_BY_RATE;
	if (busy && rate_is_recent(figures->backlog_tsc, tsc, hz))
		return LIMITED_BY_WORKER;
	return LIMITED_BY_GUEST;
}

#endif

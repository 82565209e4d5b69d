// SPDX-License-Identifier: BSD-3-Clause
// Holds a VM to its rates: what is not due goes back into its ring. Here and not in rx, since only
// parse knows what a TSO frame counts as; rx takes about as many as are due, so little is gathered
// twice.
//
// What goes on is counted as from-vm.
#include "switch/pipeline.h"

#include "base/likely.h"

static struct shape_sum shape(struct pass *pass)
{
	const struct port_view *in = pass->in;
	struct shaper *shaper = &in->port->shaper;
	struct burst *burst = &pass->burst;
	struct ring *ring = pass->source;
	struct shape_sum sum;
	bool was_held = pass->again, waiting = ring_pending(ring);
	unsigned n = burst->count;
	unsigned go = shape_burst(
		shaper, &in->shaping, pass->tsc, burst->packets, n, waiting, &sum, &pass->again);
	if (go < n)
		ring_untake(ring, n - go);
	burst->count = (uint16_t)go;
	// Also what came while the queue was not looked at has waited.
	if ((was_held || (pass->again && (go < n || waiting))) &&
		shape_is_own(shaper, &in->shaping, pass->tsc))
		atomic_store_explicit(&shaper->held_at, pass->tsc, memory_order_relaxed);
	if (go == BURST_MAX)
		atomic_store_explicit(&shaper->full_at, pass->tsc, memory_order_relaxed);
	return sum;
}

static uint64_t length(const struct burst *burst)
{
	uint64_t bytes = 0;
	for (unsigned i = 0; i < burst->count; i++)
		bytes += burst->packets[i].len;
	return bytes;
}

// What comes on a ring that the guest has disabled goes nowhere, and uses up nothing.
static bool is_held_to_rates(const struct pass *pass)
{
	return pass->in->shaping.is_set && pass->source &&
	       pass->burst.packets[0].drop != DROP_QUEUE_DISABLED;
}

unsigned stage_shape(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	struct queue_counters *counters = pass->counters;
	if (unlikely(is_held_to_rates(pass))) {
		struct shape_sum sum = shape(pass);
		pass->bytes = sum.len;
		if (unlikely(sum.load.packets > burst->count))
			counter_add(&counters->segments, sum.load.packets - burst->count,
				sum.load.bytes - sum.len);
	} else {
		pass->bytes = length(burst);
	}
	if (likely(counters))
		counter_add(&counters->from_vm, burst->count, pass->bytes);
	return burst->count;
}

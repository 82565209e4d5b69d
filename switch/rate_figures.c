// SPDX-License-Identifier: BSD-3-Clause
#include "switch/rate_figures.h"

#include <x86intrin.h>

#include "switch/private.h"

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void add(struct traffic *sum, const struct counter *counter)
{
	sum->packets += atomic_load_explicit(&counter->packets, memory_order_relaxed);
	sum->bytes += atomic_load_explicit(&counter->bytes, memory_order_relaxed);
}

void rate_figures_from_vm(const struct port *port, struct rate_figures *figures)
{
	struct traffic policed = {0};
	*figures = (struct rate_figures){
		.rate_tsc = load(&port->shaper.held_at),
		.backlog_tsc = load(&port->shaper.full_at),
	};
	// Of all that it could ever have: totals do not go back when it gets fewer.
	for (uint16_t q = 0; q < QUEUE_PAIRS_MAX; q++) {
		const struct queue_counters *counters = &port->counters[q];
		// First: what was policed has been counted before, so there is no less of it.
		add(&policed, &counters->policed);
		add(&figures->passed, &counters->from_vm);
		add(&figures->passed, &counters->segments);
	}
	figures->passed.packets -= policed.packets;
	figures->passed.bytes -= policed.bytes;
	figures->drops = policed.packets;
}

static uint64_t drops_of(const struct port *port, enum drop_reason reason)
{
	uint64_t n = 0;
	for (uint16_t w = 0; w < port->sw->nworkers; w++)
		n += load(&port->drops[w].of[reason]);
	return n;
}

static void describe_queue(const struct to_vm_queue *queue, struct rate_figures *figures)
{
	uint64_t waiting = load(&queue->oldest_since), ready = load(&queue->ready_since);
	uint64_t since = ready && (!waiting || (int64_t)(waiting - ready) > 0) ? ready : waiting;
	int64_t cycles = since ? (int64_t)(__rdtsc() - since) : 0;
	figures->held.packets = atomic_load_explicit(&queue->held, memory_order_relaxed);
	figures->held.bytes = load(&queue->held_bytes);
	figures->marks = load(&queue->marks);
	figures->rate_tsc = load(&queue->rate_at);
	figures->receiver_tsc = load(&queue->receiver_at);
	if (cycles > 0 && figures->held.packets)
		figures->wait_ns = (uint64_t)((__uint128_t)cycles * 1000000000 / worker_tsc_hz());
}

void rate_figures_to_vm(const struct port *port, struct rate_figures *figures)
{
	*figures = (struct rate_figures){0};
	for (uint16_t q = 0; q < QUEUE_PAIRS_MAX; q++) {
		add(&figures->passed, &port->counters[q].to_vm);
		add(&figures->passed, &port->counters[q].to_vm_segments);
	}
	figures->drops = drops_of(port, DROP_TO_VM_QUEUE_FULL) +
			 drops_of(port, DROP_TO_VM_QUEUE_DROP) +
			 drops_of(port, DROP_TO_VM_NO_BUFFER);
	if (port->queue)
		describe_queue(port->queue, figures);
}

void rate_figures_shared(const struct shared_rate *shared, struct rate_figures *figures)
{
	*figures = (struct rate_figures){.rate_tsc = load(&shared->share.held_at)};
}

// SPDX-License-Identifier: BSD-3-Clause
#include "switch/rate_figures.h"

#include "switch/snapshot.h"

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
	for (uint16_t q = 0; q < port->config.vhost_user.queues; q++) {
		const struct queue_counters *counters = &port->counters[q];
		add(&figures->passed, &counters->from_vm);
		add(&figures->passed, &counters->segments);
		add(&policed, &counters->policed);
	}
	figures->passed.packets -= policed.packets;
	figures->passed.bytes -= policed.bytes;
	figures->drops = policed.packets;
}

void rate_figures_to_vm(const struct port *port, struct rate_figures *figures)
{
	*figures = (struct rate_figures){0};
	for (uint16_t q = 0; q < port->config.vhost_user.queues; q++)
		add(&figures->passed, &port->counters[q].to_vm);
}

void rate_figures_shared(const struct shared_rate *shared, struct rate_figures *figures)
{
	*figures = (struct rate_figures){.rate_tsc = load(&shared->share.held_at)};
}

// SPDX-License-Identifier: BSD-3-Clause
#include "switch/rate_figures.h"

#include "switch/snapshot.h"

static void add(struct traffic *sum, const struct counter *counter)
{
	sum->packets += atomic_load_explicit(&counter->packets, memory_order_relaxed);
	sum->bytes += atomic_load_explicit(&counter->bytes, memory_order_relaxed);
}

void rate_figures_from_vm(const struct port *port, struct rate_figures *figures)
{
	*figures = (struct rate_figures){0};
	for (uint16_t q = 0; q < port->config.vhost_user.queues; q++)
		add(&figures->passed, &port->counters[q].from_vm);
}

void rate_figures_to_vm(const struct port *port, struct rate_figures *figures)
{
	*figures = (struct rate_figures){0};
	for (uint16_t q = 0; q < port->config.vhost_user.queues; q++)
		add(&figures->passed, &port->counters[q].to_vm);
}

void rate_figures_shared(const struct shared_rate *shared, struct rate_figures *figures)
{
	(void)shared;
	*figures = (struct rate_figures){0};
}

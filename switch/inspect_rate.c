// SPDX-License-Identifier: BSD-3-Clause
// What the control plane asks of rates: what passes in truth, what waits, and for whom. Speeds come
// from samples that switch_poll takes of all VMs' ports, so that they are known as soon as somebody
// asks.
#include <string.h>
#include <x86intrin.h>

#include "switch/private.h"
#include "switch/rate_figures.h"

enum {
	BUSY_PERCENT = 97,
};

static void figures_of(const struct port *port, enum rate_kind kind, struct rate_figures *figures)
{
	if (kind == RATE_TO_VM)
		rate_figures_to_vm(port, figures);
	else
		rate_figures_from_vm(port, figures);
}

static void sample_port(struct port *port, enum rate_kind kind, uint64_t tsc)
{
	struct rate_figures figures;
	// Before the counters are read, whose lines are the workers'.
	if (!history_is_due(&port->passed[kind], tsc, worker_tsc_hz()))
		return;
	figures_of(port, kind, &figures);
	const uint64_t of[] = {figures.passed.bytes, figures.passed.packets};
	history_add(&port->passed[kind], of, tsc);
}

static void load_of(const struct worker *worker, uint64_t of[2])
{
	of[0] = atomic_load_explicit(&worker->busy_cycles, memory_order_relaxed);
	of[1] = atomic_load_explicit(&worker->idle_cycles, memory_order_relaxed);
}

void rates_sample(struct weir_switch *sw)
{
	uint64_t tsc = __rdtsc(), of[2];
	for (size_t i = 0; i < sw->nports; i++) {
		struct port *port = sw->ports[i];
		if (port->config.kind != PORT_KIND_VHOST_USER)
			continue;
		sample_port(port, RATE_FROM_VM, tsc);
		sample_port(port, RATE_TO_VM, tsc);
	}
	for (uint16_t w = 0; w < sw->nworkers; w++) {
		if (!history_is_due(&sw->loads[w], tsc, worker_tsc_hz()))
			continue;
		load_of(&sw->workers[w], of);
		history_add(&sw->loads[w], of, tsc);
	}
}

// Of the workers of its queues, whether one has no time left.
static bool is_busy(const struct port *port, uint64_t tsc)
{
	const struct weir_switch *sw = port->sw;
	for (uint16_t q = 0; q < port->config.vhost_user.queues; q++) {
		uint64_t now[2];
		load_of(&sw->workers[port->owner[q]], now);
		struct history_growth growth = history_growth(
			&sw->loads[port->owner[q]], now, tsc, worker_tsc_hz(), 1);
		if (growth.of[0] * 100 >= (growth.of[0] + growth.of[1]) * BUSY_PERCENT &&
			growth.of[0])
			return true;
	}
	return false;
}

static uint64_t counted(const struct config_rate *rate, uint64_t bytes, uint64_t packets)
{
	return bytes + packets * rate_overhead(rate);
}

static struct rate_speed speed_of(const struct history *history, const struct traffic *passed,
	const struct config_rate *rate, uint64_t tsc, unsigned seconds)
{
	const uint64_t now[] = {passed->bytes, passed->packets}, hz = worker_tsc_hz();
	struct history_growth growth = history_growth(history, now, tsc, hz, seconds);
	uint64_t bytes = counted(rate, growth.of[0], growth.of[1]);
	return (struct rate_speed){
		.known = growth.cycles,
		.bits = history_per_second(bytes * 8, growth.cycles, hz),
		.packets = history_per_second(growth.of[1], growth.cycles, hz),
	};
}

// What a port has passed, as this rate counts.
static void describe_traffic(const struct port *port, const struct rate_figures *figures,
	uint64_t tsc, struct rate_status *status)
{
	const struct history *history = &port->passed[status->kind];
	status->last_1s = speed_of(history, &figures->passed, status->config, tsc, 1);
	status->last_10s = speed_of(history, &figures->passed, status->config, tsc, 10);
	status->passed = figures->passed;
	status->passed.bytes = counted(
		status->config, figures->passed.bytes, figures->passed.packets);
}

static void describe_rest(
	const struct rate_figures *figures, bool busy, uint64_t tsc, struct rate_status *status)
{
	status->held = figures->held;
	status->held.bytes = counted(status->config, figures->held.bytes, figures->held.packets);
	status->wait_ns = figures->wait_ns;
	status->marks = figures->marks;
	status->drops = figures->drops;
	status->limited_by = rate_limited_by(figures, busy, tsc, worker_tsc_hz());
}

// As `config` counts, which is the port's own or that of a rate which it shares.
static void describe_port(const struct port *port, enum rate_kind kind,
	const struct config_rate *config, struct rate_status *status)
{
	struct rate_figures figures;
	figures_of(port, kind, &figures);
	// Behind what was read: no stamp is later.
	uint64_t tsc = __rdtsc();
	*status = (struct rate_status){
		.name = port->config.name,
		.kind = kind,
		.config = config,
	};
	describe_traffic(port, &figures, tsc, status);
	describe_rest(&figures, kind == RATE_FROM_VM && is_busy(port, tsc), tsc, status);
}

bool switch_rate_member(struct weir_switch *sw, const struct config_shared *shared,
	const char *port, struct rate_status *status)
{
	const struct port *member = switch_port_by_name(sw, port);
	if (!member)
		return false;
	describe_port(member, RATE_FROM_VM, &shared->rate, status);
	return true;
}

static void add_speed(struct rate_speed *sum, const struct rate_speed *one)
{
	sum->known |= one->known;
	sum->bits += one->bits;
	sum->packets += one->packets;
}

static void describe_shared(
	struct weir_switch *sw, const struct shared_rate *shared, struct rate_status *status)
{
	struct rate_figures figures;
	struct rate_status member;
	*status = (struct rate_status){
		.name = shared->config.name,
		.kind = RATE_SHARED,
		.config = &shared->config.rate,
		.shared = &shared->config,
	};
	for (size_t i = 0; i < shared->config.nmembers; i++) {
		const char *port = shared->config.members[i].port;
		if (!switch_rate_member(sw, &shared->config, port, &member))
			continue;
		add_speed(&status->last_1s, &member.last_1s);
		add_speed(&status->last_10s, &member.last_10s);
		status->passed.packets += member.passed.packets;
		status->passed.bytes += member.passed.bytes;
	}
	rate_figures_shared(shared, &figures);
	describe_rest(&figures, false, __rdtsc(), status);
}

bool switch_rate_at(struct weir_switch *sw, size_t position, struct rate_status *status)
{
	for (size_t i = 0; i < sw->nports; i++) {
		const struct port *port = sw->ports[i];
		const struct config_rate *of[] = {&port->config.from_vm, &port->config.to_vm};
		for (unsigned kind = RATE_FROM_VM; kind <= RATE_TO_VM; kind++) {
			if (!config_rate_is_set(of[kind]) || position--)
				continue;
			describe_port(port, kind, of[kind], status);
			return true;
		}
	}
	if (position >= sw->nshared)
		return false;
	describe_shared(sw, sw->shared[position], status);
	return true;
}

// SPDX-License-Identifier: BSD-3-Clause
// What the control plane asks of the running switch. Counters are read while workers write them:
// each is a moment old, none is torn.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "switch/private.h"
#include "switch/nic.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_traffic(struct traffic *sum, const struct counter *c, struct traffic *one)
{
	one->packets = load(&c->packets);
	one->bytes = load(&c->bytes);
	sum->packets += one->packets;
	sum->bytes += one->bytes;
}

static void describe_queues(const struct port *port, struct port_info *info)
{
	struct weir_switch *sw = port->sw;
	bool nic = port->config.kind == PORT_KIND_DPDK;
	info->nqueues = nic ? port->config.dpdk.queues : port->config.vhost_user.queues;
	for (uint16_t q = 0; q < info->nqueues; q++) {
		struct queue_info *queue = &info->queues[q];
		queue->worker_cpu = sw->workers[port->owner[q]].cpu;
		add_traffic(&info->from_vm, &port->counters[q].from_vm, &queue->from_vm);
		add_traffic(&info->to_vm, &port->counters[q].to_vm, &queue->to_vm);
		if (nic)
			queue->running = port->nic && q < port->nic->nrx;
		else
			queue->running = port->vhost && vhost_port_pairs(port->vhost) >> q & 1;
	}
	// Of a NIC's transmit queues each worker has its own, however many receive queues there
	// are; and totals do not go back when there are fewer than there were.
	struct traffic rest;
	for (uint16_t q = info->nqueues; q < QUEUE_PAIRS_MAX; q++) {
		add_traffic(&info->from_vm, &port->counters[q].from_vm, &rest);
		add_traffic(&info->to_vm, &port->counters[q].to_vm, &rest);
	}
}

static void describe(struct port *port, struct port_info *info)
{
	*info = (struct port_info){.id = port->id, .config = &port->config};
	snprintf(info->socket_path, sizeof(info->socket_path), "%s", port->socket_path);
	port_status(port, &info->status);
	describe_queues(port, info);
	for (uint16_t w = 0; w < port->sw->nworkers; w++)
		for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
			info->drops[r] += load(&port->drops[w].of[r]);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		info->drops_total += info->drops[r];
	info->macs = mac_count_of(port->bridge->macs, port->id);
}

size_t switch_port_count(const struct weir_switch *sw)
{
	return sw->nports;
}

bool switch_port_at(struct weir_switch *sw, size_t position, struct port_info *info)
{
	if (position >= sw->nports)
		return false;
	describe(sw->ports[position], info);
	return true;
}

bool switch_port_find(struct weir_switch *sw, const char *name, struct port_info *info)
{
	struct port *port = switch_port_by_name(sw, name);
	if (port)
		describe(port, info);
	return port != NULL;
}

size_t switch_port_statistics(
	struct weir_switch *sw, const char *name, struct port_statistic *statistics, size_t max)
{
	const struct port *port = switch_port_by_name(sw, name);
	return port && port->nic ? nic_statistics(port->nic, statistics, max) : 0;
}

// Samples are stamped with the cycle counter: how long ago it was, taken off what the clock says
// now.
static uint64_t wall_clock(uint64_t tsc)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	uint64_t now_ns = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	int64_t ago = (int64_t)(__rdtsc() - tsc);
	return ago > 0 ? now_ns - (uint64_t)((double)ago * 1e9 / (double)worker_tsc_hz()) : now_ns;
}

bool switch_drop_last(const struct weir_switch *sw, const char *port, enum drop_reason reason,
	struct drop_last *last)
{
	const struct port *p = switch_port_by_name(sw, port);
	struct drop_header header;
	if (!p || !drop_sample_get(&p->samples[reason], &header))
		return false;
	last->time_ns = wall_clock(header.tsc);
	last->len = (uint16_t)header.len;
	memcpy(last->header, header.bytes, sizeof(last->header));
	return true;
}

static const char *port_name(const struct weir_switch *sw, uint16_t id)
{
	for (size_t i = 0; i < sw->nports; i++)
		if (sw->ports[i]->id == id)
			return sw->ports[i]->config.name;
	return NULL;
}

int switch_fdb_list(struct weir_switch *sw, const char *bridge, uint32_t *cursor,
	struct fdb_entry *entries, size_t max)
{
	const struct bridge *b = switch_bridge_find(sw, bridge);
	if (!b)
		return -ENOENT;
	uint32_t now_s = atomic_load(&sw->janitor.now_s);
	size_t n = 0;
	do {
		struct mac_view views[64];
		uint32_t room = max - n < 64 ? (uint32_t)(max - n) : 64;
		uint32_t got = mac_walk(b->macs, cursor, views, room);
		for (uint32_t i = 0; i < got; i++) {
			const char *name = port_name(sw, views[i].port);
			if (!name)
				continue;
			struct fdb_entry *e = &entries[n++];
			*e = (struct fdb_entry){.vlan = views[i].vlan};
			memcpy(e->mac, views[i].mac, sizeof(e->mac));
			snprintf(e->port, sizeof(e->port), "%s", name);
			e->age_s = now_s > views[i].seen_s ? now_s - views[i].seen_s : 0;
		}
	} while (*cursor && n < max);
	return (int)n;
}

int switch_fdb_flush(
	struct weir_switch *sw, const char *bridge, const char *port, int vlan, const uint8_t *mac)
{
	const struct bridge *b = switch_bridge_find(sw, bridge);
	const struct port *p = port ? switch_port_by_name(sw, port) : NULL;
	if (!b || (port && !p))
		return -ENOENT;
	return (int)mac_flush(b->macs, p ? p->id : -1, vlan, mac);
}

size_t switch_bridge_count(const struct weir_switch *sw)
{
	return sw->nbridges;
}

bool switch_bridge_at(struct weir_switch *sw, size_t position, struct bridge_info *info)
{
	if (position >= sw->nbridges)
		return false;
	const struct bridge *b = sw->bridges[position];
	struct mac_stats stats;
	mac_table_stats(b->macs, &stats);
	*info = (struct bridge_info){
		.config = &b->config,
		.number = b->number,
		.macs = stats.count,
		.macs_max = MAC_TABLE_ENTRIES,
		.learned = stats.learned,
		.moved = stats.moved,
		.aged = stats.aged,
		.refused = stats.refused,
	};
	return true;
}

size_t switch_worker_count(const struct weir_switch *sw)
{
	return sw->nworkers;
}

bool switch_worker_at(struct weir_switch *sw, size_t position, struct worker_info *info)
{
	if (position >= sw->nworkers)
		return false;
	const struct worker *w = &sw->workers[position];
	*info = (struct worker_info){
		.cpu = w->cpu,
		.packets = load(&w->packets),
		.bursts = load(&w->bursts),
		.busy_cycles = load(&w->busy_cycles),
		.idle_cycles = load(&w->idle_cycles),
		.polls = load(&w->polls),
		.sleeps = load(&w->sleeps),
		.tsc_hz = worker_tsc_hz(),
		.lookups = load(&w->lookups),
		.tracked = load(&w->tracked),
		.queues = sw->published->queues[position].count,
	};
	return true;
}

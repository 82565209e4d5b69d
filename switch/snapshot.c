// SPDX-License-Identifier: BSD-3-Clause
#include "switch/snapshot.h"
#include "switch/nic.h"

#include <stdlib.h>
#include <string.h>

#include "switch/worker.h"

static void compile_budgets(struct port_view *v, const struct config_limits *limits)
{
	const uint32_t pps[FLOOD_KINDS] = {
		[FLOOD_BROADCAST] = limits->broadcast_pps,
		[FLOOD_MULTICAST] = limits->multicast_pps,
		[FLOOD_UNKNOWN] = limits->unknown_pps,
	};
	for (unsigned i = 0; i < FLOOD_KINDS; i++) {
		v->has_budgets |= pps[i] != 0;
		v->budgets[i] = budget_rate(pps[i], worker_tsc_hz());
	}
}

static void compile_shaping(struct port_view *v, const struct config_port *config)
{
	v->shaping.look = worker_tsc_hz() / 1000000 * SHAPE_LOOK_US;
	v->shaping.by_queues = config->vhost_user.queues > 1;
	const struct config_rate *rate = &config->from_vm;
	if (rate->police) {
		v->is_policed = true;
		police_compile(&v->police, rate, worker_tsc_hz());
		return;
	}
	rate_compile(&v->shaping.own, rate, config->mtu, worker_tsc_hz());
	v->shaping.is_set = config_rate_is_set(rate);
}

// A rate that is gone leaves the queue without a limit, and what waits there in the same order.
static void compile_queueing(struct port_view *v, struct port *port)
{
	v->queueing = (struct queueing){
		.queue = port->queue,
		.scheduler = port->scheduler,
		.settings = port->settings,
		.version = port->queue_version,
		.us = worker_tsc_hz() / 1000000,
		.number = UINT32_MAX,
	};
	rate_compile(&v->queueing.limit, &port->config.to_vm, port->config.mtu, worker_tsc_hz());
}

static void compile_view(struct port_view *v, struct port *port)
{
	const struct config_vlan *vlan = &port->config.vlan;
	*v = (struct port_view){
		.port = port,
		.vhost = port->vhost,
		.nic = port->nic,
		.bridge = port->bridge,
		.id = port->id,
		.mtu = port->config.mtu,
		.mac_limit = port->config.limits.macs,
		.is_nic = port->config.kind == PORT_KIND_DPDK,
		.trunk = vlan->kind == VLAN_TRUNK,
		.zone = zone_of(port->bridge->number, 0),
		.new_connections = budget_rate(
			port->config.limits.new_connections_cps, worker_tsc_hz()),
	};
	memcpy(v->mac, port->config.addresses.mac, sizeof(v->mac));
	compile_budgets(v, &port->config.limits);
	compile_shaping(v, &port->config);
	compile_queueing(v, port);
	switch (vlan->kind) {
	case VLAN_UNTAGGED:
		v->untagged_vlan = 0;
		break;
	case VLAN_ACCESS:
		v->untagged_vlan = vlan->access;
		break;
	case VLAN_TRUNK:
		v->untagged_vlan = vlan->native ? vlan->native : VLAN_NONE;
		memcpy(v->members, vlan->members, sizeof(v->members));
		break;
	}
	if (v->untagged_vlan != VLAN_NONE)
		v->members[v->untagged_vlan / 64] |= 1ull << (v->untagged_vlan % 64);
}

// Few ports may have addresses, and what is compiled from them is large: so only theirs.
static bool compile_guards(struct snapshot *s, struct port *const *ports, size_t nports)
{
	size_t count = 0;
	for (size_t i = 0; i < nports; i++)
		count += guard_wanted(&ports[i]->config.addresses);
	s->guards = aligned_alloc(64, (count + 1) * sizeof(*s->guards));
	struct guard *next = s->guards;
	for (size_t i = 0; i < nports && next; i++) {
		if (!guard_wanted(&ports[i]->config.addresses))
			continue;
		guard_compile(next, &ports[i]->config.addresses);
		s->all[i].guard = next++;
	}
	return s->guards != NULL;
}

static bool is_flooded(const struct port_view *v)
{
	return !v->places || v->is_host;
}

// Each bridge's ports stand together in one array, so that a flood walks nothing else. Those of
// network functions get no floods, but for hosts among them.
static void compile_peers(struct snapshot *s, struct port *const *ports, size_t nports)
{
	uint16_t *next = s->peers;
	for (size_t i = 0; i < nports; i++) {
		if (s->all[i].peers)
			continue;
		const uint16_t *first = next;
		for (size_t j = i; j < nports; j++)
			if (ports[j]->bridge == ports[i]->bridge && is_flooded(&s->all[j]))
				*next++ = ports[j]->id;
		for (size_t j = i; j < nports; j++)
			if (ports[j]->bridge == ports[i]->bridge) {
				s->all[j].peers = first;
				s->all[j].npeers = (uint16_t)(next - first);
			}
	}
}

// What begins behind an NF that changes addresses has been paid for where it began before it.
static uint32_t connection_limit(const struct port_view *v, const struct config_limits *limits,
	const struct conn_table *conns)
{
	struct conn_stats stats;
	if (limits->connections || !conns || v->is_host)
		return limits->connections;
	conn_table_stats(conns, &stats);
	return stats.capacity / 4;
}

// Which ports have groups, and whose packets are tracked therefore: all of a bridge that has such a
// port, for whom a packet is for is known only behind connect.
static bool compile_policy(struct snapshot *s, struct port *const *ports, size_t nports)
{
	s->groups = calloc(nports + 1, sizeof(*s->groups));
	if (!s->groups)
		return false;
	if (!s->conns)
		return true;
	for (size_t i = 0; i < nports; i++) {
		struct port_view *v = &s->all[i];
		v->conn_limit = connection_limit(v, &ports[i]->config.limits, s->conns);
		v->connects |= v->is_chained && (!v->places || v->is_host);
		if (!ports[i]->config.ngroups)
			continue;
		rules_group_list(s->rules, &ports[i]->config, &s->groups[i]);
		v->groups = &s->groups[i];
		// Unless another one of the bridge has done it.
		bool done = v->connects;
		for (size_t k = 0; k < nports && !done; k++)
			s->all[k].connects |= ports[k]->bridge == ports[i]->bridge &&
					      !s->all[k].places;
	}
	s->zones = zones_new(s->rules, ports, nports);
	return s->zones;
}

static uint16_t port_queues(const struct port *port)
{
	if (port->nic)
		return port->nic->nrx;
	return port->vhost ? port->config.vhost_user.queues : 0;
}

// Each worker's begins a cache line.
static bool make_agendas(struct snapshot *s)
{
	size_t words = 0;
	for (uint16_t w = 0; w < s->nworkers; w++)
		words += agenda_words(s->queues[w].count) + agenda_words(s->queues[w].nto_vm);
	size_t size = (words + 8) * sizeof(*s->agendas);
	s->agendas = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!s->agendas)
		return false;
	memset(s->agendas, 0, size);
	uint64_t *next = s->agendas;
	for (uint16_t w = 0; w < s->nworkers; w++) {
		s->queues[w].agenda = agenda_at(next, s->queues[w].count);
		next += agenda_words(s->queues[w].count);
		s->queues[w].to_vm_agenda = agenda_at(next, s->queues[w].nto_vm);
		next += agenda_words(s->queues[w].nto_vm);
	}
	return true;
}

static void compile_to_vm_queues(struct snapshot *s, struct port *const *ports, size_t nports)
{
	const struct port_view **next = s->to_vm;
	for (uint16_t w = 0; w < s->nworkers; w++) {
		struct worker_queues *own = &s->queues[w];
		own->to_vm = next;
		for (size_t i = 0; i < nports; i++) {
			if (!ports[i]->queue || ports[i]->owner[0] != w)
				continue;
			s->all[i].queueing.number = own->nto_vm++;
			*next++ = &s->all[i];
		}
	}
}

static bool compile_queues(struct snapshot *s, struct port *const *ports, size_t nports)
{
	compile_to_vm_queues(s, ports, nports);
	struct queue_ref *next = s->refs;
	for (uint16_t w = 0; w < s->nworkers; w++) {
		s->queues[w].refs = next;
		for (size_t i = 0; i < nports; i++)
			for (uint16_t q = 0; q < port_queues(ports[i]); q++)
				if (ports[i]->owner[q] == w)
					*next++ = (struct queue_ref){.view = &s->all[i], .pair = q};
		s->queues[w].count = (uint32_t)(next - s->queues[w].refs);
	}
	return make_agendas(s);
}

struct snapshot *snapshot_compile(
	struct port *const *ports, size_t nports, const struct snapshot_options *options)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->generation = options->generation;
	s->poll = options->poll;
	s->nworkers = options->nworkers;
	s->conns = options->conns;
	s->rules = options->rules;
	s->epoch = options->epoch;
	s->built_in = options->built_in;
	s->track = options->track;
	s->macs = options->macs;
	s->all = calloc(nports + 1, sizeof(*s->all));
	s->peers = calloc(nports + 1, sizeof(*s->peers));
	s->refs = calloc(nports * QUEUE_PAIRS_MAX + 1, sizeof(*s->refs));
	s->to_vm = calloc(nports + 1, sizeof(*s->to_vm));
	if (!s->all || !s->peers || !s->refs || !s->to_vm) {
		snapshot_free(s);
		return NULL;
	}
	for (size_t i = 0; i < nports; i++) {
		compile_view(&s->all[i], ports[i]);
		s->views[ports[i]->id] = &s->all[i];
	}
	if (!compile_guards(s, ports, nports)) {
		snapshot_free(s);
		return NULL;
	}
	if (!snapshot_chains(s, ports, nports, options)) {
		snapshot_free(s);
		return NULL;
	}
	compile_peers(s, ports, nports);
	if (!compile_policy(s, ports, nports)) {
		snapshot_free(s);
		return NULL;
	}
	if (!compile_queues(s, ports, nports) || !snapshot_shares(s, ports, nports, options)) {
		snapshot_free(s);
		return NULL;
	}
	return s;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->refs);
	free(s->to_vm);
	free(s->agendas);
	free(s->shared);
	free(s->shared_members);
	free(s->peers);
	free(s->all_chains);
	free(s->candidates);
	free(s->places);
	free(s->probes);
	free(s->marks);
	free(s->guards);
	free(s->groups);
	zones_free(s->zones);
	free(s->all);
	free(s);
}

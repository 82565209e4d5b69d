// SPDX-License-Identifier: BSD-3-Clause
// How a configuration becomes the running one, or changes nothing: build aside, publish without
// what goes, close that, open what is new, publish. All of it is the main thread's; workers and the
// janitor see `published` only, so whatever it named is freed behind a grace period.
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "switch/private.h"

// Given out in turn, as the ids of ports are.
static uint16_t free_bridge_number(struct weir_switch *sw)
{
	for (;;) {
		uint16_t number = sw->next_bridge;
		sw->next_bridge = (uint16_t)((number + 1) % BRIDGE_NUMBERS);
		bool used = false;
		for (size_t i = 0; i < sw->nbridges && !used; i++)
			used = sw->bridges[i]->number == number;
		if (used)
			continue;
		sw->epoch += sw->bridge_used[number];
		sw->bridge_used[number] = true;
		return number;
	}
}

static struct bridge *bridge_new(struct weir_switch *sw, const struct config_bridge *config)
{
	struct bridge *bridge = calloc(1, sizeof(*bridge));
	if (!bridge)
		return NULL;
	bridge->config = *config;
	bridge->number = free_bridge_number(sw);
	atomic_store(&bridge->ageing_s, config->ageing_s);
	bridge->macs = mac_table_new(sw->mac_secret);
	if (!bridge->macs) {
		free(bridge);
		return NULL;
	}
	return bridge;
}

static const struct config_bridge *wanted_bridge(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nbridges; i++)
		if (!strcmp(config->bridges[i].name, name))
			return &config->bridges[i];
	return NULL;
}

int switch_check(struct weir_switch *sw, const struct config *config, struct error *err)
{
	(void)sw; // of the same shape as switch_apply, which a dry run replaces
	if (config->nports >= PORTS_MAX)
		return error_set(err, E2BIG,
			"ports: %zu are more than the %d that one switch can have", config->nports,
			PORTS_MAX - 1);
	if (config->nbridges > BRIDGES_MAX)
		return error_set(err, E2BIG,
			"bridges: %zu are more than the %d that one switch can have",
			config->nbridges, BRIDGES_MAX);
	if (config->nshared > SHARED_MAX)
		return error_set(err, E2BIG,
			"rates: %zu are more than the %d that one switch can have", config->nshared,
			SHARED_MAX);
	if (config->nchains > CHAINS_MAX)
		return error_set(err, E2BIG,
			"chains: %zu are more than the %d that one switch can have",
			config->nchains, CHAINS_MAX);
	for (size_t i = 0; i < config->nports; i++)
		if (!wanted_bridge(config, config->ports[i].bridge))
			return error_set(err, EINVAL, "port %s: no bridge is named %s",
				config->ports[i].name, config->ports[i].bridge);
	return 0;
}

// A change under way: what will be, beside what is. Nothing running is touched before `commit`.
struct change {
	struct weir_switch *sw;
	const struct config *config;
	size_t nbridges;
	struct bridge *bridges[BRIDGES_MAX];
	size_t nports;
	struct port *ports[PORTS_MAX];
	bool reopen[PORTS_MAX];
	bool port_is_new[PORTS_MAX];
	bool bridge_is_new[BRIDGES_MAX];
	struct policy_change policy;
	struct shared_change shared;
	struct chains_change chains;
	struct queue_change queues[PORTS_MAX];
};

static void abandon(struct change *c)
{
	for (size_t i = 0; i < c->nports; i++) {
		queue_abandon(&c->queues[i]);
		if (c->port_is_new[i])
			port_free(c->ports[i]);
	}
	for (size_t i = 0; i < c->nbridges; i++)
		if (c->bridge_is_new[i])
			bridge_free(c->bridges[i]);
	shared_abandon(&c->shared);
	chains_abandon(&c->chains);
	policy_abandon(&c->policy);
}

_Static_assert(offsetof(struct config_bridge, name) == 0, "switch_by_name");
_Static_assert(offsetof(struct config_port, name) == 0, "switch_by_name");

int switch_by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

static int prepare_bridges(struct change *c)
{
	const struct config_bridge *sorted[BRIDGES_MAX];
	for (size_t i = 0; i < c->config->nbridges; i++)
		sorted[i] = &c->config->bridges[i];
	qsort(sorted, c->config->nbridges, sizeof(sorted[0]), switch_by_name);
	for (size_t i = 0; i < c->config->nbridges; i++) {
		struct bridge *bridge = switch_bridge_find(c->sw, sorted[i]->name);
		c->bridge_is_new[i] = !bridge;
		if (!bridge)
			bridge = bridge_new(c->sw, sorted[i]);
		if (!bridge)
			return -ENOMEM;
		c->bridges[c->nbridges++] = bridge;
	}
	return 0;
}

static int prepare_ports(struct change *c)
{
	const struct config_port *sorted[PORTS_MAX];
	for (size_t i = 0; i < c->config->nports; i++)
		sorted[i] = &c->config->ports[i];
	qsort(sorted, c->config->nports, sizeof(sorted[0]), switch_by_name);
	for (size_t i = 0; i < c->config->nports; i++) {
		struct port *port = switch_port_by_name(c->sw, sorted[i]->name);
		c->port_is_new[i] = !port;
		if (!port)
			port = port_new(c->sw, sorted[i]);
		if (!port)
			return -ENOMEM;
		c->reopen[i] = c->port_is_new[i] || port_needs_reopen(&port->config, sorted[i]);
		c->ports[c->nports++] = port;
		if (queue_prepare(&c->queues[i], port, sorted[i]))
			return -ENOMEM;
	}
	return 0;
}

static const struct config_port *wanted_port(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nports; i++)
		if (!strcmp(config->ports[i].name, name))
			return &config->ports[i];
	return NULL;
}

static bool is_kept(const struct change *c, const struct port *port)
{
	for (size_t i = 0; i < c->nports; i++)
		if (c->ports[i] == port)
			return true;
	return false;
}

static bool bridge_is_kept(const struct change *c, const struct bridge *bridge)
{
	for (size_t i = 0; i < c->nbridges; i++)
		if (c->bridges[i] == bridge)
			return true;
	return false;
}

// A snapshot without the ports that go or are opened anew; behind its grace period they are closed.
// Closing comes first, since another port may take over the socket.
static int retire(struct change *c, struct port **gone, size_t *ngone)
{
	struct weir_switch *sw = c->sw;
	struct port *old[PORTS_MAX];
	size_t nold = sw->nports, nstay = 0;
	memcpy(old, sw->ports, nold * sizeof(old[0]));
	*ngone = 0;
	for (size_t i = 0; i < nold; i++) {
		bool stays = is_kept(c, old[i]);
		for (size_t k = 0; k < c->nports && stays; k++)
			if (c->ports[k] == old[i] && c->reopen[k])
				stays = false;
		if (stays)
			sw->ports[nstay++] = old[i];
		else
			gone[(*ngone)++] = old[i];
	}
	sw->nports = nstay;
	if (*ngone && switch_publish(sw)) {
		memcpy(sw->ports, old, nold * sizeof(old[0]));
		sw->nports = nold;
		return -ENOMEM;
	}
	for (size_t i = 0; i < *ngone; i++) {
		policy_port_moves(sw, &gone[i]->config);
		port_close(gone[i]);
		mac_flush(gone[i]->bridge->macs, gone[i]->id, -1, NULL);
	}
	return 0;
}

// Takes the new settings over and opens what is to be opened. Cannot fail: a port that cannot open
// is faulted, and what cannot be published for want of memory is published by the next switch_poll.
static void commit(struct change *c)
{
	struct weir_switch *sw = c->sw;
	policy_commit(&c->policy);
	shared_commit(&c->shared);
	struct bridge *old_bridges[BRIDGES_MAX];
	size_t nold = sw->nbridges;
	memcpy(old_bridges, sw->bridges, nold * sizeof(old_bridges[0]));

	sw->nbridges = c->nbridges;
	memcpy(sw->bridges, c->bridges, c->nbridges * sizeof(c->bridges[0]));
	for (size_t i = 0; i < c->nbridges; i++) {
		c->bridges[i]->config = *wanted_bridge(c->config, c->bridges[i]->config.name);
		atomic_store(&c->bridges[i]->ageing_s, c->bridges[i]->config.ageing_s);
	}
	sw->nports = c->nports;
	memcpy(sw->ports, c->ports, c->nports * sizeof(c->ports[0]));
	for (size_t i = 0; i < c->nports; i++) {
		struct port *port = c->ports[i];
		const struct config_port *wanted = wanted_port(c->config, port->config.name);
		if (memcmp(&port->config.addresses, &wanted->addresses,
			    sizeof(wanted->addresses)) ||
			port->config.nf != wanted->nf)
			port->forget = true;
		if (c->port_is_new[i])
			policy_port_moves(sw, wanted);
		policy_port_changes(sw, &port->config, wanted);
		port->config = *wanted;
		queue_commit(port, &c->queues[i]);
		port->bridge = switch_bridge_find(sw, port->config.bridge);
		if (c->reopen[i])
			port_open(port);
	}
	chains_commit(&c->chains);
	if (switch_publish(sw)) {
		sw->publish_due = true;
		log_error(LOG_SWITCH, "no memory to publish the new configuration; trying again");
	}
	// Whether or not that was published: no port of the published snapshot is on one of these,
	// since a port that leaves its bridge was retired.
	for (size_t i = 0; i < nold; i++)
		if (!bridge_is_kept(c, old_bridges[i]))
			bridge_free(old_bridges[i]);
}

int switch_apply(struct weir_switch *sw, const struct config *config, struct error *err)
{
	int rc = switch_check(sw, config, err);
	if (rc)
		return rc;
	struct change *c = calloc(1, sizeof(*c));
	struct port **gone = calloc(PORTS_MAX, sizeof(*gone));
	size_t ngone;
	if (!c || !gone) {
		rc = error_set(err, ENOMEM, "no memory for the new configuration");
		goto out;
	}
	c->sw = sw;
	c->config = config;
	rc = queues_prepare(sw, config, err);
	if (!rc)
		rc = policy_prepare(&c->policy, sw, config, err);
	if (rc)
		goto out;
	if (prepare_bridges(c) || prepare_ports(c) || shared_prepare(&c->shared, sw, config) ||
		chains_prepare(
			&c->chains, sw, config, c->policy.conns ? c->policy.conns : sw->conns) ||
		retire(c, gone, &ngone)) {
		abandon(c);
		rc = error_set(err, ENOMEM, "no memory for the new configuration");
		goto out;
	}
	commit(c);
	for (size_t i = 0; i < ngone; i++)
		if (!is_kept(c, gone[i])) {
			policy_port_leaves(sw, gone[i]);
			port_free(gone[i]);
		}
out:
	free(gone);
	free(c);
	return rc;
}

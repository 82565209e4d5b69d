// SPDX-License-Identifier: BSD-3-Clause
// Life cycle of the switch: its threads, and the snapshot they look at. apply.c changes what it
// has.
//
// Synchronisation: all of this is the main thread's. Workers and the janitor see `published` and
// what it points to; what a new snapshot no longer names is closed and freed behind a grace period.
// The main thread is no RCU reader and holds no lock while it waits.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/rcu.h"
#include "switch/hold_pool.h"
#include "switch/private.h"

static struct snapshot *compile(
	const struct weir_switch *sw, struct port *const *ports, size_t nports)
{
	struct snapshot_options options = {
		.generation = sw->generation + 1,
		.nworkers = sw->config.nworkers,
		.poll = sw->config.poll,
		.conns = sw->conns,
		.rules = sw->rules,
		.epoch = sw->epoch,
		.built_in = sw->config.built_in,
		.track.pickup = sw->config.tcp_pickup,
		.shared = sw->shared,
		.nshared = sw->nshared,
		.chains = sw->chains,
		.nchains = sw->nchains,
		.macs = sw->macs,
	};
	memcpy(options.track.timeouts_s, sw->config.timeouts_s, sizeof(options.track.timeouts_s));
	return snapshot_compile(ports, nports, &options);
}

static void wake_workers(struct weir_switch *sw)
{
	for (uint16_t i = 0; i < sw->nworkers; i++)
		worker_wake(&sw->workers[i]);
}

int switch_publish(struct weir_switch *sw)
{
	struct snapshot *s = compile(sw, sw->ports, sw->nports);
	if (!s)
		return -ENOMEM;
	struct snapshot *old = sw->published;
	sw->generation++;
	sw->publish_due = false;
	rcu_assign_pointer(sw->published, s);
	wake_workers(sw);
	synchronize_rcu();
	if (rates_published(sw))
		wake_workers(sw);
	if (old != sw->nothing)
		snapshot_free(old);
	// No worker learns by the old snapshot any more.
	for (size_t i = 0; i < sw->nports; i++) {
		struct port *port = sw->ports[i];
		if (port->forget)
			mac_flush(port->bridge->macs, port->id, -1, NULL);
		port->forget = false;
	}
	policy_published(sw);
	shared_published(sw);
	chains_published(sw);
	return 0;
}

struct bridge *switch_bridge_find(const struct weir_switch *sw, const char *name)
{
	for (size_t i = 0; i < sw->nbridges; i++)
		if (!strcmp(sw->bridges[i]->config.name, name))
			return sw->bridges[i];
	return NULL;
}

static int by_name(const void *name, const void *port)
{
	return strcmp(name, (*(struct port *const *)port)->config.name);
}

struct port *switch_port_by_name(const struct weir_switch *sw, const char *name)
{
	struct port *const *port = bsearch(
		name, sw->ports, sw->nports, sizeof(sw->ports[0]), by_name);
	return port ? *port : NULL;
}

void bridge_free(struct bridge *bridge)
{
	if (bridge)
		mac_table_free(bridge->macs);
	free(bridge);
}

static void unstick_workers(void *ctx)
{
	struct weir_switch *sw = ctx;
	for (uint16_t i = 0; i < atomic_load(&sw->nworkers); i++)
		worker_unstick(&sw->workers[i]);
}

static int start_workers(
	struct weir_switch *sw, const struct config_switch *config, struct error *err)
{
	size_t size = config->nworkers * sizeof(struct worker);
	sw->workers = aligned_alloc(64, size);
	if (!sw->workers)
		return error_set(err, ENOMEM, "no memory for %u workers", config->nworkers);
	memset(sw->workers, 0, size);
	for (; sw->nworkers < config->nworkers; sw->nworkers++) {
		int rc = worker_start(&sw->workers[sw->nworkers], sw->nworkers,
			config->workers[sw->nworkers], &sw->published, &sw->janitor.now_s, err);
		if (rc)
			return rc;
	}
	return 0;
}

// The janitor and its watch end first: it looks at workers.
static void stop_threads(struct weir_switch *sw)
{
	janitor_stop(&sw->janitor);
	while (sw->nworkers) {
		worker_stop(&sw->workers[sw->nworkers - 1]);
		sw->nworkers--;
	}
	free(sw->workers);
}

int switch_create(struct weir_switch **out, const struct config *config,
	const struct switch_options *options, struct error *err)
{
	int rc;
	struct weir_switch *sw = calloc(1, sizeof(*sw));
	if (!sw)
		return error_set(err, ENOMEM, "no memory for the switch");
	sw->next_id = 1;
	sw->epoch = 1;
	sw->config = config->sw;
	if ((size_t)snprintf(sw->vm_dir, sizeof(sw->vm_dir), "%s/vm", options->run_dir) >=
		sizeof(sw->vm_dir)) {
		rc = error_set(err, ENAMETOOLONG, "run directory %s: longer than a socket's path",
			options->run_dir);
		goto free_switch;
	}
	if (getrandom(sw->mac_secret, sizeof(sw->mac_secret), 0) != sizeof(sw->mac_secret)) {
		rc = error_set(err, errno, "no random numbers: %s", strerror(errno));
		goto free_switch;
	}
	// Workers need a snapshot to look at from their first round on; its shape is for all of
	// them.
	sw->nothing = compile(sw, NULL, 0);
	sw->published = sw->nothing;
	if (!sw->nothing) {
		rc = error_set(err, ENOMEM, "no memory for the first snapshot");
		goto free_switch;
	}
	rc = janitor_start(&sw->janitor, &sw->published, unstick_workers, sw, err);
	if (rc)
		goto free_snapshot;
	rc = start_workers(sw, &config->sw, err);
	if (rc)
		goto stop_all;
	rc = switch_apply(sw, config, err);
	if (rc)
		goto stop_all;
	*out = sw;
	return 0;

stop_all:
	stop_threads(sw);
	hold_pool_free(sw->pool);
free_snapshot:
	snapshot_free(sw->nothing);
free_switch:
	free(sw);
	return rc;
}

void switch_destroy(struct weir_switch *sw)
{
	// Ports are closed while the threads run: the vhost library's threads and the closing
	// itself reach for a ring's worker, and a worker that a peer has stuck needs the watch.
	struct snapshot *last = sw->published;
	rcu_assign_pointer(sw->published, sw->nothing);
	synchronize_rcu();
	for (size_t i = 0; i < sw->nports; i++)
		port_close(sw->ports[i]);
	stop_threads(sw);
	if (last != sw->nothing)
		snapshot_free(last);
	snapshot_free(sw->nothing);
	for (size_t i = 0; i < sw->nports; i++)
		port_free(sw->ports[i]);
	for (size_t i = 0; i < sw->nbridges; i++)
		bridge_free(sw->bridges[i]);
	policy_destroy(sw);
	shared_destroy(sw);
	chains_destroy(sw);
	hold_pool_free(sw->pool);
	free(sw);
}

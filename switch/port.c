// SPDX-License-Identifier: BSD-3-Clause
#include "switch/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "switch/nic.h"

#define RETRY_NS        1000000000ull
#define POLLS_A_LOOK    5
#define JANITOR_WAIT_US 10000

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

// Ids are given out in turn, so that one that was just freed is not soon another port's, and never
// while a connection may still name the port that had it.
static uint16_t next_free_id(struct weir_switch *sw)
{
	for (unsigned tries = 0; tries < PORT_IDS; tries++) {
		uint16_t id = sw->next_id;
		sw->next_id = (uint16_t)(id + 1 < PORT_IDS ? id + 1 : 1);
		if (!sw->id_used[id] && !(sw->conns && conn_port_is_leaving(sw->conns, id)))
			return id;
	}
	return 0;
}

// There are twice as many ids as ports, one of each kind for all that a change replaces. If it
// comes right behind another one as large, the janitor is waited for, which needs a second or two.
static uint16_t free_id(struct weir_switch *sw)
{
	uint16_t id = next_free_id(sw);
	for (; !id; id = next_free_id(sw))
		usleep(JANITOR_WAIT_US);
	sw->id_used[id] = true;
	return id;
}

struct port *port_new(struct weir_switch *sw, const struct config_port *config)
{
	size_t size = sizeof(struct port) + sw->nworkers * sizeof(struct drop_counters);
	struct port *port = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!port)
		return NULL;
	memset(port, 0, size);
	port->id = free_id(sw);
	port->sw = sw;
	port->config = *config;
	// Queue q of each port goes to a worker of its own as long as there are enough. A queue
	// keeps its worker: a ring has one owner, and a change of owner would need a hand-over.
	for (uint16_t q = 0; q < QUEUE_PAIRS_MAX; q++)
		port->owner[q] = (uint16_t)((port->id - 1 + q) % sw->nworkers);
	return port;
}

void port_free(struct port *port)
{
	port->sw->id_used[port->id] = false;
	queue_free(port);
	free(port);
}

static void on_ring_up(void *ctx, unsigned pair, int kick_fd)
{
	struct port *port = ctx;
	struct worker *worker = &port->sw->workers[port->owner[pair]];
	int rc = worker_watch(worker, kick_fd);
	if (rc)
		log_error(LOG_SWITCH, "port %s: queue %u cannot wake its worker: %s",
			port->config.name, pair, strerror(-rc));
}

static void on_ring_down(void *ctx, unsigned pair, int kick_fd)
{
	struct port *port = ctx;
	worker_unwatch(&port->sw->workers[port->owner[pair]], kick_fd);
}

static void on_wake(void *ctx, unsigned pair)
{
	struct port *port = ctx;
	worker_wake(&port->sw->workers[port->owner[pair]]);
}

static void on_changed(void *ctx)
{
	struct port *port = ctx;
	atomic_store(&port->changed, true);
}

static const struct vhost_port_events events = {
	.ring_up = on_ring_up,
	.ring_down = on_ring_down,
	.wake = on_wake,
	.changed = on_changed,
};

static int socket_path(struct port *port, struct error *err)
{
	const char *socket = port->config.vhost_user.socket;
	int n = socket[0] == '/'
			? snprintf(port->socket_path, sizeof(port->socket_path), "%s", socket)
			: snprintf(port->socket_path, sizeof(port->socket_path), "%s/%s",
				  port->sw->vm_dir, socket);
	if ((size_t)n >= sizeof(port->socket_path))
		return error_set(err, ENAMETOOLONG,
			"the path of socket %s is longer than %zu bytes", socket,
			sizeof(port->socket_path) - 1);
	return 0;
}

static int open_vm(struct port *port)
{
	int rc = socket_path(port, &port->failure);
	if (!rc)
		rc = vhost_port_open(&port->vhost, port->config.name, port->socket_path,
			&port->config.vhost_user, port->config.mtu, &events, port, &port->failure);
	if (rc)
		port->vhost = NULL;
	return rc;
}

// A receive queue without interrupts is one whose guest never kicks.
static int open_nic(struct port *port)
{
	struct weir_switch *sw = port->sw;
	port->socket_path[0] = '\0';
	int rc = nic_open(&port->nic, port->config.name, &port->config.dpdk, port->config.mtu,
		sw->nworkers, &port->failure);
	if (rc) {
		port->nic = NULL;
		return rc;
	}
	for (uint16_t q = 0; q < port->nic->nrx; q++)
		worker_watch(&sw->workers[port->owner[q]], -1);
	return 0;
}

void port_open(struct port *port)
{
	int rc = port->config.kind == PORT_KIND_DPDK ? open_nic(port) : open_vm(port);
	if (rc)
		port->retry_at_ns = now_ns() + RETRY_NS;
}

static void close_nic(struct port *port)
{
	struct nic *nic = port->nic;
	port->nic = NULL;
	for (uint16_t q = 0; q < nic->nrx; q++)
		worker_unwatch(&port->sw->workers[port->owner[q]], -1);
	nic_close(nic);
}

void port_close(struct port *port)
{
	if (port->vhost)
		vhost_port_close(port->vhost);
	port->vhost = NULL;
	if (port->nic)
		close_nic(port);
	queue_close(port);
}

bool port_is_open(const struct port *port)
{
	return port->vhost || port->nic;
}

void port_status(struct port *port, struct port_status *status)
{
	if (port->vhost) {
		vhost_port_status(port->vhost, status);
		return;
	}
	if (port->nic) {
		nic_status(port->nic, status);
		return;
	}
	*status = (struct port_status){.state = PORT_FAULTED};
	snprintf(status->text, sizeof(status->text), "faulted: %.240s", port->failure.text);
	snprintf(status->mend, sizeof(status->mend),
		"mend the cause; it is tried again each second");
}

bool port_needs_reopen(const struct config_port *a, const struct config_port *b)
{
	const struct config_vhost_user *x = &a->vhost_user, *y = &b->vhost_user;
	// A NIC's buffers are as large as its MTU asks for.
	if (a->kind == PORT_KIND_DPDK && (a->mtu != b->mtu || nic_needs_reopen(&a->dpdk, &b->dpdk)))
		return true;
	return a->kind != b->kind || strcmp(a->bridge, b->bridge) || strcmp(x->socket, y->socket) ||
	       x->listens != y->listens || strcmp(x->owner, y->owner) ||
	       strcmp(x->group, y->group) || x->mode != y->mode || x->queues != y->queues;
}

static void report(struct weir_switch *sw, struct port *port)
{
	struct port_status status;
	port_status(port, &status);
	if (!strcmp(status.text, port->last_text))
		return;
	char before[sizeof(port->last_text)];
	memcpy(before, port->last_text, sizeof(before));
	snprintf(port->last_text, sizeof(port->last_text), "%s", status.text);
	if (status.state == PORT_FAULTED)
		log_warning(LOG_SWITCH, "port %s: %s", port->config.name, status.text);
	else
		log_info(LOG_SWITCH, "port %s: %s", port->config.name, status.text);
	if (sw->on_change)
		sw->on_change(sw->on_change_ctx, port->config.name, &status, before);
}

// Out of the snapshot, and what is done meanwhile is seen by no worker.
static int unpublish_nic(struct weir_switch *sw, struct port *port)
{
	struct nic *nic = port->nic;
	port->nic = NULL;
	int rc = switch_publish(sw);
	port->nic = nic;
	sw->publish_due = true;
	return rc;
}

static void look_at_nic(struct weir_switch *sw, struct port *port)
{
	enum nic_news news = nic_look(port->nic, &port->failure);
	// Without memory for a snapshot it is done the next time.
	if (news == NIC_SAME || unpublish_nic(sw, port))
		return;
	if (news == NIC_MEMBER_LOST) {
		nic_drop_members(port->nic);
		return;
	}
	port_close(port);
	mac_flush(port->bridge->macs, port->id, -1, NULL);
	port->retry_at_ns = 0;
}

void switch_poll(struct weir_switch *sw)
{
	for (size_t i = 0; i < sw->nports; i++) {
		struct port *port = sw->ports[i];
		if (port->nic)
			look_at_nic(sw, port);
		if (!port_is_open(port) && now_ns() >= port->retry_at_ns) {
			port_open(port);
			sw->publish_due |= port_is_open(port);
		}
	}
	nic_reclaim();
	queues_reclaim(sw);
	rates_sample(sw);
	chains_look(sw, true);
	if (sw->publish_due && switch_publish(sw))
		log_error(LOG_SWITCH, "no memory to publish a port that opened; trying again");
	// What nobody tells of, a socket's file or a time-out, is looked at less often: it takes a
	// dozen system calls for each port that waits.
	sw->polls++;
	for (size_t i = 0; i < sw->nports; i++)
		if (atomic_exchange(&sw->ports[i]->changed, false) ||
			(sw->polls + i) % POLLS_A_LOOK == 0)
			report(sw, sw->ports[i]);
}

void switch_on_change(struct weir_switch *sw, switch_change_fn *fn, void *ctx)
{
	sw->on_change = fn;
	sw->on_change_ctx = ctx;
}

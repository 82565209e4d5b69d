// SPDX-License-Identifier: BSD-3-Clause
// Making, changing and ending to-vm queues (switch/queue.h). All of it is the main thread's.
//
// A change of the scheduler: the new one is made aside and published; the owner of the queue moves
// into it what waits in the old one, for only a worker may take the queue's lock. The old one is
// freed once the queue uses the newest.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "switch/hold_pool.h"
#include "switch/private.h"

enum {
	POOL_PART = 4, // of switch.memory; the rest is NICs' and the rules'
};

int queues_prepare(struct weir_switch *sw, const struct config *config, struct error *err)
{
	bool any = false;
	for (size_t i = 0; i < config->nports; i++)
		any |= config_rate_is_set(&config->ports[i].to_vm);
	if (!any || sw->pool)
		return 0;
	return hold_pool_new(
		&sw->pool, sw->config.memory_bytes / POOL_PART, sw->config.nworkers, err);
}

static struct to_vm_queue *queue_new(struct weir_switch *sw, uint16_t owner)
{
	struct to_vm_queue *queue = aligned_alloc(64, sizeof(*queue));
	if (!queue)
		return NULL;
	memset(queue, 0, sizeof(*queue));
	queue->pool = sw->pool;
	queue->owner = &sw->workers[owner];
	return queue;
}

int queue_prepare(
	struct queue_change *change, const struct port *port, const struct config_port *config)
{
	struct scheduler_settings settings;
	*change = (struct queue_change){0};
	if (!config_rate_is_set(&config->to_vm))
		return 0;
	queue_settings(&settings, &config->to_vm, config->mtu, worker_tsc_hz());
	if (!port->scheduler || port->scheduler_kind != config->to_vm.scheduler)
		change->scheduler = scheduler_new(config->to_vm.scheduler, &settings);
	if (!port->queue)
		change->queue = queue_new(port->sw, port->owner[0]);
	return (port->scheduler || change->scheduler) && (port->queue || change->queue) ? 0
											: -ENOMEM;
}

void queue_abandon(struct queue_change *change)
{
	scheduler_free(change->scheduler);
	free(change->queue);
}

void queue_commit(struct port *port, struct queue_change *change)
{
	const struct config_port *config = &port->config;
	if (!config_rate_is_set(&config->to_vm))
		return;
	queue_settings(&port->settings, &config->to_vm, config->mtu, worker_tsc_hz());
	port->queue_version++;
	if (change->scheduler) {
		if (port->scheduler) {
			port->scheduler->next_retired = port->retired;
			port->retired = port->scheduler;
		}
		port->scheduler = change->scheduler;
		port->scheduler_kind = config->to_vm.scheduler;
	}
	if (change->queue) {
		port->queue = change->queue;
		hold_pool_count(port->sw->pool, 1);
		port->queue->version = port->queue_version;
		atomic_store(&port->queue->scheduler, port->scheduler);
	}
}

static void free_retired(struct port *port)
{
	while (port->retired) {
		struct scheduler *gone = port->retired;
		port->retired = gone->next_retired;
		scheduler_free(gone);
	}
}

void queues_reclaim(struct weir_switch *sw)
{
	for (size_t i = 0; i < sw->nports; i++) {
		struct port *port = sw->ports[i];
		if (port->retired && atomic_load(&port->queue->scheduler) == port->scheduler)
			free_retired(port);
	}
}

void queue_close(struct port *port)
{
	struct to_vm_queue *queue = port->queue;
	if (!queue)
		return;
	struct queued *q = queue_empty_out(queue);
	while (q) {
		struct queued *next = q->next;
		// Its worker does not see the port any more, so the block is this thread's.
		drop_count(&port->drops[port->owner[0]], DROP_TO_VM_NOT_UP, q->packets);
		hold_give(queue->pool, &q, 1);
		q = next;
	}
	if (atomic_load(&queue->scheduler) != port->scheduler)
		queue->marks_before = atomic_load(&queue->marks);
	scheduler_change(port->scheduler, &port->settings);
	atomic_store(&queue->scheduler, port->scheduler);
	queue->version = port->queue_version;
	free_retired(port);
}

void queue_free(struct port *port)
{
	free_retired(port);
	scheduler_free(port->scheduler);
	if (port->queue)
		hold_pool_count(port->sw->pool, -1);
	free(port->queue);
}

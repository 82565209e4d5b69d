// SPDX-License-Identifier: BSD-3-Clause
// Workers put packets into a to-vm queue whose owner takes them, and changes its scheduler: none is
// lost uncounted, none waits unseen, and no flow changes its order, though what finds the queue
// empty goes past it. A plain program, because the thread sanitizer and the unit test framework
// exclude each other.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "switch/queue.h"
#include "switch/queue_inbox.h"

#define HZ 1000000000ull

enum {
	SENDERS = 3,
	PACKETS = 200000, // of each
	LEN = 1000,
	CHANGE_EACH = 2000, // looks
};

struct test_packet {
	struct queued queued;
	uint64_t number;
};

static struct to_vm_queue queue;
static struct queue_inbox inbox;
static struct queueing queueing;
static _Atomic uint64_t clock_now = HZ;
static _Atomic uint64_t seen[SENDERS]; // the number behind the last that has arrived
static _Atomic uint64_t sent, straight, lost, overtaken;
static _Atomic unsigned running = SENDERS;

static void arrive(uint32_t flow, uint64_t number)
{
	if (number < atomic_load_explicit(&seen[flow], memory_order_relaxed))
		atomic_fetch_add(&overtaken, 1);
	atomic_store_explicit(&seen[flow], number + 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&sent, 1, memory_order_relaxed);
}

static void lose(struct queued *q)
{
	while (q) {
		struct queued *next = q->next;
		free(q);
		atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
		q = next;
	}
}

static void *send(void *arg)
{
	const uint32_t flow = (uint32_t)(uintptr_t)arg;
	for (uint64_t i = 0; i < PACKETS; i++) {
		uint64_t now = atomic_fetch_add(&clock_now, 3000);
		if (i % 100 == 0)
			sched_yield();
		if (queue_is_empty(&queue) && rate_is_due(&queue.rate, &queueing.limit, now)) {
			arrive(flow, i);
			atomic_fetch_add(&straight, 1);
			rate_charge(&queue.rate, &queueing.limit, now, LEN, 1);
			continue;
		}
		struct test_packet *p = calloc(1, sizeof(*p));
		*p = (struct test_packet){.queued = {.bytes = LEN,
						  .packets = 1,
						  .buffers = 1,
						  .flow = flow,
						  .class = (uint8_t)flow},
			.number = i};
		struct queued *q = &p->queued, *gone;
		if (queue_add(&queue, &q, 1, now, 1000, &gone))
			queue_inbox_put(&inbox, (uint16_t)(64 * flow));
		lose(gone);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static uint64_t look(uint64_t now)
{
	struct queued *gone, *done[BURST_MAX];
	if (queue_is_empty(&queue))
		return UINT64_MAX;
	queue_fetch(&queue, &queueing.limit, now, 1000, &gone);
	lose(gone);
	// Now and then the ring is full.
	for (unsigned i = 0; i < queue.nready; i++) {
		struct queued *q = queue.ready[i];
		q->refused = now % 5 == 0 && i > 2;
		if (!q->refused)
			arrive(q->flow, ((struct test_packet *)q)->number);
	}
	unsigned n = queue_settle(&queue, done);
	for (unsigned i = 0; i < n; i++)
		free(done[i]);
	return queue_again(&queue, &queueing, now);
}

static void change(unsigned *changes)
{
	struct scheduler *old = queueing.scheduler;
	queueing.scheduler = scheduler_new(
		(enum config_scheduler)(++*changes % (SCHEDULER_FQ_CODEL + 1)), &queueing.settings);
	queueing.version++;
	queue_change(&queue, &queueing);
	scheduler_free(old);
}

// Until all have ended, and nothing that it was told of waits.
static void own(unsigned *changes)
{
	uint64_t again = UINT64_MAX, looks = 0;
	for (;;) {
		bool last = !atomic_load(&running);
		uint64_t now = atomic_fetch_add(&clock_now, last ? 100000 : 1000);
		if (queue_inbox_any(&inbox)) {
			queue_inbox_open(&inbox);
			for (unsigned i = 0; i < INBOX_WORDS; i++)
				if (queue_inbox_take(&inbox, i))
					again = now;
		}
		if (again <= now)
			again = look(now);
		else if (last && again == UINT64_MAX && !queue_inbox_any(&inbox))
			return;
		if (++looks % CHANGE_EACH == 0)
			change(changes);
	}
}

int main(void)
{
	pthread_t threads[SENDERS];
	const struct config_rate config = {
		.bits = 2000000000, .target_ns = 5000000, .interval_ns = 100000000};
	unsigned changes = 0;
	queueing.us = HZ / 1000000;
	rate_compile(&queueing.limit, &config, 1500, HZ);
	queue_settings(&queueing.settings, &config, 1500, HZ);
	queueing.scheduler = scheduler_new(SCHEDULER_FIFO, &queueing.settings);
	atomic_store(&queue.scheduler, queueing.scheduler);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_create(&threads[i], NULL, send, (void *)(uintptr_t)i);
	own(&changes);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	uint32_t held = atomic_load(&queue.held);
	printf("%lu sent, %lu of them straight, %lu lost, %u held; %lu overtaken; %u changes\n",
		sent, straight, lost, held, overtaken, changes);
	bool good = sent + lost == SENDERS * PACKETS && !held && !overtaken && straight &&
		    sent > straight && changes > 10;
	scheduler_free(queueing.scheduler);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

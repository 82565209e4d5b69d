// SPDX-License-Identifier: BSD-3-Clause
#include "switch/queue.h"

#include "base/likely.h"
#include "base/spin.h"

static struct scheduler *scheduler_of(struct to_vm_queue *queue)
{
	return atomic_load_explicit(&queue->scheduler, memory_order_relaxed);
}

static void note(struct to_vm_queue *queue, const struct scheduler *s)
{
	struct scheduler_stats stats;
	scheduler_statistics(s, &stats);
	atomic_store_explicit(
		&queue->marks, queue->marks_before + stats.marks, memory_order_relaxed);
	atomic_store_explicit(
		&queue->oldest_since, s->oldest ? s->oldest->since : 0, memory_order_relaxed);
}

// Takes what the scheduler has lost, beside what is in *lost. How many packets it counts as.
static unsigned take_lost(struct scheduler *s, struct queued **lost, uint64_t *bytes)
{
	struct queued *q = scheduler_take_lost(s);
	unsigned n = 0;
	while (q) {
		struct queued *next = q->next;
		*bytes += q->bytes;
		n += q->packets;
		q->next = *lost;
		*lost = q;
		q = next;
	}
	return n;
}

static void take_off(struct to_vm_queue *queue, unsigned n, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&queue->held_bytes, bytes, memory_order_relaxed);
	// Behind their delivery: whoever finds nothing held comes after them.
	atomic_fetch_sub_explicit(&queue->held, n, memory_order_release);
}

// Of so many buffers, what is left for the scheduler.
static uint64_t beside_ready(const struct to_vm_queue *queue, uint64_t buffers_max)
{
	uint32_t ready = atomic_load_explicit(&queue->ready_buffers, memory_order_relaxed);
	return buffers_max > ready ? buffers_max - ready : 0;
}

bool queue_add(struct to_vm_queue *queue, struct queued *const *packets, unsigned n, uint64_t tsc,
	uint64_t buffers_max, struct queued **lost)
{
	uint64_t bytes = 0, lost_bytes = 0;
	uint32_t count = 0;
	for (unsigned i = 0; i < n; i++) {
		packets[i]->since = tsc;
		bytes += packets[i]->bytes;
		count += packets[i]->packets;
	}
	*lost = NULL;
	buffers_max = beside_ready(queue, buffers_max);
	spin_lock(&queue->locked);
	struct scheduler *s = scheduler_of(queue);
	s->ahead = atomic_fetch_add_explicit(&queue->held_bytes, bytes, memory_order_relaxed) -
		   s->bytes;
	uint32_t before = atomic_fetch_add_explicit(&queue->held, count, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++)
		scheduler_enqueue(s, packets[i], buffers_max);
	unsigned nlost = take_lost(s, lost, &lost_bytes);
	if (unlikely(nlost))
		take_off(queue, nlost, lost_bytes);
	note(queue, s);
	spin_unlock(&queue->locked);
	return !before;
}

void queue_change(struct to_vm_queue *queue, const struct queueing *queueing)
{
	spin_lock(&queue->locked);
	struct scheduler *s = scheduler_of(queue);
	if (s != queueing->scheduler) {
		struct scheduler_stats stats;
		scheduler_statistics(s, &stats);
		queue->marks_before += stats.marks;
		scheduler_change(queueing->scheduler, &queueing->settings);
		scheduler_move(queueing->scheduler, s);
		s = queueing->scheduler;
		// Behind it nobody uses the old one: it may be freed.
		atomic_store_explicit(&queue->scheduler, s, memory_order_release);
	} else {
		scheduler_change(s, &queueing->settings);
	}
	note(queue, s);
	spin_unlock(&queue->locked);
	queue->version = queueing->version;
}

// Due packets from the scheduler, and what they count as together.
static void dequeue(struct to_vm_queue *queue, struct scheduler *s, const struct rate_limit *limit,
	uint64_t tsc, uint64_t *bytes, uint64_t *packets)
{
	struct allowance left = allowance_at(&queue->rate, limit, tsc);
	uint32_t buffers = 0;
	while (queue->nready < BURST_MAX && buffers < QUEUE_READY_BUFFERS &&
		allowance_is_left(&left)) {
		struct queued *q = scheduler_dequeue(s, tsc);
		if (!q)
			break;
		queue->ready[queue->nready++] = q;
		buffers += q->buffers;
		allowance_use(&left, limit, q->bytes, q->packets);
		*bytes += q->bytes;
		*packets += q->packets;
	}
	atomic_store_explicit(&queue->ready_buffers, buffers, memory_order_relaxed);
	if (!allowance_is_left(&left) && s->packets)
		atomic_store_explicit(&queue->rate_at, tsc, memory_order_relaxed);
}

void queue_fetch(struct to_vm_queue *queue, const struct rate_limit *limit, uint64_t tsc,
	uint64_t buffers_max, struct queued **lost)
{
	uint64_t bytes = 0, packets = 0, lost_bytes = 0;
	*lost = NULL;
	spin_lock(&queue->locked);
	struct scheduler *s = scheduler_of(queue);
	if (!queue->nready)
		dequeue(queue, s, limit, tsc, &bytes, &packets);
	scheduler_shed(s, beside_ready(queue, buffers_max));
	unsigned nlost = take_lost(s, lost, &lost_bytes);
	if (unlikely(nlost))
		take_off(queue, nlost, lost_bytes);
	note(queue, s);
	spin_unlock(&queue->locked);
	if (packets)
		rate_charge(&queue->rate, limit, tsc, bytes, packets);
}

bool queue_is_stuck(struct to_vm_queue *queue, uint16_t posted, uint64_t us, uint64_t tsc)
{
	if (!queue->stuck_since || queue->stuck_posted != posted) {
		queue->stuck_since = tsc;
		queue->stuck_posted = posted;
	}
	return tsc - queue->stuck_since >= QUEUE_STUCK_US * us;
}

void queue_refuse(struct to_vm_queue *queue, struct queued *q, uint64_t bytes, uint64_t packets)
{
	q->refused = true;
	if (q->packets == packets)
		return;
	queue->pause = 0;
	take_off(queue, (unsigned)(q->packets - packets), q->bytes - bytes);
	q->packets = (uint32_t)packets;
	q->bytes = (uint32_t)bytes;
}

unsigned queue_settle(struct to_vm_queue *queue, struct queued **done)
{
	unsigned n = queue->nready, kept = 0, ndone = 0, packets = 0;
	uint32_t buffers = 0;
	uint64_t bytes = 0;
	if (n && !queue->ready[0]->refused)
		queue->stuck_since = 0;
	for (unsigned i = 0; i < n; i++) {
		struct queued *q = queue->ready[i];
		if (q->refused) {
			q->refused = false;
			buffers += q->buffers;
			queue->ready[kept++] = q;
		} else {
			bytes += q->bytes;
			packets += q->packets;
			done[ndone++] = q;
		}
	}
	queue->nready = kept;
	atomic_store_explicit(&queue->ready_buffers, buffers, memory_order_relaxed);
	atomic_store_explicit(
		&queue->ready_since, kept ? queue->ready[0]->since : 0, memory_order_relaxed);
	if (ndone) {
		queue->pause = 0;
		take_off(queue, packets, bytes);
	}
	return ndone;
}

uint64_t queue_again(struct to_vm_queue *queue, const struct queueing *queueing, uint64_t tsc)
{
	const uint64_t us = queueing->us;
	if (queue->nready) {
		atomic_store_explicit(&queue->receiver_at, tsc, memory_order_relaxed);
		uint64_t pause = queue->pause ? queue->pause : QUEUE_FULL_US * us;
		queue->pause = pause < QUEUE_FULL_MAX_US * us / 2 ? 2 * pause
								  : QUEUE_FULL_MAX_US * us;
		return tsc + pause;
	}
	queue->pause = 0;
	if (queue_is_empty(queue))
		return UINT64_MAX;
	uint64_t due = rate_due(&queue->rate, &queueing->limit, tsc);
	if (due == tsc)
		return 0;
	if (due - tsc < QUEUE_LOOK_US * us)
		return tsc + QUEUE_LOOK_US * us;
	return due - tsc < QUEUE_LOOK_MAX_US * us ? due : tsc + QUEUE_LOOK_MAX_US * us;
}

struct queued *queue_empty_out(struct to_vm_queue *queue)
{
	struct queued *all = NULL, *q;
	while (queue->nready) {
		q = queue->ready[--queue->nready];
		q->next = all;
		all = q;
	}
	struct scheduler *s = scheduler_of(queue);
	while (s->oldest) {
		q = s->oldest;
		scheduler_lose(s, q, DROP_TO_VM_NOT_UP);
	}
	uint64_t bytes = 0;
	take_lost(s, &all, &bytes);
	s->ops->reset(s);
	queue->pause = queue->stuck_since = 0;
	atomic_store(&queue->held, 0);
	atomic_store(&queue->held_bytes, 0);
	atomic_store(&queue->ready_since, 0);
	atomic_store(&queue->ready_buffers, 0);
	note(queue, s);
	return all;
}

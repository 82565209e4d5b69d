// SPDX-License-Identifier: BSD-3-Clause
#include "switch/scheduler.h"

#include <stdlib.h>

#include "base/likely.h"

static const struct scheduler_ops *const kinds[] = {
	[SCHEDULER_FIFO] = &scheduler_fifo,
	[SCHEDULER_PRIO] = &scheduler_prio,
	[SCHEDULER_DRR] = &scheduler_drr,
	[SCHEDULER_FQ_CODEL] = &scheduler_fq_codel,
};

struct scheduler *scheduler_new(
	enum config_scheduler kind, const struct scheduler_settings *settings)
{
	struct scheduler *s = calloc(1, kinds[kind]->size);
	if (!s)
		return NULL;
	s->ops = kinds[kind];
	s->ops->reset(s);
	scheduler_change(s, settings);
	return s;
}

void scheduler_free(struct scheduler *s)
{
	free(s);
}

void scheduler_change(struct scheduler *s, const struct scheduler_settings *settings)
{
	s->limit = settings->limit;
	if (s->ops->change)
		s->ops->change(s, settings);
}

static void arrive(struct scheduler *s, struct queued *q)
{
	q->older = s->newest;
	q->newer = NULL;
	if (s->newest)
		s->newest->newer = q;
	else
		s->oldest = q;
	s->newest = q;
	s->packets++;
	s->bytes += q->bytes;
	s->buffers += q->buffers;
}

static void leave(struct scheduler *s, struct queued *q)
{
	if (q->older)
		q->older->newer = q->newer;
	else
		s->oldest = q->newer;
	if (q->newer)
		q->newer->older = q->older;
	else
		s->newest = q->older;
	s->packets--;
	s->bytes -= q->bytes;
	s->buffers -= q->buffers;
}

void scheduler_lose(struct scheduler *s, struct queued *q, enum drop_reason reason)
{
	leave(s, q);
	q->drop = (uint8_t)reason;
	q->next = s->lost;
	s->lost = q;
}

static bool is_over(const struct scheduler *s)
{
	return s->ahead + s->bytes > s->limit;
}

void scheduler_enqueue(struct scheduler *s, struct queued *q, uint64_t buffers_max)
{
	// The limit was lowered: what has been accepted is not to be lost by that.
	const bool refused = s->packets && is_over(s);
	arrive(s, q);
	if (unlikely(refused))
		scheduler_lose(s, q, DROP_TO_VM_QUEUE_FULL);
	else
		s->ops->enqueue(s, q);
	while (!refused && s->packets > 1 && is_over(s))
		s->ops->shed(s, DROP_TO_VM_QUEUE_FULL);
	scheduler_shed(s, buffers_max);
}

void scheduler_shed(struct scheduler *s, uint64_t buffers_max)
{
	while (s->packets > 1 && s->buffers > buffers_max)
		s->ops->shed(s, DROP_TO_VM_NO_BUFFER);
}

struct queued *scheduler_dequeue(struct scheduler *s, uint64_t now)
{
	struct queued *q = s->ops->dequeue(s, now);
	if (q)
		leave(s, q);
	return q;
}

void scheduler_move(struct scheduler *to, struct scheduler *from)
{
	struct queued *q = from->oldest;
	from->ops->reset(from);
	from->oldest = from->newest = NULL;
	from->packets = from->bytes = from->buffers = 0;
	while (q) {
		struct queued *newer = q->newer;
		arrive(to, q);
		to->ops->enqueue(to, q);
		q = newer;
	}
}

struct queued *scheduler_take_lost(struct scheduler *s)
{
	struct queued *lost = s->lost;
	s->lost = NULL;
	return lost;
}

void scheduler_statistics(const struct scheduler *s, struct scheduler_stats *stats)
{
	*stats = (struct scheduler_stats){
		.packets = s->packets, .bytes = s->bytes, .buffers = s->buffers};
	if (s->ops->statistics)
		s->ops->statistics(s, stats);
}

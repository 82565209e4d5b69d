// SPDX-License-Identifier: BSD-3-Clause
// As they came; beyond the limit it is the newest that is lost.
#include "switch/scheduler.h"

static void fifo_enqueue(struct scheduler *s, struct queued *q)
{
	// All that wait stand in this order anyway.
	(void)s;
	(void)q;
}

static struct queued *fifo_dequeue(struct scheduler *s, uint64_t now)
{
	(void)now;
	return s->oldest;
}

static void fifo_shed(struct scheduler *s, enum drop_reason reason)
{
	scheduler_lose(s, s->newest, reason);
}

static void fifo_reset(struct scheduler *s)
{
	(void)s;
}

const struct scheduler_ops scheduler_fifo = {
	.size = sizeof(struct scheduler),
	.sheds_newest = true,
	.enqueue = fifo_enqueue,
	.dequeue = fifo_dequeue,
	.shed = fifo_shed,
	.reset = fifo_reset,
};

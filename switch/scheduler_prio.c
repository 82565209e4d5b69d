// SPDX-License-Identifier: BSD-3-Clause
// Strict priority: as long as packets of a higher class wait, none of a lower one goes. Beyond the
// limit it is the lowest class that loses, the oldest first: what it had to say is least worth now.
#include "switch/scheduler.h"

#include <string.h>

struct prio_class {
	struct queued *first, *last;
};

struct prio {
	struct scheduler scheduler;
	uint32_t waiting; // bit per class
	struct prio_class of[SCHEDULER_CLASSES];
};

static void prio_enqueue(struct scheduler *s, struct queued *q)
{
	struct prio *prio = (struct prio *)s;
	struct prio_class *class = &prio->of[q->class];
	q->next = NULL;
	if (class->first)
		class->last->next = q;
	else
		class->first = q;
	class->last = q;
	prio->waiting |= 1u << q->class;
}

static struct queued *take_from(struct prio *prio, unsigned i)
{
	struct prio_class *class = &prio->of[i];
	struct queued *q = class->first;
	class->first = q->next;
	if (!class->first)
		prio->waiting &= ~(1u << i);
	return q;
}

static struct queued *prio_dequeue(struct scheduler *s, uint64_t now)
{
	struct prio *prio = (struct prio *)s;
	(void)now;
	if (!prio->waiting)
		return NULL;
	return take_from(prio, 31 - (unsigned)__builtin_clz(prio->waiting));
}

static void prio_shed(struct scheduler *s, enum drop_reason reason)
{
	struct prio *prio = (struct prio *)s;
	scheduler_lose(s, take_from(prio, (unsigned)__builtin_ctz(prio->waiting)), reason);
}

static void prio_reset(struct scheduler *s)
{
	struct prio *prio = (struct prio *)s;
	prio->waiting = 0;
	memset(prio->of, 0, sizeof(prio->of));
}

const struct scheduler_ops scheduler_prio = {
	.size = sizeof(struct prio),
	.enqueue = prio_enqueue,
	.dequeue = prio_dequeue,
	.shed = prio_shed,
	.reset = prio_reset,
};

// SPDX-License-Identifier: BSD-3-Clause
// FQ-CoDel (RFC 8290): flows in turn, by bytes, those first that send little; and of flows that
// make their own packets wait, some are marked or lost (CoDel, switch/codel.h), so that their
// senders slow down.
#include "base/likely.h"
#include "switch/codel.h"
#include "switch/ecn.h"
#include "switch/scheduler_flows.h"

enum {
	SHED_MAX = 64 // RFC 8290, 4.1: so many at once, since finding the fattest takes long
};

struct fq_codel {
	struct scheduler scheduler;
	struct codel_settings settings;
	uint64_t marks;
	struct flow_list fresh, old;
	struct codel codels[FLOWS];
	struct flows flows;
};

static void fq_change(struct scheduler *s, const struct scheduler_settings *settings)
{
	((struct fq_codel *)s)->settings = (struct codel_settings){
		.target = settings->target,
		.interval = settings->interval,
		.mtu = settings->quantum,
		.ecn = settings->ecn,
	};
}

static void fq_enqueue(struct scheduler *s, struct queued *q)
{
	struct fq_codel *fq = (struct fq_codel *)s;
	struct flow *flow = flow_push(&fq->flows, q);
	if (flow->is_listed)
		return;
	flow->deficit = fq->settings.mtu;
	flow_list_add(&fq->fresh, flow);
}

// --- one flow -----------------------------------------------------------------------------------

// One that has come to the front of its flow; it may be lost if *may_drop.
static struct queued *pop(struct fq_codel *fq, struct flow *flow, uint64_t now, bool *may_drop)
{
	unsigned i = flow_number(&fq->flows, flow);
	struct queued *q = flow_pop(&fq->flows, flow);
	if (!q) {
		fq->codels[i].is_above = false;
		*may_drop = false;
		return NULL;
	}
	*may_drop = codel_may_drop(
		&fq->codels[i], &fq->settings, q->since, fq->flows.bytes[i], now);
	return q;
}

// Tells the sender to slow down: true, by a mark (RFC 3168); false, the packet is lost.
static bool mark_or_lose(struct fq_codel *fq, struct queued *q)
{
	if (fq->settings.ecn && q->ip && ecn_mark(q->ip, q->is_ipv6)) {
		fq->marks++;
		return true;
	}
	scheduler_lose(&fq->scheduler, q, DROP_TO_VM_QUEUE_DROP);
	return false;
}

// While dropping: those that are due, until one is marked or may go.
static struct queued *go_on_dropping(
	struct fq_codel *fq, struct flow *flow, struct queued *q, uint64_t now)
{
	struct codel *codel = &fq->codels[flow_number(&fq->flows, flow)];
	while (codel->dropping && codel_is_past(codel->next, now)) {
		bool may_drop;
		codel_count(codel, 1);
		if (mark_or_lose(fq, q)) {
			codel->next = codel_next(codel, &fq->settings, codel->next);
			break;
		}
		q = pop(fq, flow, now, &may_drop);
		if (may_drop)
			codel->next = codel_next(codel, &fq->settings, codel->next);
		else
			codel->dropping = false;
	}
	return q;
}

// RFC 8289, 5.5. NULL: the flow is empty.
static struct queued *codel_dequeue(struct fq_codel *fq, struct flow *flow, uint64_t now)
{
	struct codel *codel = &fq->codels[flow_number(&fq->flows, flow)];
	bool may_drop;
	struct queued *q = pop(fq, flow, now, &may_drop);
	if (codel->dropping) {
		codel->dropping = may_drop;
		return go_on_dropping(fq, flow, q, now);
	}
	if (may_drop) {
		if (!mark_or_lose(fq, q))
			q = pop(fq, flow, now, &may_drop);
		codel_begin(codel, &fq->settings, now);
	}
	return q;
}

// --- all flows ----------------------------------------------------------------------------------

// It goes when its deficit is more than 0.
static int64_t lacks(const struct flow *flow)
{
	return 1 - flow->deficit;
}

// RFC 8290, 4.2.
static struct queued *fq_dequeue(struct scheduler *s, uint64_t now)
{
	struct fq_codel *fq = (struct fq_codel *)s;
	unsigned passed = 0;
	for (;;) {
		struct flow_list *list = fq->fresh.first ? &fq->fresh : &fq->old;
		struct flow *flow = list->first;
		if (!flow)
			return NULL;
		if (flow->deficit <= 0) {
			if (unlikely(passed++ == FLOWS)) {
				// A whole turn at least, and nobody may go.
				flow_list_skip_turns(&fq->old, fq->settings.mtu, lacks);
				continue;
			}
			flow->deficit += fq->settings.mtu;
			flow_list_remove_first(list);
			flow_list_add(&fq->old, flow);
			continue;
		}
		struct queued *q = codel_dequeue(fq, flow, now);
		if (q) {
			flow->deficit -= q->bytes;
			return q;
		}
		flow_list_remove_first(list);
		// A fresh one that is empty waits until the old ones have had their turn, or it
		// would be fresh again with its next packet and go before them for ever.
		if (list == &fq->fresh && fq->old.first)
			flow_list_add(&fq->old, flow);
	}
}

// RFC 8290, 4.1: half of what the fattest flow has, from its front, where it tells its sender
// soonest.
static void fq_shed(struct scheduler *s, enum drop_reason reason)
{
	struct fq_codel *fq = (struct fq_codel *)s;
	struct flow *flow = flow_fattest(&fq->flows);
	unsigned i = flow_number(&fq->flows, flow), n = 0;
	uint32_t half = fq->flows.bytes[i] / 2;
	do {
		scheduler_lose(s, flow_pop(&fq->flows, flow), reason);
		n++;
	} while (n < SHED_MAX && fq->flows.bytes[i] > half);
	codel_count(&fq->codels[i], n);
}

static void fq_reset(struct scheduler *s)
{
	struct fq_codel *fq = (struct fq_codel *)s;
	memset(&fq->fresh, 0, sizeof(fq->fresh));
	memset(&fq->old, 0, sizeof(fq->old));
	memset(fq->codels, 0, sizeof(fq->codels));
	memset(&fq->flows, 0, sizeof(fq->flows));
}

static void fq_statistics(const struct scheduler *s, struct scheduler_stats *stats)
{
	stats->marks = ((const struct fq_codel *)s)->marks;
}

const struct scheduler_ops scheduler_fq_codel = {
	.size = sizeof(struct fq_codel),
	.change = fq_change,
	.enqueue = fq_enqueue,
	.dequeue = fq_dequeue,
	.shed = fq_shed,
	.reset = fq_reset,
	.statistics = fq_statistics,
};

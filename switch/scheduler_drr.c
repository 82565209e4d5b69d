// SPDX-License-Identifier: BSD-3-Clause
// Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995): each flow in turn sends as many bytes
// as any other, whatever the size of its packets. Beyond the limit a flow loses that has more than
// its part of what waits, from its front.
#include "base/likely.h"
#include "switch/scheduler_flows.h"

struct drr {
	struct scheduler scheduler;
	uint32_t quantum;
	uint32_t nactive;
	struct flow *newest; // that got a packet last
	struct flow_list active;
	struct flows flows;
};

static void drr_change(struct scheduler *s, const struct scheduler_settings *settings)
{
	((struct drr *)s)->quantum = settings->quantum;
}

static void drr_enqueue(struct scheduler *s, struct queued *q)
{
	struct drr *drr = (struct drr *)s;
	struct flow *flow = flow_push(&drr->flows, q);
	drr->newest = flow;
	if (flow->is_listed)
		return;
	flow->deficit = drr->quantum;
	flow_list_add(&drr->active, flow);
	drr->nactive++;
}

static int64_t lacks(const struct flow *flow)
{
	return flow->first ? flow->first->bytes - flow->deficit : 0;
}

static struct queued *drr_dequeue(struct scheduler *s, uint64_t now)
{
	struct drr *drr = (struct drr *)s;
	struct flow *flow;
	unsigned passed = 0;
	(void)now;
	while ((flow = drr->active.first)) {
		if (flow->first && flow->deficit >= flow->first->bytes) {
			struct queued *q = flow_pop(&drr->flows, flow);
			flow->deficit -= q->bytes;
			return q;
		}
		if (unlikely(passed++ == FLOWS)) {
			// A whole turn at least, and nobody may go.
			flow_list_skip_turns(&drr->active, drr->quantum, lacks);
			continue;
		}
		flow_list_remove_first(&drr->active);
		if (flow->first) {
			flow->deficit += drr->quantum;
			flow_list_add(&drr->active, flow);
		} else {
			drr->nactive--;
		}
	}
	return NULL;
}

// Whose packet was one too many mostly has more than its part itself. Only if not, all are looked
// through.
static void drr_shed(struct scheduler *s, enum drop_reason reason)
{
	struct drr *drr = (struct drr *)s;
	struct flow *flow = drr->newest;
	uint64_t bytes = drr->flows.bytes[flow_number(&drr->flows, flow)];
	if (!flow->first || bytes * drr->nactive < s->bytes)
		flow = flow_fattest(&drr->flows);
	scheduler_lose(s, flow_pop(&drr->flows, flow), reason);
}

static void drr_reset(struct scheduler *s)
{
	struct drr *drr = (struct drr *)s;
	drr->nactive = 0;
	drr->newest = drr->flows.of;
	memset(&drr->active, 0, sizeof(drr->active));
	memset(&drr->flows, 0, sizeof(drr->flows));
}

const struct scheduler_ops scheduler_drr = {
	.size = sizeof(struct drr),
	.change = drr_change,
	.enqueue = drr_enqueue,
	.dequeue = drr_dequeue,
	.shed = drr_shed,
	.reset = drr_reset,
};

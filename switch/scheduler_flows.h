// SPDX-License-Identifier: BSD-3-Clause
// What schedulers share that serve flows in turn: packets by flow, and lists of flows. Flows whose
// hashes fall together are one.
#ifndef WEIR_SWITCH_SCHEDULER_FLOWS_H
#define WEIR_SWITCH_SCHEDULER_FLOWS_H

#include <string.h>

#include "switch/scheduler.h"

enum {
	FLOWS = 1024
};

struct flow {
	struct queued *first, *last;
	struct flow *next; // in its list
	int64_t deficit;   // bytes that it may still send in this turn
	bool is_listed;
};

struct flow_list {
	struct flow *first, *last;
};

struct flows {
	struct flow of[FLOWS];
	// Bytes that wait, by flow: apart, since all are looked through for the fattest.
	uint32_t bytes[FLOWS];
};

static inline unsigned flow_number(const struct flows *flows, const struct flow *flow)
{
	return (unsigned)(flow - flows->of);
}

// Into its flow, which is returned.
static inline struct flow *flow_push(struct flows *flows, struct queued *q)
{
	unsigned i = q->flow % FLOWS;
	struct flow *flow = &flows->of[i];
	q->next = NULL;
	if (flow->first)
		flow->last->next = q;
	else
		flow->first = q;
	flow->last = q;
	flows->bytes[i] += q->bytes;
	return flow;
}

// NULL: it is empty.
static inline struct queued *flow_pop(struct flows *flows, struct flow *flow)
{
	struct queued *q = flow->first;
	if (!q)
		return NULL;
	flow->first = q->next;
	flows->bytes[flow_number(flows, flow)] -= q->bytes;
	return q;
}

static inline struct flow *flow_fattest(struct flows *flows)
{
	unsigned fattest = 0;
	for (unsigned i = 1; i < FLOWS; i++)
		if (flows->bytes[i] > flows->bytes[fattest])
			fattest = i;
	return &flows->of[fattest];
}

static inline void flow_list_add(struct flow_list *list, struct flow *flow)
{
	flow->next = NULL;
	flow->is_listed = true;
	if (list->first)
		list->last->next = flow;
	else
		list->first = flow;
	list->last = flow;
}

static inline void flow_list_remove_first(struct flow_list *list)
{
	list->first->is_listed = false;
	list->first = list->first->next;
}

// If nobody of the list may go, for what waits is far larger than a quantum: gives all at once what
// they would get in the turns in which that stays so, behind which their order is the same. lacks:
// how many bytes a flow needs to go, or to leave the list if it is empty.
static inline void flow_list_skip_turns(
	struct flow_list *list, uint32_t quantum, int64_t (*lacks)(const struct flow *flow))
{
	int64_t least = INT64_MAX, most = 0;
	for (const struct flow *flow = list->first; flow; flow = flow->next) {
		int64_t lack = lacks(flow);
		if (flow->first && lack < least)
			least = lack;
		most = lack > most ? lack : most;
	}
	int64_t bytes = least == INT64_MAX ? most : least;
	int64_t turns = bytes > 0 ? (bytes + quantum - 1) / quantum : 0;
	for (struct flow *flow = list->first; flow; flow = flow->next)
		flow->deficit += turns * quantum;
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Holds what is flooded to the port's budgets: each such frame costs as many copies as the bridge
// has ports, and room in all their rings.
//
// Behind forward, which alone knows what is unknown; so all three kinds are told apart in one
// place, and what was dropped before has cost nothing. The source of a frame that is dropped here
// has been learned: how many those may be is the matter of `limits.macs`.
#include "switch/pipeline.h"

#include <string.h>

#include "base/likely.h"

static const enum drop_reason reasons[FLOOD_KINDS] = {
	[FLOOD_BROADCAST] = DROP_BROADCAST_LIMIT,
	[FLOOD_MULTICAST] = DROP_MULTICAST_LIMIT,
	[FLOOD_UNKNOWN] = DROP_UNKNOWN_LIMIT,
};

static enum flood flood_of(const uint8_t *frame)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	if (!(frame[0] & 1))
		return FLOOD_UNKNOWN;
	return memcmp(frame, broadcast, sizeof(broadcast)) ? FLOOD_MULTICAST : FLOOD_BROADCAST;
}

void storm_charge(const struct pass *pass, struct packet *p)
{
	const struct port_view *in = pass->in;
	enum flood kind = flood_of(p->data);
	const struct budget_rate *rate = &in->budgets[kind];
	if (rate->cost && !budget_take(&in->port->budgets[kind], rate, pass->tsc))
		packet_drop(p, reasons[kind]);
}

void stage_storm(struct pass *pass)
{
	if (likely(!pass->in->has_budgets))
		return;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++)
		if (unlikely(p->verdict == VERDICT_FLOOD))
			storm_charge(pass, p);
}

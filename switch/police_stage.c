// SPDX-License-Identifier: BSD-3-Clause
// Drops what a policed port sends beyond its rate. Behind shape, which counts what came.
#include "switch/pipeline.h"

#include "base/likely.h"
#include "base/spin.h"

static void police_packet(struct pass *pass, struct packet *p)
{
	const struct port_view *in = pass->in;
	struct queue_counters *counters = pass->counters;
	struct shape_load load = shape_load(p);
	uint64_t bytes = load.bytes + load.packets * in->police.overhead;
	// Where a shared rate counts frames, too, it has done so.
	if (load.packets > 1 && !in->shaping.is_set)
		counter_add(&counters->segments, load.packets - 1, load.bytes - p->len);
	switch (police_colour(&in->port->police, &in->police, pass->tsc, (uint32_t)bytes)) {
	case POLICE_YELLOW:
		police_remark(p);
		break;
	case POLICE_RED:
		packet_drop(p, DROP_RATE_POLICE);
		counter_add(&counters->policed, load.packets, load.bytes);
		break;
	default:
		break;
	}
}

void stage_police(struct pass *pass)
{
	if (likely(!pass->in->is_policed) || !pass->source)
		return;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	spin_lock(&pass->in->port->police.locked);
	for (struct packet *p = pass->burst.packets; p < end; p++)
		if (likely(p->verdict == VERDICT_NONE))
			police_packet(pass, p);
	spin_unlock(&pass->in->port->police.locked);
}

// SPDX-License-Identifier: BSD-3-Clause
// Drops what speaks for addresses that are not the port's.
//
// Behind admit: a frame that has no place on the port is told by that name, whatever its addresses.
// Before forward: nothing is learned from what is dropped here, so a MAC address never moves to a
// port whose addresses exclude it.
#include "switch/pipeline.h"

#include "base/likely.h"
#include "switch/guard_check.h"

void stage_guard(struct pass *pass)
{
	const struct guard *guard = pass->in->guard;
	if (likely(!guard))
		return;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		enum drop_reason reason = guard_check(guard, p);
		if (unlikely(reason != DROP_NONE))
			packet_drop(p, reason);
	}
}

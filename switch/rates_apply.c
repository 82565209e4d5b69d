// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>
#include <x86intrin.h>

#include "switch/private.h"

// Whether it has changed; then *was is what is published.
static bool change_rate(struct rate *rate, struct rate_limit *was, const struct rate_limit *is)
{
	if (!memcmp(was, is, sizeof(*is)))
		return false;
	rate_change(rate, was, is, __rdtsc());
	*was = *is;
	return true;
}

bool rates_published(struct weir_switch *sw)
{
	const struct snapshot *s = sw->published;
	bool changed = false;
	for (size_t i = 0; i < sw->nports; i++) {
		struct port *port = sw->ports[i];
		const struct port_view *v = s->views[port->id];
		changed |= change_rate(&port->shaper.rate, &port->from_vm_limit, &v->shaping.own);
		if (port->queue)
			changed |= change_rate(
				&port->queue->rate, &port->to_vm_limit, &v->queueing.limit);
	}
	for (uint32_t i = 0; i < s->nshared; i++) {
		const struct share_view *v = &s->shared[i];
		if (change_rate(&v->share->rate, &v->share->limit, &v->limit)) {
			share_begin_anew(v->share);
			changed = true;
		}
	}
	return changed;
}

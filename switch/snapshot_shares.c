// SPDX-License-Identifier: BSD-3-Clause
// The part of a snapshot that says which ports share a rate.
#include <stdlib.h>
#include <string.h>

#include "switch/private.h"
#include "switch/worker.h"

static int by_name(const void *name, const void *port)
{
	return strcmp(name, (*(struct port *const *)port)->config.name);
}

// Ports are in the order of their names.
struct port_view *snapshot_view(
	struct snapshot *s, struct port *const *ports, size_t nports, const char *name)
{
	struct port *const *port = bsearch(name, ports, nports, sizeof(*ports), by_name);
	return port ? &s->all[port - ports] : NULL;
}

// The members that are there; false: none is.
static bool compile_share(struct snapshot *s, struct port *const *ports, size_t nports,
	struct shared_rate *shared, struct share_part **next)
{
	const struct config_shared *config = &shared->config;
	struct share_view *share = &s->shared[s->nshared];
	uint16_t mtu = 0;
	*share = (struct share_view){.share = &shared->share, .members = *next};
	for (size_t i = 0; i < config->nmembers; i++) {
		const struct config_shared_member *member = &config->members[i];
		struct port_view *v = snapshot_view(s, ports, nports, member->port);
		if (!v || v->shaping.nshares == PORT_SHARED_MAX)
			continue;
		v->shaping.is_set = true;
		v->shaping.shares[v->shaping.nshares++] = (struct share_ref){
			.view = share, .port = v->id, .weight = member->weight};
		*(*next)++ = (struct share_part){v->id, member->weight};
		share->nmembers++;
		mtu = v->mtu > mtu ? v->mtu : mtu;
	}
	if (share->nmembers)
		share_compile(share, &config->rate, mtu, worker_tsc_hz());
	return share->nmembers;
}

bool snapshot_shares(struct snapshot *s, struct port *const *ports, size_t nports,
	const struct snapshot_options *options)
{
	size_t members = 0;
	for (size_t i = 0; i < options->nshared; i++)
		members += options->shared[i]->config.nmembers;
	s->shared = calloc(options->nshared + 1, sizeof(*s->shared));
	s->shared_members = calloc(members + 1, sizeof(*s->shared_members));
	if (!s->shared || !s->shared_members)
		return false;
	struct share_part *next = s->shared_members;
	for (size_t i = 0; i < options->nshared; i++)
		s->nshared += compile_share(s, ports, nports, options->shared[i], &next);
	return true;
}

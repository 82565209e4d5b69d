// SPDX-License-Identifier: BSD-3-Clause
// What the control plane asks of chains.
#include "switch/private.h"

#include <string.h>
#include <x86intrin.h>

static void add(struct traffic *sum, const struct counter *counter)
{
	sum->packets += atomic_load_explicit(&counter->packets, memory_order_relaxed);
	sum->bytes += atomic_load_explicit(&counter->bytes, memory_order_relaxed);
}

void instance_status(const struct weir_switch *sw, const struct chain *chain, const struct nf *nf,
	struct instance_status *status)
{
	*status = (struct instance_status){
		.state = (enum instance_state)atomic_load_explicit(
			&nf->state, memory_order_relaxed),
	};
	if (status->state != INSTANCE_IN_SERVICE)
		status->port = nf->blamed == CHAIN_RIGHT ? nf->right : nf->left;
	if (sw->conns)
		status->connections = conn_count_in(sw->conns, chain->number, nf->number);
	for (uint16_t w = 0; w < sw->nworkers; w++) {
		add(&status->original, &nf->counters[w].original);
		add(&status->reply, &nf->counters[w].reply);
	}
}

static void hop_status(const struct weir_switch *sw, const struct chain *chain, size_t hop,
	struct hop_status *status)
{
	struct traffic skipped = {0}, closed = {0};
	for (uint16_t w = 0; w < sw->nworkers; w++) {
		add(&skipped, &chain->hops[hop]->counters[w].skipped);
		add(&closed, &chain->hops[hop]->counters[w].closed);
	}
	*status = (struct hop_status){.skipped = skipped.packets, .closed = closed.packets};
	uint64_t now = __rdtsc(), all[HOP_INSTANCES_MAX * NF_TIMES];
	unsigned nall = 0;
	for (size_t i = 0; i < chain->config.hops[hop].ninstances; i++) {
		const struct nf *nf = chain->nfs[hop][i];
		uint64_t *ns = all + nall;
		unsigned n = nf_times_get(&nf->times, now, worker_tsc_hz(), ns);
		instance_status(sw, chain, nf, &status->instances[i]);
		nf_times_sum_up(ns, n, &status->instances[i].time);
		nall += n;
	}
	nf_times_sum_up(all, nall, &status->time);
}

const struct config_chain *switch_chain_config(const struct weir_switch *sw, size_t position)
{
	return position < sw->nchains ? &sw->chains[position]->config : NULL;
}

int switch_chain_number(const struct weir_switch *sw, const char *name)
{
	for (size_t i = 0; i < sw->nchains; i++)
		if (!strcmp(sw->chains[i]->config.name, name))
			return sw->chains[i]->number;
	return -1;
}

bool switch_chain_at(const struct weir_switch *sw, size_t position, struct chain_status *status)
{
	if (position >= sw->nchains)
		return false;
	const struct chain *chain = sw->chains[position];
	*status = (struct chain_status){.config = &chain->config};
	if (sw->conns)
		status->connections = conn_count_in(sw->conns, chain->number, 0);
	for (uint16_t w = 0; w < sw->nworkers; w++)
		status->begun += atomic_load_explicit(
			&chain->begun[w].connections, memory_order_relaxed);
	for (size_t h = 0; h < chain->config.nhops; h++)
		hop_status(sw, chain, h, &status->hops[h]);
	return true;
}

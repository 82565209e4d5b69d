// SPDX-License-Identifier: BSD-3-Clause
// Chains: those of a new configuration take the place of the old ones, or are thrown away.
//
// Life cycle: switch/chain.h. Synchronisation: all of this is the main thread's.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "switch/private.h"

static void free_config(struct config_chain *config)
{
	for (size_t h = 0; config->hops && h < config->nhops; h++)
		free(config->hops[h].instances);
	free(config->hops);
}

// --- taking over

static bool has_hop(const struct chain *chain, const struct hop *hop)
{
	for (size_t h = 0; h < chain->config.nhops; h++)
		if (chain->hops[h] == hop)
			return true;
	return false;
}

static bool has_nf(const struct chain *chain, const struct nf *nf)
{
	for (size_t h = 0; h < chain->config.nhops; h++)
		for (size_t i = 0; i < chain->config.hops[h].ninstances; i++)
			if (chain->nfs[h][i] == nf)
				return true;
	return false;
}

void chains_abandon(struct chains_change *change)
{
	for (size_t c = 0; c < change->count; c++) {
		struct next_chain *next = &change->next[c];
		for (size_t h = 0; h < CHAIN_HOPS_MAX; h++) {
			for (size_t i = 0; i < HOP_INSTANCES_MAX; i++)
				if (!has_nf(next->chain, next->nfs[h][i]))
					free(next->nfs[h][i]);
			if (!has_hop(next->chain, next->hops[h]))
				free(next->hops[h]);
		}
		free_config(&next->config);
		if (next->is_new)
			free(next->chain);
	}
	free(change->next);
	change->next = NULL;
	change->count = 0;
}

static bool same_hop(const struct config_hop *a, const struct config_hop *b)
{
	struct config_hop x = *a, y = *b;
	x.instances = y.instances = NULL;
	if (memcmp(&x, &y, sizeof(x)))
		return false;
	return !a->ninstances ||
	       !memcmp(a->instances, b->instances, a->ninstances * sizeof(*a->instances));
}

static bool same_chain(const struct config_chain *a, const struct config_chain *b)
{
	struct config_chain x = *a, y = *b;
	x.hops = y.hops = NULL;
	if (memcmp(&x, &y, sizeof(x)))
		return false;
	for (size_t h = 0; h < a->nhops; h++)
		if (!same_hop(&a->hops[h], &b->hops[h]))
			return false;
	return true;
}

static bool is_same(const struct chains_change *change)
{
	const struct weir_switch *sw = change->sw;
	if (change->count != sw->nchains)
		return false;
	for (size_t i = 0; i < change->count; i++)
		if (!same_chain(&change->next[i].config, &sw->chains[i]->config))
			return false;
	return true;
}

static void retire_nf(struct weir_switch *sw, struct nf *nf)
{
	nf->next_gone = sw->gone_nfs;
	sw->gone_nfs = nf;
}

static void retire_hop(struct weir_switch *sw, struct hop *hop)
{
	hop->next_gone = sw->gone_hops;
	sw->gone_hops = hop;
}

// What is in neither of the two places in `stays` (NULL: nothing stays).
static void retire_parts(struct weir_switch *sw, struct chain *chain, const struct chain *stays)
{
	for (size_t h = 0; h < chain->config.nhops; h++) {
		for (size_t i = 0; i < chain->config.hops[h].ninstances; i++)
			if (!stays || !has_nf(stays, chain->nfs[h][i]))
				retire_nf(sw, chain->nfs[h][i]);
		if (!stays || !has_hop(stays, chain->hops[h]))
			retire_hop(sw, chain->hops[h]);
	}
}

static void take_over(struct weir_switch *sw, struct next_chain *next)
{
	struct chain *chain = next->chain, before = *chain;
	chain->config = next->config;
	chain->last_number = next->last_number;
	memcpy(chain->hops, next->hops, sizeof(chain->hops));
	memcpy(chain->nfs, next->nfs, sizeof(chain->nfs));
	retire_parts(sw, &before, chain);
	free_config(&before.config);
}

static bool is_kept(const struct chains_change *change, const struct chain *chain)
{
	for (size_t i = 0; i < change->count; i++)
		if (change->next[i].chain == chain)
			return true;
	return false;
}

// Ports of network functions are no members of their bridge; what was learned behind them goes.
static void bind_port(struct nf *nf, enum chain_side side, struct port *port)
{
	if (port && port != nf->ports[side])
		port->forget = true;
	nf->ports[side] = port;
}

// Whether it has come to another bridge.
static bool bind_chain(struct weir_switch *sw, struct chain *chain)
{
	const struct bridge *before = chain->bridge;
	chain->bridge = NULL;
	for (size_t h = 0; h < chain->config.nhops; h++)
		for (size_t i = 0; i < chain->config.hops[h].ninstances; i++) {
			struct nf *nf = chain->nfs[h][i];
			bind_port(nf, CHAIN_LEFT, switch_port_by_name(sw, nf->left));
			bind_port(nf, CHAIN_RIGHT, switch_port_by_name(sw, nf->right));
			if (nf->ports[CHAIN_LEFT])
				chain->bridge = nf->ports[CHAIN_LEFT]->bridge;
		}
	return chain->bridge != before;
}

static bool bind_all(struct weir_switch *sw)
{
	bool moved = false;
	for (size_t c = 0; c < sw->nchains; c++)
		moved |= bind_chain(sw, sw->chains[c]);
	return moved;
}

void chains_commit(struct chains_change *change)
{
	struct weir_switch *sw = change->sw;
	bool is_other = !is_same(change);
	for (size_t i = 0; i < sw->nchains; i++) {
		struct chain *chain = sw->chains[i];
		if (is_kept(change, chain))
			continue;
		retire_parts(sw, chain, NULL);
		chain->next_gone = sw->gone_chains;
		sw->gone_chains = chain;
	}
	for (size_t i = 0; i < change->count; i++) {
		take_over(sw, &change->next[i]);
		sw->chains[i] = change->next[i].chain;
	}
	sw->nchains = change->count;
	free(change->next);
	is_other |= bind_all(sw);
	sw->epoch += is_other;
	chains_look(sw, false);
}

void chains_published(struct weir_switch *sw)
{
	for (struct nf *nf = sw->gone_nfs, *next; nf; nf = next) {
		next = nf->next_gone;
		free(nf);
	}
	for (struct hop *hop = sw->gone_hops, *next; hop; hop = next) {
		next = hop->next_gone;
		free(hop);
	}
	for (struct chain *chain = sw->gone_chains, *next; chain; chain = next) {
		next = chain->next_gone;
		free_config(&chain->config);
		free(chain);
	}
	sw->gone_nfs = NULL;
	sw->gone_hops = NULL;
	sw->gone_chains = NULL;
}

void chains_destroy(struct weir_switch *sw)
{
	struct chains_change nothing = {.sw = sw, .next = calloc(1, sizeof(*nothing.next))};
	chains_commit(&nothing);
	chains_published(sw);
	if (sw->macs)
		munmap(sw->macs, sw->macs_bytes);
}

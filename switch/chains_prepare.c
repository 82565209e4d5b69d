// SPDX-License-Identifier: BSD-3-Clause
// Chains: which there are. A chain is the same as long as it keeps its name, a hop as long as its
// chain has an NF of that name, an instance as long as that hop has one with its ports. So
// connections go on naming them by their numbers, whatever else changes, and counts go on.
//
// Life cycle: switch/chain.h. Synchronisation: all of this is the main thread's.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "switch/chain_macs.h"
#include "switch/private.h"

enum {
	NUMBERS = CONN_INSTANCES - 1 // of instances, from 1
};

// --- finding what is there

static struct chain *find_chain(const struct weir_switch *sw, const char *name)
{
	for (size_t i = 0; i < sw->nchains; i++)
		if (!strcmp(sw->chains[i]->config.name, name))
			return sw->chains[i];
	return NULL;
}

// Its place in the chain as it was; CHAIN_HOPS_MAX: it is new. `before` hops of that name come
// before it.
static size_t find_hop(const struct chain *chain, const char *nf, size_t before)
{
	for (size_t h = 0; h < chain->config.nhops; h++)
		if (!strcmp(chain->config.hops[h].nf, nf) && !before--)
			return h;
	return CHAIN_HOPS_MAX;
}

static struct nf *find_nf(
	const struct chain *chain, size_t hop, const struct config_instance *instance)
{
	size_t count = hop < CHAIN_HOPS_MAX ? chain->config.hops[hop].ninstances : 0;
	for (size_t i = 0; i < count; i++)
		if (!strcmp(chain->nfs[hop][i]->left, instance->left) &&
			!strcmp(chain->nfs[hop][i]->right, instance->right))
			return chain->nfs[hop][i];
	return NULL;
}

// --- numbers

// Given out in turn, and none that a connection still names if another is free.
static uint16_t free_chain_number(struct weir_switch *sw, const struct chains_change *change)
{
	bool used[CONN_CHAINS] = {true};
	for (size_t i = 0; i < sw->nchains; i++)
		used[sw->chains[i]->number] = true;
	for (size_t i = 0; i < change->count; i++)
		used[change->next[i].chain->number] = true;
	for (unsigned tries = 0;; tries++) {
		uint16_t number = sw->next_chain;
		sw->next_chain = (uint16_t)((number + 1) % CONN_CHAINS);
		bool named = sw->conns && conn_count_in(sw->conns, number, 0);
		if (!used[number] && (tries >= CONN_CHAINS || !named))
			return number;
	}
}

// Likewise, and none of an instance that goes. Where connections name all of them, a connection
// that names this one visits the new instance as if it had been chosen: its own is gone anyway.
static uint8_t free_nf_number(struct weir_switch *sw, struct next_chain *next)
{
	const struct chain *chain = next->chain;
	bool taken[CONN_INSTANCES] = {true}, old[CONN_INSTANCES] = {false};
	for (size_t h = 0; h < CHAIN_HOPS_MAX; h++)
		for (size_t i = 0; i < HOP_INSTANCES_MAX; i++) {
			if (h < chain->config.nhops && i < chain->config.hops[h].ninstances)
				old[chain->nfs[h][i]->number] = true;
			if (next->nfs[h][i])
				taken[next->nfs[h][i]->number] = true;
		}
	for (unsigned tries = 0;; tries++) {
		uint8_t number = next->last_number = (uint8_t)(1 + next->last_number % NUMBERS);
		bool named = sw->conns && conn_count_in(sw->conns, chain->number, number);
		if (!taken[number] && (tries >= NUMBERS || (!old[number] && !named)))
			return number;
	}
}

// --- making

// The same for the same ports, so that an instance that was taken out and comes back gets those
// connections that would have gone to it (FNV-1a).
static uint64_t salt_of(const struct nf *nf)
{
	uint64_t salt = UINT64_C(0xcbf29ce484222325);
	const char *names[] = {nf->left, nf->right};
	for (unsigned i = 0; i < 2; i++)
		for (const char *c = names[i];; c++) {
			salt = (salt ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
			if (!*c)
				break;
		}
	return salt;
}

static void *zeroed(size_t size)
{
	void *at = aligned_alloc(64, (size + 63) & ~(size_t)63);
	return at ? memset(at, 0, size) : NULL;
}

static struct nf *new_nf(
	struct weir_switch *sw, struct next_chain *next, const struct config_instance *instance)
{
	struct nf *nf = zeroed(sizeof(*nf) + sw->nworkers * sizeof(nf->counters[0]));
	if (!nf)
		return NULL;
	memcpy(nf->left, instance->left, sizeof(nf->left));
	memcpy(nf->right, instance->right, sizeof(nf->right));
	nf->salt = salt_of(nf);
	nf->number = free_nf_number(sw, next);
	nf->told = UINT8_MAX;
	probe_begin(&nf->probe);
	atomic_store(&nf->state, INSTANCE_DOWN);
	return nf;
}

static struct hop *new_hop(struct weir_switch *sw, const struct config_hop *config)
{
	struct hop *hop = zeroed(sizeof(*hop) + sw->nworkers * sizeof(hop->counters[0]));
	if (hop)
		memcpy(hop->nf, config->nf, sizeof(hop->nf));
	return hop;
}

static struct chain *new_chain(struct weir_switch *sw, const struct chains_change *change)
{
	struct chain *chain = zeroed(sizeof(*chain) + sw->nworkers * sizeof(chain->begun[0]));
	if (chain)
		chain->number = free_chain_number(sw, change);
	return chain;
}

static bool copy_config(struct config_chain *to, const struct config_chain *from)
{
	*to = *from;
	to->hops = calloc(from->nhops, sizeof(*to->hops));
	if (!to->hops)
		return false;
	for (size_t h = 0; h < from->nhops; h++) {
		size_t size = from->hops[h].ninstances * sizeof(struct config_instance);
		to->hops[h] = from->hops[h];
		to->hops[h].instances = malloc(size ? size : 1);
		if (!to->hops[h].instances)
			return false;
		if (size)
			memcpy(to->hops[h].instances, from->hops[h].instances, size);
	}
	return true;
}

// Of what stays the old ones are in their places already.
static bool make_hop(struct weir_switch *sw, struct next_chain *next, size_t h)
{
	const struct config_hop *config = &next->config.hops[h];
	if (!next->hops[h])
		next->hops[h] = new_hop(sw, config);
	for (size_t i = 0; next->hops[h] && i < config->ninstances; i++) {
		if (!next->nfs[h][i])
			next->nfs[h][i] = new_nf(sw, next, &config->instances[i]);
		if (!next->nfs[h][i])
			return false;
	}
	return next->hops[h];
}

static void keep_hop(struct next_chain *next, size_t h)
{
	const struct chain *chain = next->chain;
	const struct config_hop *config = &next->config.hops[h];
	size_t before = 0;
	for (size_t k = 0; k < h; k++)
		before += !strcmp(next->config.hops[k].nf, config->nf);
	size_t old = find_hop(chain, config->nf, before);
	if (old == CHAIN_HOPS_MAX)
		return;
	next->hops[h] = chain->hops[old];
	for (size_t i = 0; i < config->ninstances; i++)
		next->nfs[h][i] = find_nf(chain, old, &config->instances[i]);
}

static bool make_chain(struct weir_switch *sw, struct next_chain *next)
{
	next->last_number = next->chain->last_number;
	for (size_t h = 0; h < next->config.nhops; h++)
		keep_hop(next, h);
	for (size_t h = 0; h < next->config.nhops; h++)
		if (!make_hop(sw, next, h))
			return false;
	return true;
}

static bool has_routed(const struct config *config)
{
	for (size_t i = 0; i < config->nchains; i++)
		for (size_t h = 0; h < config->chains[i].nhops; h++)
			if (config->chains[i].hops[h].mode == HOP_ROUTED)
				return true;
	return false;
}

// For all entries; a page has memory when one of its connections is routed.
static int make_macs(struct weir_switch *sw, const struct conn_table *conns)
{
	struct conn_stats stats;
	conn_table_stats(conns, &stats);
	size_t bytes = (stats.capacity + 1) * sizeof(*sw->macs);
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -ENOMEM;
	sw->macs = at;
	sw->macs_bytes = bytes;
	return 0;
}

int chains_prepare(struct chains_change *change, struct weir_switch *sw,
	const struct config *config, const struct conn_table *conns)
{
	change->sw = sw;
	change->next = calloc(config->nchains + 1, sizeof(*change->next));
	if (!change->next || (has_routed(config) && !sw->macs && make_macs(sw, conns)))
		return -ENOMEM;
	for (size_t i = 0; i < config->nchains; i++) {
		struct next_chain *next = &change->next[i];
		struct chain *chain = find_chain(sw, config->chains[i].name);
		next->is_new = !chain;
		next->chain = chain ? chain : new_chain(sw, change);
		if (!next->chain)
			return -ENOMEM;
		change->count++;
		if (!copy_config(&next->config, &config->chains[i]) || !make_chain(sw, next))
			return -ENOMEM;
	}
	return 0;
}

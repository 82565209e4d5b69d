// SPDX-License-Identifier: BSD-3-Clause
// Rates that several ports share: which there are. A rate that keeps its name keeps its place in
// memory and what workers keep there, whatever else of it changes.
//
// Life cycle: made and taken over by a change of the configuration; one that goes is freed once a
// snapshot without it was published. Synchronisation: all of this is the main thread's.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "switch/private.h"

_Static_assert(offsetof(struct config_shared, name) == 0, "switch_by_name");

static struct shared_rate *find(const struct weir_switch *sw, const char *name)
{
	for (size_t i = 0; i < sw->nshared; i++)
		if (!strcmp(sw->shared[i]->config.name, name))
			return sw->shared[i];
	return NULL;
}

static bool copy(struct config_shared *to, const struct config_shared *from)
{
	size_t size = from->nmembers * sizeof(*from->members);
	*to = *from;
	to->members = malloc(size);
	if (to->members)
		memcpy(to->members, from->members, size);
	return to->members;
}

static void shared_free(struct shared_rate *shared)
{
	free(shared->config.members);
	free(shared);
}

int shared_prepare(
	struct shared_change *change, struct weir_switch *sw, const struct config *config)
{
	const struct config_shared *sorted[SHARED_MAX];
	change->sw = sw;
	for (size_t i = 0; i < config->nshared; i++)
		sorted[i] = &config->shared[i];
	qsort(sorted, config->nshared, sizeof(sorted[0]), switch_by_name);
	for (size_t i = 0; i < config->nshared; i++) {
		struct shared_rate *shared = find(sw, sorted[i]->name);
		change->is_new[i] = !shared;
		change->rates[i] = shared ? shared : calloc(1, sizeof(*shared));
		if (!change->rates[i])
			return -ENOMEM;
		change->count++;
		if (!copy(&change->configs[i], sorted[i]))
			return -ENOMEM;
	}
	return 0;
}

void shared_abandon(struct shared_change *change)
{
	for (size_t i = 0; i < change->count; i++) {
		free(change->configs[i].members);
		if (change->is_new[i])
			shared_free(change->rates[i]);
	}
}

static bool is_kept(const struct shared_change *change, const struct shared_rate *shared)
{
	for (size_t i = 0; i < change->count; i++)
		if (change->rates[i] == shared)
			return true;
	return false;
}

void shared_commit(struct shared_change *change)
{
	struct weir_switch *sw = change->sw;
	for (size_t i = 0; i < sw->nshared; i++) {
		if (is_kept(change, sw->shared[i]))
			continue;
		sw->shared[i]->next_gone = sw->gone_shared;
		sw->gone_shared = sw->shared[i];
	}
	for (size_t i = 0; i < change->count; i++) {
		struct shared_rate *shared = change->rates[i];
		free(shared->config.members);
		shared->config = change->configs[i];
		sw->shared[i] = shared;
	}
	sw->nshared = change->count;
}

void shared_published(struct weir_switch *sw)
{
	while (sw->gone_shared) {
		struct shared_rate *gone = sw->gone_shared;
		sw->gone_shared = gone->next_gone;
		shared_free(gone);
	}
}

void shared_destroy(struct weir_switch *sw)
{
	shared_published(sw);
	for (size_t i = 0; i < sw->nshared; i++)
		shared_free(sw->shared[i]);
}

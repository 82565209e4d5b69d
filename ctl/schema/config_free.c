// SPDX-License-Identifier: BSD-3-Clause
#include <stdlib.h>

#include "ctl/schema/schema.h"

static void chain_free(const struct config_chain *chain)
{
	for (size_t i = 0; i < chain->nhops; i++)
		free(chain->hops[i].instances);
	free(chain->hops);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->bridges);
	free(config->ports);
	for (size_t i = 0; i < config->ngroups; i++) {
		free(config->groups[i].to_vm);
		free(config->groups[i].from_vm);
	}
	free(config->groups);
	for (size_t i = 0; i < config->nshared; i++)
		free(config->shared[i].members);
	free(config->shared);
	for (size_t i = 0; i < config->nchains; i++)
		chain_free(&config->chains[i]);
	free(config->chains);
	free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <stdlib.h>

#include "ctl/schema/schema.h"

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
	free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
// Chains as JSON. No state of their own.
#ifndef WEIR_CTL_SERVER_CHAIN_JSON_H
#define WEIR_CTL_SERVER_CHAIN_JSON_H

#include <jansson.h>

#include "switch/switch.h"

// An item of chain.list. `position` is that in the order in which chains are asked, from 1.
json_t *chain_json(const struct chain_status *status, size_t position);
// The hops, as chain.show adds them.
json_t *chain_hops_json(struct weir_switch *sw, const struct chain_status *status);
// Through which instances a connection goes: {"name", "hops"}; null: it visits none.
json_t *chain_way_json(const struct connection_info *info);
// What the notification of an instance's state says; `hop` and `instance` count from 0.
json_t *chain_state_json(struct weir_switch *sw, const struct config_chain *chain, size_t hop,
	size_t instance, const struct instance_status *now);

#endif

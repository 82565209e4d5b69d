// SPDX-License-Identifier: BSD-3-Clause
// What several commands share.
#ifndef WEIR_CTL_CLIENT_RUN_H
#define WEIR_CTL_CLIENT_RUN_H

#include "ctl/client/command.h"
#include "ctl/client/print.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Calls a list method (params are taken over) and prints its items as the call wants them.
int run_list(struct call *call, const char *method, json_t *params, const struct column *columns,
	size_t count);
// An instance of a chain's hop, for people: "ids1", "fw-a > fw-b"; "skipped" if it is none.
json_t *run_instance_name(const json_t *instance);
// Says which of the changed keys wait for a restart.
void run_print_restart(const json_t *result);

#endif

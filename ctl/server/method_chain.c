// SPDX-License-Identifier: BSD-3-Clause
// Chains, their hops and instances.
#include "ctl/server/method.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/server/chain_json.h"

struct place {
	const char *name;
	size_t position;
};

static int by_name(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	return strcmp(x->name, y->name);
}

// By name, so that a list in pages has all of them, however their order changes meanwhile.
static size_t places(const struct weir_switch *sw, struct place sorted[static CHAINS_MAX])
{
	const struct config_chain *chain;
	size_t count = 0;
	for (; count < CHAINS_MAX && (chain = switch_chain_config(sw, count)); count++)
		sorted[count] = (struct place){chain->name, count};
	qsort(sorted, count, sizeof(*sorted), by_name);
	return count;
}

int method_chain_list(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	const char *after = rpc_text(call, "cursor");
	struct place sorted[CHAINS_MAX];
	struct chain_status status;
	size_t limit, at = 0;
	int rc = method_limit(call, &limit);
	if (rc)
		return rc;
	size_t count = places(sw, sorted);
	while (after && at < count && strcmp(sorted[at].name, after) <= 0)
		at++;
	json_t *items = json_array();
	for (; limit && at < count; at++, limit--)
		if (switch_chain_at(sw, sorted[at].position, &status))
			json_array_append_new(items, chain_json(&status, sorted[at].position + 1));
	return method_list(call, items, at < count ? sorted[at - 1].name : NULL);
}

int method_chain_show(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	const char *name = rpc_text(call, "name");
	const struct config_chain *chain;
	struct chain_status status;
	size_t at = 0;
	while ((chain = switch_chain_config(sw, at)) && strcmp(chain->name, name))
		at++;
	if (!chain || !switch_chain_at(sw, at, &status))
		return error_set(&call->err, ENOENT, "chain %s: there is no such chain", name);
	call->result = chain_json(&status, at + 1);
	json_object_set_new(call->result, "hops", chain_hops_json(sw, &status));
	return 0;
}

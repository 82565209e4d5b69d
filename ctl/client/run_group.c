// SPDX-License-Identifier: BSD-3-Clause
// Commands on security groups.
#include <stdio.h>

#include "ctl/client/run.h"

static const struct column group_columns[] = {
	{"NAME", "name", false},
	{"PORTS", "ports", true},
	{"TO-VM RULES", "to_vm", true},
	{"FROM-VM RULES", "from_vm", true},
	{"HITS", "hits", true},
};
static const struct column rule_columns[] = {
	{"DIRECTION", "direction", false},
	{"POSITION", "position", true},
	{"HITS", "hits", true},
	{"RULE", "rule", false},
};

int run_group_list(struct call *call)
{
	return run_list(call, "group.list", json_object(), group_columns, COUNT(group_columns));
}

// One answer has a part of the rules.
static void on_part(void *ctx, const json_t *answer)
{
	json_t *group = ctx, *rules = json_object_get(group, "rules");
	if (rules) {
		json_array_extend(rules, json_object_get(answer, "rules"));
		return;
	}
	json_object_update(group, (json_t *)answer);
	json_object_del(group, "cursor");
}

int run_group_show(struct call *call)
{
	json_t *params = json_pack("{s:i}", "limit", LINK_PAGE), *group = json_object();
	if (call->args[0])
		json_object_set_new(params, "name", json_string(call->args[0]));
	int status = link_follow(&call->link, "group.show", params, on_part, group);
	if (!status && call->format == FORMAT_JSON)
		print_json(group);
	else if (!status)
		print_table(
			rule_columns, COUNT(rule_columns), json_object_get(group, "rules"), true);
	json_decref(group);
	return status;
}

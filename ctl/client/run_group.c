// SPDX-License-Identifier: BSD-3-Clause
// Commands on security groups.
#include <stdio.h>

#include "ctl/client/run.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

// The rules by direction, as a configuration has them.
static void split_rules(json_t *group)
{
	json_t *rules = json_object_get(group, "rules"), *to_vm = json_array(),
	       *from_vm = json_array(), *rule;
	size_t i;
	json_array_foreach (rules, i, rule) {
		const char *direction = json_string_value(json_object_get(rule, "direction"));
		json_array_append(direction && *direction == 't' ? to_vm : from_vm, rule);
	}
	json_object_set_new(group, "to_vm", to_vm);
	json_object_set_new(group, "from_vm", from_vm);
	json_object_del(group, "rules");
}

int run_group_show(struct call *call)
{
	json_t *params = json_pack("{s:i}", "limit", LINK_PAGE), *group = json_object();
	if (call->args[0])
		json_object_set_new(params, "name", json_string(call->args[0]));
	int status = link_follow(&call->link, "group.show", params, on_part, group);
	if (!status && call->format == FORMAT_JSON) {
		split_rules(group);
		print_json(group);
	} else if (!status) {
		print_table(
			rule_columns, COUNT(rule_columns), json_object_get(group, "rules"), true);
	}
	json_decref(group);
	return status;
}

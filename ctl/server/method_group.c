// SPDX-License-Identifier: BSD-3-Clause
// Security groups and their rules' hits.
#include "ctl/server/method.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/server/connection_json.h"

int method_group_list(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	const char *after = rpc_text(call, "cursor");
	size_t limit, at = 0;
	int rc = method_limit(call, &limit);
	if (rc)
		return rc;
	const char *name;
	while (after && (name = switch_group_name(sw, at)) && strcmp(name, after) <= 0)
		at++;
	json_t *items = json_array();
	char last[NAME_SIZE] = "";
	struct group_info info;
	for (; limit && switch_group_at(sw, at, &info); at++, limit--) {
		snprintf(last, sizeof(last), "%s", info.name);
		json_array_append_new(
			items, json_pack("{s:o, s:I, s:I, s:I, s:I}", "name", rpc_string(info.name),
				       "to_vm", (json_int_t)info.to_vm, "from_vm",
				       (json_int_t)info.from_vm, "ports", (json_int_t)info.ports,
				       "hits", (json_int_t)info.hits));
	}
	return method_list(call, items, switch_group_name(sw, at) ? last : NULL);
}

static json_t *rule_json(const struct rule_state *state)
{
	char text[RULE_TEXT_SIZE];
	rule_text(state, text);
	return json_pack("{s:s, s:I, s:o, s:I}", "direction", rule_direction_name(state),
		"position", (json_int_t)state->position, "rule", rpc_string(text), "hits",
		(json_int_t)state->hits);
}

static bool group_exists(const struct weir_switch *sw, const char *wanted)
{
	const char *name;
	for (size_t i = 0; (name = switch_group_name(sw, i)); i++)
		if (!strcmp(name, wanted))
			return true;
	return false;
}

static json_t *ports_json(struct weir_switch *sw, const char *group)
{
	json_t *names = json_array();
	struct port_info info;
	for (size_t i = 0; switch_port_at(sw, i, &info); i++)
		for (uint16_t k = 0; k < info.config->ngroups; k++)
			if (!strcmp(info.config->groups[k], group))
				json_array_append_new(names, rpc_string(info.config->name));
	return names;
}

int method_group_show(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	const char *name = rpc_text(call, "name"), *cursor = rpc_text(call, "cursor");
	size_t limit, at = 0;
	int rc = method_limit(call, &limit);
	if (rc)
		return rc;
	if (cursor && sscanf(cursor, "%zu", &at) != 1)
		return method_bad_cursor(call);
	if (name && !group_exists(sw, name))
		return error_set(&call->err, ENOENT, "group %s: there is no such group", name);
	json_t *rules = json_array();
	struct rule_state state;
	bool more;
	while ((more = switch_rule_at(sw, name ? name : "", at, &state)) && limit--) {
		json_array_append_new(rules, rule_json(&state));
		at++;
	}
	char next[24];
	snprintf(next, sizeof(next), "%zu", at);
	call->result = json_pack("{s:o, s:o, s:o, s:o}", "name",
		name ? rpc_string(name) : json_null(), "ports",
		name ? ports_json(sw, name) : json_null(), "rules", rules, "cursor",
		more ? json_string(next) : json_null());
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
// Rates: what they are to be and what passes in truth.
#include "ctl/server/method.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/schema/schema.h"

static const char *const kind_names[] = {
	[RATE_FROM_VM] = "from-vm",
	[RATE_TO_VM] = "to-vm",
	[RATE_SHARED] = "shared",
};
static const char *const limited_names[] = {
	[LIMITED_BY_GUEST] = "guest",
	[LIMITED_BY_RATE] = "rate",
	[LIMITED_BY_WORKER] = "worker",
	[LIMITED_BY_RECEIVER] = "receiver",
};

static json_t *number_or_null(uint64_t value)
{
	return value ? json_integer((json_int_t)value) : json_null();
}

static json_t *speed_json(const struct rate_speed *speed)
{
	if (!speed->known)
		return json_null();
	return json_pack("{s:I, s:I}", "bits", (json_int_t)speed->bits, "packets",
		(json_int_t)speed->packets);
}

static json_t *rate_json(const struct rate_status *status)
{
	const struct config_rate *rate = status->config;
	json_t *json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:s}", "kind", kind_names[status->kind],
		"name", rpc_string(status->name), "bits", number_or_null(rate->bits), "packets",
		number_or_null(rate->packets), "burst", number_or_null(rate->burst_bytes), "layer",
		schema_word("rates.*.layer", rate->layer));
	bool from_vm = status->kind == RATE_FROM_VM, to_vm = status->kind == RATE_TO_VM;
	json_object_set_new(json, "police", from_vm ? json_boolean(rate->police) : json_null());
	json_object_set_new(json, "scheduler",
		to_vm ? json_string(schema_word("ports.*.rate.to-vm.scheduler", rate->scheduler))
		      : json_null());
	json_object_set_new(json, "queue", number_or_null(rate->queue_bytes));
	json_t *now = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s}", "actual_1s",
		speed_json(&status->last_1s), "actual_10s", speed_json(&status->last_10s), "passed",
		method_traffic(&status->passed), "held", method_traffic(&status->held), "wait_ns",
		(json_int_t)status->wait_ns, "marks", (json_int_t)status->marks, "drops",
		(json_int_t)status->drops, "limited_by", limited_names[status->limited_by]);
	json_object_update(json, now);
	json_decref(now);
	return json;
}

// A rate's place in the list; the text is "SHARED NAME KIND".
struct place {
	unsigned shared, kind;
	char name[NAME_SIZE];
};

static struct place place_of(const struct rate_status *status)
{
	struct place place = {.shared = status->kind == RATE_SHARED, .kind = status->kind};
	snprintf(place.name, sizeof(place.name), "%s", status->name);
	return place;
}

static bool is_behind(const struct place *a, const struct place *b)
{
	int names = strcmp(a->name, b->name);
	if (a->shared != b->shared)
		return a->shared > b->shared;
	return names > 0 || (!names && a->kind > b->kind);
}

int method_rate_list(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	const char *cursor = rpc_text(call, "cursor");
	struct place after, last = {0};
	struct rate_status status;
	size_t limit, at = 0;
	int rc = method_limit(call, &limit);
	if (rc)
		return rc;
	if (cursor && sscanf(cursor, "%u %31s %u", &after.shared, after.name, &after.kind) != 3)
		return method_bad_cursor(call);
	json_t *items = json_array();
	bool more;
	for (; (more = switch_rate_at(sw, at, &status)); at++) {
		struct place place = place_of(&status);
		if (cursor && !is_behind(&place, &after))
			continue;
		if (!limit--)
			break;
		json_array_append_new(items, rate_json(&status));
		last = place;
	}
	char next[NAME_SIZE + 32];
	snprintf(next, sizeof(next), "%u %s %u", last.shared, last.name, last.kind);
	return method_list(call, items, more ? next : NULL);
}

// The members of a shared rate, each with what it sends of it.
static json_t *members_json(struct weir_switch *sw, const struct config_shared *shared)
{
	json_t *members = json_array();
	for (size_t i = 0; i < shared->nmembers; i++) {
		const struct config_shared_member *member = &shared->members[i];
		struct rate_status status;
		if (!switch_rate_member(sw, shared, member->port, &status))
			continue;
		json_array_append_new(
			members, json_pack("{s:o, s:i, s:o, s:o, s:o}", "port",
					 rpc_string(member->port), "weight", (int)member->weight,
					 "actual_1s", speed_json(&status.last_1s), "actual_10s",
					 speed_json(&status.last_10s), "passed",
					 method_traffic(&status.passed)));
	}
	return members;
}

// Whether it is called so, or shared by a port that is.
static bool concerns(const struct rate_status *status, const char *name)
{
	bool is = !strcmp(status->name, name);
	for (size_t i = 0; status->shared && i < status->shared->nmembers && !is; i++)
		is = !strcmp(status->shared->members[i].port, name);
	return is;
}

int method_rate_show(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	const char *name = rpc_text(call, "name");
	struct port_info info;
	struct rate_status status;
	json_t *rates = json_array();
	for (size_t i = 0; switch_rate_at(sw, i, &status); i++) {
		if (!concerns(&status, name))
			continue;
		json_t *rate = rate_json(&status);
		json_object_set_new(rate, "ports",
			status.shared ? members_json(sw, status.shared) : json_null());
		json_array_append_new(rates, rate);
	}
	if (!json_array_size(rates) && !switch_port_find(sw, name, &info)) {
		json_decref(rates);
		return error_set(&call->err, ENOENT,
			"rate %s: there is neither a port nor a shared rate of that name", name);
	}
	call->result = json_pack("{s:o, s:o}", "name", rpc_string(name), "rates", rates);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/chain_json.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "ctl/rpc/rpc.h"
#include "ctl/server/connection_json.h"

static const char *const state_names[] = {
	[INSTANCE_IN_SERVICE] = "in-service",
	[INSTANCE_DOWN] = "down",
	[INSTANCE_STALLED] = "stalled",
	[INSTANCE_SILENT] = "silent",
};
static const char *const failure_names[] = {[HOP_OPEN] = "open", [HOP_CLOSED] = "closed"};
static const char *const mode_names[] = {
	[HOP_TRANSPARENT] = "transparent",
	[HOP_ROUTED] = "routed",
};
static const char *const recognise_names[] = {
	[RECOGNISE_CONNECTION] = "connection",
	[RECOGNISE_PORT] = "port",
	[RECOGNISE_VLAN] = "vlan",
	[RECOGNISE_NSH] = "nsh",
};

json_t *chain_json(const struct chain_status *status, size_t position)
{
	const struct config_chain *chain = status->config;
	char text[RULE_TEXT_SIZE];
	size_t total = 0, in_service = 0;
	json_t *nfs = json_array();
	for (size_t i = 0; i < chain->nhops; i++) {
		json_array_append_new(nfs, rpc_string(chain->hops[i].nf));
		total += chain->hops[i].ninstances;
		for (size_t k = 0; k < chain->hops[i].ninstances; k++)
			in_service += status->hops[i].instances[k].state == INSTANCE_IN_SERVICE;
	}
	match_text(chain, text);
	return json_pack("{s:o, s:I, s:o, s:o, s:I, s:I, s:I, s:I}", "name",
		rpc_string(chain->name), "position", (json_int_t)position, "match",
		rpc_string(text), "nfs", nfs, "instances", (json_int_t)total, "in_service",
		(json_int_t)in_service, "connections", (json_int_t)status->connections, "begun",
		(json_int_t)status->begun);
}

static json_t *traffic_json(const struct traffic *traffic)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)traffic->packets, "bytes",
		(json_int_t)traffic->bytes);
}

// Which it is: `port` if it is one-armed, else `left` and `right`. NULL: none.
static json_t *names_json(const struct config_instance *instance)
{
	if (!instance)
		return json_pack("{s:n, s:n, s:n}", "port", "left", "right");
	if (!strcmp(instance->left, instance->right))
		return json_pack(
			"{s:o, s:n, s:n}", "port", rpc_string(instance->left), "left", "right");
	return json_pack("{s:n, s:o, s:o}", "port", "left", rpc_string(instance->left), "right",
		rpc_string(instance->right));
}

// Why it is out of service, for people.
static json_t *reason_json(struct weir_switch *sw, const struct instance_status *status)
{
	char text[NAME_SIZE + sizeof(((struct port_status *)0)->text) + 16];
	struct port_info info;
	if (status->state == INSTANCE_IN_SERVICE || !status->port)
		return json_string("");
	if (status->state == INSTANCE_STALLED)
		snprintf(text, sizeof(text), "port %s: takes no packets", status->port);
	else if (status->state == INSTANCE_SILENT)
		snprintf(text, sizeof(text), "port %s: no answer to its probe", status->port);
	else if (switch_port_find(sw, status->port, &info))
		snprintf(text, sizeof(text), "port %s: %s", status->port, info.status.text);
	else
		snprintf(text, sizeof(text), "port %s: it is not there", status->port);
	return rpc_string(text);
}

// NULL: there are no samples.
static json_t *time_json(const struct time_spent *time)
{
	if (!time->samples)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)time->p50_ns, "p99",
		(json_int_t)time->p99_ns, "max", (json_int_t)time->max_ns, "samples",
		(json_int_t)time->samples);
}

static json_t *address_json(const struct config_prefix *address)
{
	char text[INET6_ADDRSTRLEN];
	return json_string(inet_ntop(address->family, address->address, text, sizeof(text)));
}

static json_t *probe_json(const struct config_probe *probe)
{
	if (!probe->interval_ns)
		return json_null();
	json_t *json = json_pack("{s:I, s:I}", "interval_ns", (json_int_t)probe->interval_ns,
		"failures", (json_int_t)probe->failures);
	if (probe->to.family) {
		json_object_set_new(json, "from", address_json(&probe->from));
		json_object_set_new(json, "to", address_json(&probe->to));
	}
	return json;
}

static json_t *instance_json(struct weir_switch *sw, const struct config_instance *instance,
	const struct instance_status *status)
{
	json_t *json = names_json(instance);
	json_t *now = json_pack("{s:s, s:o, s:I, s:o, s:o, s:o}", "state",
		state_names[status->state], "text", reason_json(sw, status), "connections",
		(json_int_t)status->connections, "original", traffic_json(&status->original),
		"reply", traffic_json(&status->reply), "time_ns", time_json(&status->time));
	json_object_update(json, now);
	json_decref(now);
	return json;
}

// Of a hop inside of the switch; others have none.
static json_t *groups_json(const struct config_hop *hop)
{
	json_t *groups = json_array();
	for (size_t i = 0; i < hop->ngroups; i++)
		json_array_append_new(groups, rpc_string(hop->groups[i]));
	return groups;
}

// By which its frames tell the chain; others have none.
static json_t *mark_json(uint32_t mark)
{
	return mark ? json_integer(mark) : json_null();
}

json_t *chain_hops_json(struct weir_switch *sw, const struct chain_status *status)
{
	json_t *hops = json_array();
	for (size_t i = 0; i < status->config->nhops; i++) {
		const struct config_hop *hop = &status->config->hops[i];
		json_t *instances = json_array();
		for (size_t k = 0; k < hop->ninstances; k++)
			json_array_append_new(instances, instance_json(sw, &hop->instances[k],
								 &status->hops[i].instances[k]));
		json_array_append_new(hops,
			json_pack("{s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o}",
				"nf", rpc_string(hop->nf), "groups", groups_json(hop), "on_failure",
				failure_names[hop->on_failure], "mode", mode_names[hop->mode],
				"recognise_by", recognise_names[hop->recognise], "tag",
				mark_json(hop->tag), "path", mark_json(hop->path), "probe",
				probe_json(&hop->probe), "skipped",
				(json_int_t)status->hops[i].skipped, "closed",
				(json_int_t)status->hops[i].closed, "time_ns",
				time_json(&status->hops[i].time), "instances", instances));
	}
	return hops;
}

json_t *chain_way_json(const struct connection_info *info)
{
	if (!info->chain)
		return json_null();
	json_t *hops = json_array();
	for (size_t i = 0; i < info->chain->nhops; i++) {
		json_t *hop = names_json(info->instances[i]);
		json_object_set_new(hop, "nf", rpc_string(info->chain->hops[i].nf));
		json_object_set_new(hop, "groups", groups_json(&info->chain->hops[i]));
		json_array_append_new(hops, hop);
	}
	return json_pack("{s:o, s:o}", "name", rpc_string(info->chain->name), "hops", hops);
}

json_t *chain_state_json(struct weir_switch *sw, const struct config_chain *chain, size_t hop,
	size_t instance, const struct instance_status *now)
{
	const struct config_hop *at = &chain->hops[hop];
	json_t *json = names_json(&at->instances[instance]);
	json_t *rest = json_pack("{s:o, s:I, s:o, s:s, s:o}", "chain", rpc_string(chain->name),
		"hop", (json_int_t)(hop + 1), "nf", rpc_string(at->nf), "state",
		state_names[now->state], "text", reason_json(sw, now));
	json_object_update(json, rest);
	json_decref(rest);
	return json;
}

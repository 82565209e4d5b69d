// SPDX-License-Identifier: BSD-3-Clause
// Commands on what the switch knows and counts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/client/run.h"

static const struct column status_columns[] = {
	{"version", "version", false},
	{"pid", "pid", false},
	{"up for, seconds", "uptime_s", false},
	{"run directory", "run_dir", false},
	{"configuration file", "config_file", false},
	{"unsaved changes", "unsaved_changes", false},
	{"waits for a restart", "restart", false},
	{"packet memory", "memory", false},
	{"ports", "ports.total", false},
	{"ports up", "ports.up", false},
	{"bridges", "bridges", false},
	{"control clients", "clients", false},
	{"connections", "connections.used", false},
	{"connections at most", "connections.max", false},
	{"connections begun", "connections.created", false},
	{"connections expired", "connections.expired", false},
	{"connections evicted", "connections.evicted", false},
	{"connections flushed", "connections.removed", false},
	{"connections refused, table full", "connections.refused", false},
	{"tracked packets", "connections.tracked", false},
	{"lookups per tracked packet", "per_tracked", false},
};
static const struct column worker_columns[] = {
	{"CPU", "cpu", true},
	{"QUEUES", "queues", true},
	{"PACKETS", "packets", true},
	{"CYCLES/PACKET", "per_packet", true},
	{"BUSY", "busy", true},
	{"SLEEPS", "sleeps", true},
};
static const struct column bridge_columns[] = {
	{"NAME", "name", false},
	{"AGEING", "ageing_s", true},
	{"MACS", "macs", true},
	{"MAX", "macs_max", true},
	{"LEARNED", "learned", true},
	{"MOVED", "moved", true},
	{"AGED", "aged", true},
	{"REFUSED", "refused", true},
};
static const struct column fdb_columns[] = {
	{"BRIDGE", "bridge", false},
	{"VLAN", "vlan", true},
	{"MAC", "mac", false},
	{"PORT", "port", false},
	{"AGE", "age_s", true},
};
static const struct column log_columns[] = {
	{"SUBSYSTEM", "subsystem", false},
	{"LEVEL", "level", false},
	{"", "about", false},
};

static double number(const json_t *item, const char *key)
{
	return (double)json_integer_value(json_object_get(item, key));
}

// Since the start: what a packet cost, and what part of its time the worker was busy.
static void add_shares(json_t *workers)
{
	size_t i;
	json_t *w;
	json_array_foreach (workers, i, w) {
		double busy = number(w, "busy_cycles"), packets = number(w, "packets");
		double all = busy + number(w, "idle_cycles");
		char text[32];
		snprintf(text, sizeof(text), "%.1f %%", all > 0 ? 100 * busy / all : 0);
		json_object_set_new(w, "busy", json_string(text));
		snprintf(text, sizeof(text), "%.0f", packets > 0 ? busy / packets : 0);
		json_object_set_new(w, "per_packet", json_string(text));
	}
}

// The mark of one lookup for each packet.
static void add_lookups(json_t *status)
{
	const json_t *connections = json_object_get(status, "connections");
	double tracked = number(connections, "tracked");
	char text[32];
	snprintf(text, sizeof(text), "%.3f", number(connections, "lookups") / tracked);
	if (tracked > 0)
		json_object_set_new(status, "per_tracked", json_string(text));
}

int run_status(struct call *call)
{
	json_t *status;
	int rc = link_call(&call->link, "status", NULL, &status);
	if (rc)
		return rc;
	if (call->format == FORMAT_JSON) {
		print_json(status);
	} else {
		json_t *workers = json_object_get(status, "workers");
		add_shares(workers);
		add_lookups(status);
		print_item(status_columns, COUNT(status_columns), status);
		putchar('\n');
		print_table(worker_columns, COUNT(worker_columns), workers, true);
	}
	json_decref(status);
	return EXIT_DONE;
}

int run_bridge_list(struct call *call)
{
	return run_list(call, "bridge.list", json_object(), bridge_columns, COUNT(bridge_columns));
}

// The parameters that fdb list and flush share; NULL after it has said what is wrong.
static json_t *fdb_params(const struct call *call)
{
	json_t *params = json_object();
	const char *port = command_option(call, "--port");
	const char *vlan = command_option(call, "--vlan");
	if (call->args[0])
		json_object_set_new(params, "bridge", json_string(call->args[0]));
	if (port)
		json_object_set_new(params, "port", json_string(port));
	if (!vlan)
		return params;
	char *end;
	unsigned long id = strtoul(vlan, &end, 10);
	if (*end || end == vlan || id > 4094) {
		command_usage(call, "--vlan %s: expected 0 to 4094", vlan);
		json_decref(params);
		return NULL;
	}
	json_object_set_new(params, "vlan", json_integer((json_int_t)id));
	return params;
}

int run_fdb_list(struct call *call)
{
	json_t *params = fdb_params(call);
	if (!params)
		return EXIT_USAGE;
	return run_list(call, "fdb.list", params, fdb_columns, COUNT(fdb_columns));
}

int run_fdb_flush(struct call *call)
{
	json_t *result, *params = fdb_params(call);
	const char *mac = command_option(call, "--mac");
	if (!params)
		return EXIT_USAGE;
	if (mac)
		json_object_set_new(params, "mac", json_string(mac));
	int status = link_call(&call->link, "fdb.flush", params, &result);
	if (!status)
		printf("forgot %lld\n",
			(long long)json_integer_value(json_object_get(result, "flushed")));
	json_decref(result);
	return status;
}

int run_log_list(struct call *call)
{
	return run_list(call, "log.list", json_object(), log_columns, COUNT(log_columns));
}

int run_log_set(struct call *call)
{
	json_t *result;
	int status = link_call(&call->link, "log.set",
		json_pack("{s:s, s:s}", "subsystem", call->args[0], "level", call->args[1]),
		&result);
	if (!status)
		printf("log %s: %s\n", call->args[0], call->args[1]);
	json_decref(result);
	return status;
}

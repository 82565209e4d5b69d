// SPDX-License-Identifier: BSD-3-Clause
// Hello, status, watch and the log's levels.
#include "ctl/server/method.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/server/connection_json.h"
#include "ctl/server/port_json.h"

int method_hello(struct rpc_call *call)
{
	json_int_t protocol = rpc_integer(call, "protocol", 0);
	if (protocol != RPC_VERSION) {
		call->code = RPC_PROTOCOL;
		return error_set(&call->err, EPROTO,
			"this switch (%s) speaks protocol %d, not %lld", WEIR_VERSION, RPC_VERSION,
			(long long)protocol);
	}
	call->session->greeted = true;
	call->result = json_pack("{s:i, s:s, s:s, s:i, s:o}", "protocol", RPC_VERSION, "version",
		WEIR_VERSION, "role", call->session->may_write ? "write" : "read", "uid",
		(int)call_conn(call)->peer.uid, "states", port_state_names());
	return 0;
}

static json_t *workers_json(struct weir_switch *sw)
{
	json_t *workers = json_array();
	struct worker_info w;
	for (size_t i = 0; switch_worker_at(sw, i, &w); i++)
		json_array_append_new(workers,
			json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu",
				(int)w.cpu, "packets", (json_int_t)w.packets, "bursts",
				(json_int_t)w.bursts, "busy_cycles", (json_int_t)w.busy_cycles,
				"idle_cycles", (json_int_t)w.idle_cycles, "polls",
				(json_int_t)w.polls, "sleeps", (json_int_t)w.sleeps, "tsc_hz",
				(json_int_t)w.tsc_hz, "queues", (json_int_t)w.queues, "lookups",
				(json_int_t)w.lookups, "tracked", (json_int_t)w.tracked));
	return workers;
}

static json_t *ports_json(struct weir_switch *sw)
{
	size_t up = 0;
	struct port_info info;
	for (size_t i = 0; switch_port_at(sw, i, &info); i++)
		up += info.status.state == PORT_UP;
	return json_pack(
		"{s:I, s:I}", "total", (json_int_t)switch_port_count(sw), "up", (json_int_t)up);
}

static json_t *connections_json(struct weir_switch *sw)
{
	uint64_t lookups = 0, tracked = 0;
	struct worker_info w;
	for (size_t i = 0; switch_worker_at(sw, i, &w); i++) {
		lookups += w.lookups;
		tracked += w.tracked;
	}
	return connection_stats_json(sw, lookups, tracked);
}

int method_status(struct rpc_call *call)
{
	struct server *server = call_server(call);
	call->result = json_pack(
		"{s:s, s:i, s:I, s:o, s:o, s:b, s:o, s:s, s:i, s:o, s:I, s:o, s:o}", "version",
		WEIR_VERSION, "pid", (int)getpid(), "uptime_s",
		(json_int_t)((conn_now_ms() - server->started_ms) / 1000), "run_dir",
		rpc_string(server->run_dir), "config_file", rpc_string(server->running.file),
		"unsaved_changes", (int)server->running.unsaved, "restart",
		running_restart_paths(&server->running), "memory", server->memory, "clients",
		(int)server->listener.count, "ports", ports_json(server->sw), "bridges",
		(json_int_t)switch_bridge_count(server->sw), "connections",
		connections_json(server->sw), "workers", workers_json(server->sw));
	return 0;
}

static const struct {
	const char *name;
	enum watch_topic topic;
} topics[] = {{"ports", WATCH_PORTS}, {"config", WATCH_CONFIG}, {"chains", WATCH_CHAINS}};

static unsigned topic_bit(const char *name)
{
	for (size_t i = 0; name && i < sizeof(topics) / sizeof(topics[0]); i++)
		if (!strcmp(topics[i].name, name))
			return topics[i].topic;
	return 0;
}

int method_watch(struct rpc_call *call)
{
	unsigned bits = 0;
	size_t i;
	json_t *name;
	json_array_foreach (rpc_value(call, "topics"), i, name) {
		unsigned bit = topic_bit(json_string_value(name));
		if (!bit) {
			call->code = RPC_PARAMS;
			return error_set(&call->err, EINVAL,
				"watch: 'topics' holds \"ports\", \"config\" and \"chains\" only");
		}
		bits |= bit;
	}
	call_conn(call)->topics = bits;
	call->result = json_pack("{s:O}", "topics", rpc_value(call, "topics"));
	return 0;
}

static const char *const subsystem_abouts[] = {
#define X(id, name, about) [LOG_##id] = about,
	LOG_SUBSYSTEMS(X)
#undef X
};

int method_log_list(struct rpc_call *call)
{
	json_t *items = json_array();
	for (unsigned i = 0; i < LOG_SUBSYSTEM_COUNT; i++)
		json_array_append_new(items,
			json_pack("{s:s, s:s, s:s}", "subsystem", log_subsystem_name(i), "level",
				log_level_name(log_get_level(i)), "about", subsystem_abouts[i]));
	return method_list(call, items, NULL);
}

int method_log_set(struct rpc_call *call)
{
	const char *name = rpc_text(call, "subsystem");
	const char *text = rpc_text(call, "level");
	enum log_subsystem subsystem = 0;
	enum log_level level;
	bool all = !strcmp(name, "all");
	char what[80];
	snprintf(what, sizeof(what), "log set %.20s %.20s", name, text);
	call->code = RPC_PARAMS;
	if (!all && log_subsystem_parse(name, &subsystem) < 0)
		return error_set(&call->err, EINVAL,
			"log subsystem '%.40s': there is no such one; log list shows them", name);
	if (log_level_parse(text, &level) < 0)
		return error_set(&call->err, EINVAL,
			"log level '%.40s': expected error, warning, info or debug", text);
	call->code = 0;
	// Logged before a level that would hide it.
	method_audit(call, what);
	for (unsigned i = 0; i < LOG_SUBSYSTEM_COUNT; i++)
		if (all || i == subsystem)
			log_set_level(i, level);
	return method_log_list(call);
}

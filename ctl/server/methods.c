// SPDX-License-Identifier: BSD-3-Clause
// The table of methods: docs/protocol.md says the same in words.
#include "ctl/server/method.h"

#include <errno.h>

// clang-format off
#define NAME   {"name", RPC_STRING, true}
#define CURSOR {"cursor", RPC_STRING, false}
#define LIMIT  {"limit", RPC_INTEGER, false}
#define CONNECTIONS \
	{"bridge", RPC_STRING, false}, {"port", RPC_STRING, false}, {"vlan", RPC_INTEGER, false}, \
		{"protocol", RPC_STRING, false}, {"state", RPC_STRING, false}, \
		{"address", RPC_STRING, false}, {"source", RPC_STRING, false}, \
		{"destination", RPC_STRING, false}, {"sport", RPC_INTEGER, false}, \
		{"dport", RPC_INTEGER, false}, {"chain", RPC_STRING, false}, CURSOR
#define NONE   {{NULL, RPC_STRING, false}}

static const struct rpc_method methods[] = {
	{"hello", method_hello, RPC_OPEN, "opens the conversation; tells versions and rights",
		{{"protocol", RPC_INTEGER, true}}},
	{"method.list", method_methods, RPC_READ, "this table", {CURSOR, LIMIT}},
	{"status", method_status, RPC_READ, "the switch, its workers and totals", NONE},
	{"watch", method_watch, RPC_READ, "sends notifications of these topics from now on",
		{{"topics", RPC_ARRAY, true}}},
	{"config.apply", method_config_apply, RPC_WRITE, "makes a document the running one, or nothing",
		{{"text", RPC_STRING, true}, {"file", RPC_STRING, false},
		 {"dry_run", RPC_BOOLEAN, false}}},
	{"config.diff", method_config_diff, RPC_READ, "what applying a document would change",
		{{"text", RPC_STRING, true}, {"file", RPC_STRING, false}}},
	{"config.export", method_config_export, RPC_READ, "the running document as YAML",
		{{"defaults", RPC_BOOLEAN, false}}},
	{"config.save", method_config_save, RPC_WRITE, "writes it to the file it is started from", NONE},
	{"port.add", method_port_add, RPC_WRITE, "adds a port",
		{NAME, {"settings", RPC_ARRAY_OR_OBJECT, false}}},
	{"port.set", method_port_set, RPC_WRITE, "changes settings of a port",
		{NAME, {"settings", RPC_ARRAY_OR_OBJECT, true}}},
	{"port.remove", method_port_remove, RPC_WRITE, "removes a port", {NAME}},
	{"port.list", method_port_list, RPC_READ, "ports by name", {CURSOR, LIMIT}},
	{"port.show", method_port_show, RPC_READ, "one port, with queues and drops", {NAME}},
	{"port.libvirt", method_port_libvirt, RPC_READ, "the XML that plugs a domain into it", {NAME}},
	{"bridge.list", method_bridge_list, RPC_READ, "bridges by name", {CURSOR, LIMIT}},
	{"fdb.list", method_fdb_list, RPC_READ, "learned MAC addresses",
		{{"bridge", RPC_STRING, false}, {"port", RPC_STRING, false},
		 {"vlan", RPC_INTEGER, false}, CURSOR, LIMIT}},
	{"fdb.flush", method_fdb_flush, RPC_WRITE, "forgets MAC addresses",
		{{"bridge", RPC_STRING, false}, {"port", RPC_STRING, false},
		 {"vlan", RPC_INTEGER, false}, {"mac", RPC_STRING, false}}},
	{"conn.list", method_conn_list, RPC_READ, "connections", {CONNECTIONS, LIMIT}},
	{"conn.show", method_conn_show, RPC_READ, "one connection, with rules and windows",
		{{"number", RPC_INTEGER, true}}},
	{"conn.count", method_conn_count, RPC_READ,
		"how many there are by protocol and state, in one part of the table after the other",
		{CONNECTIONS}},
	{"conn.flush", method_conn_flush, RPC_WRITE,
		"forgets connections, in one part of the table after the other", {CONNECTIONS}},
	{"group.list", method_group_list, RPC_READ, "security groups by name", {CURSOR, LIMIT}},
	{"group.show", method_group_show, RPC_READ,
		"the rules of a group, or the built-in ones, with hits",
		{{"name", RPC_STRING, false}, CURSOR, LIMIT}},
	{"chain.list", method_chain_list, RPC_READ, "chains by name, and how many of their instances serve",
		{CURSOR, LIMIT}},
	{"chain.show", method_chain_show, RPC_READ,
		"the hops of a chain and their instances, with states and counts", {NAME}},
	{"rate.list", method_rate_list, RPC_READ, "rates of ports and shared ones, and what passes",
		{CURSOR, LIMIT}},
	{"rate.show", method_rate_show, RPC_READ,
		"the rates of a port, those that it shares, or a shared one with its ports", {NAME}},
	{"drop.list", method_drop_list, RPC_READ, "dropped packets by port and reason",
		{{"port", RPC_STRING, false}, CURSOR, LIMIT}},
	{"log.list", method_log_list, RPC_READ, "subsystems and their levels", {CURSOR, LIMIT}},
	{"log.set", method_log_set, RPC_WRITE, "sets the level of a subsystem, or of `all`",
		{{"subsystem", RPC_STRING, true}, {"level", RPC_STRING, true}}},
};
// clang-format on

// A list of so many fits its field; of one more there would be no end.
_Static_assert(sizeof((struct rpc_param[]){CONNECTIONS, LIMIT}) <=
		       RPC_PARAMS_MAX * sizeof(struct rpc_param),
	"the longest list has an end");

const struct rpc_table method_table = {methods, sizeof(methods) / sizeof(methods[0])};

int method_methods(struct rpc_call *call)
{
	return method_list(call, rpc_describe(&method_table), NULL);
}

int method_limit(struct rpc_call *call, size_t *limit)
{
	json_int_t wanted = rpc_integer(call, "limit", 100);
	if (wanted < 1 || wanted > 1000) {
		call->code = RPC_PARAMS;
		return error_set(
			&call->err, EINVAL, "%s: 'limit' must be 1 to 1000", call->method->name);
	}
	*limit = (size_t)wanted;
	return 0;
}

int method_bad_cursor(struct rpc_call *call)
{
	call->code = RPC_PARAMS;
	return error_set(
		&call->err, EINVAL, "%s: this cursor came from no answer", call->method->name);
}

int method_list(struct rpc_call *call, json_t *items, const char *cursor)
{
	call->result = json_pack(
		"{s:o, s:o}", "items", items, "cursor", cursor ? rpc_string(cursor) : json_null());
	return 0;
}

json_t *method_traffic(const struct traffic *traffic)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)traffic->packets, "bytes",
		(json_int_t)traffic->bytes);
}

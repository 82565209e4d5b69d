// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/command.h"

// clang-format off
#define PORT_OPTION  {"--port", "PORT", "only addresses behind this port", WORD_PORT, NULL}
#define VLAN_OPTION  {"--vlan", "VLAN", "only addresses of this VLAN; 0 is untagged", WORD_ANY, NULL}
#define CONN_OPTIONS { \
	{"--port", "PORT", "only those with this port at either end", WORD_PORT, NULL}, \
	{"--vlan", "VLAN", "only those of this VLAN; 0 is untagged", WORD_ANY, NULL}, \
	{"--protocol", "PROTOCOL", "tcp, udp, icmp, icmpv6, sctp or a number", WORD_PROTOCOL, NULL}, \
	{"--state", "STATE", "such as tcp-established", WORD_CONN_STATE, NULL}, \
	{"--address", "CIDR", "only those with such an address at either end", WORD_ANY, NULL}, \
	{"--source", "CIDR", "only those that such an address has begun", WORD_ANY, NULL}, \
	{"--destination", "CIDR", "only those that were begun to such an address", WORD_ANY, NULL}, \
	{"--sport", "L4PORT", "of TCP, UDP, SCTP: the source's L4 port", WORD_ANY, NULL}, \
	{"--dport", "L4PORT", "likewise the destination's", WORD_ANY, NULL}, \
	{"--chain", "CHAIN", "only those that visit this chain", WORD_CHAIN, NULL}}
#define NAME         {"NAME", WORD_PORT, false, false}
#define NEW_NAME     {"NAME", WORD_ANY, false, false}
#define SETTINGS     {"KEY=VALUE", WORD_KEY, false, true}
#define NO_SETTINGS  {"KEY=VALUE", WORD_KEY, true, true}
#define DOCUMENT     {"FILE", WORD_FILE, false, false}
#define BRIDGE       {"BRIDGE", WORD_BRIDGE, true, false}
#define NO_ARGS      {{NULL, WORD_ANY, false, false}}
#define NO_OPTIONS   {{NULL, NULL, NULL, WORD_ANY, NULL}}

const struct command commands[] = {
	{"status", NULL, "the switch, its workers and totals", run_status, true, NO_ARGS, NO_OPTIONS},
	{"port", "list", "all ports", run_port_list, true, NO_ARGS, NO_OPTIONS},
	{"port", "show", "one port with its queues and drops", run_port_show, true, {NAME}, NO_OPTIONS},
	{"port", "add", "add a port; with no kind, a VM's at NAME.sock", run_port_add, false,
		{NEW_NAME, NO_SETTINGS}, NO_OPTIONS},
	{"port", "set", "change settings of a port; KEY= takes one back to its default", run_port_set,
		false, {NAME, SETTINGS}, NO_OPTIONS},
	{"port", "remove", "remove a port", run_port_remove, false, {NAME}, NO_OPTIONS},
	{"port", "wait", "wait until a port is in a state, such as up", run_port_wait, false,
		{NAME, {"STATE", WORD_STATE, false, false}},
		{{"--timeout", "TIME", "how long, such as 500ms or 2min; default 30s", WORD_ANY, NULL}}},
	{"port", "libvirt", "the XML that plugs a domain into a port", run_port_libvirt, false,
		{NAME}, NO_OPTIONS},
	{"apply", NULL, "make a document the running configuration, all of it or nothing", run_apply, false,
		{DOCUMENT}, {{"--dry-run", NULL, "check only, and say what would change", WORD_ANY, NULL}}},
	{"diff", NULL, "what applying a document would change", run_diff, true, {DOCUMENT}, NO_OPTIONS},
	{"export", NULL, "print the running configuration", run_export, true, NO_ARGS,
		{{"--defaults", NULL, "also what was left out", WORD_ANY, NULL}}},
	{"save", NULL, "write it to the file that the switch is started from", run_save, false, NO_ARGS, NO_OPTIONS},
	{"bridge", "list", "bridges and their MAC tables' counters", run_bridge_list, true, NO_ARGS, NO_OPTIONS},
	{"fdb", "list", "learned MAC addresses", run_fdb_list, true, {BRIDGE}, {PORT_OPTION, VLAN_OPTION}},
	{"fdb", "flush", "forget learned MAC addresses", run_fdb_flush, false, {BRIDGE},
		{PORT_OPTION, VLAN_OPTION, {"--mac", "MAC", "only this address", WORD_ANY, NULL}}},
	{"conn", "list", "connections", run_conn_list, true, {BRIDGE}, CONN_OPTIONS},
	{"conn", "show", "one connection, with its rules and windows", run_conn_show, true,
		{{"NUMBER", WORD_ANY, false, false}}, NO_OPTIONS},
	{"conn", "count", "how many connections there are, by protocol and state", run_conn_count, true,
		{BRIDGE}, CONN_OPTIONS},
	{"conn", "flush", "forget connections: their next packets are decided anew", run_conn_flush, false,
		{BRIDGE}, CONN_OPTIONS},
	{"group", "list", "security groups", run_group_list, true, NO_ARGS, NO_OPTIONS},
	{"group", "show", "the rules of a group with their hits; without a name, the built-in rules",
		run_group_show, true, {{"GROUP", WORD_GROUP, true, false}}, NO_OPTIONS},
	{"chain", "list", "chains of network functions, in the order in which they are asked", run_chain_list,
		true, NO_ARGS, NO_OPTIONS},
	{"chain", "show", "the hops of a chain, and the states and counts of their instances", run_chain_show,
		true, {{"CHAIN", WORD_CHAIN, false, false}}, NO_OPTIONS},
	{"rate", "list", "rates and what passes in truth", run_rate_list, true, NO_ARGS, NO_OPTIONS},
	{"rate", "show", "the rates of a port and those that it shares, or a shared one with its ports",
		run_rate_show, true, {{"NAME", WORD_RATE, false, false}}, NO_OPTIONS},
	{"drops", NULL, "dropped packets by port and reason, and the last of each", run_drops, true,
		{{"PORT", WORD_PORT, true, false}},
		{{"--watch", NULL, "go on, with rates, each second until Ctrl-C", WORD_ANY, NULL}}},
	{"log", "list", "subsystems and their levels", run_log_list, true, NO_ARGS, NO_OPTIONS},
	{"log", "set", "set a subsystem's level: error, warning, info, debug", run_log_set, false,
		{{"SUBSYSTEM", WORD_SUBSYSTEM, false, false}, {"LEVEL", WORD_LEVEL, false, false}}, NO_OPTIONS},
	{"help", NULL, "say how it goes", run_help, false, {{"NOUN", WORD_NOUN, true, false}}, NO_OPTIONS},
};

const struct option_spec global_options[GLOBALS] = {
	[GLOBAL_SOCKET] = {"--socket", "PATH", "the switch's control socket; default $WEIR_SOCKET, else a search",
		WORD_FILE, "-s"},
	[GLOBAL_OUTPUT] = {"--output", "FORMAT", "of what reading commands print: table or json",
		WORD_FORMAT, "-o"},
	[GLOBAL_HELP] = {"--help", NULL, "say how it goes", WORD_ANY, "-h"},
	[GLOBAL_VERSION] = {"--version", NULL, "print the version", WORD_ANY, "-V"},
};
// clang-format on

const size_t command_count = sizeof(commands) / sizeof(commands[0]);

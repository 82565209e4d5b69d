// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/command.h"

// clang-format off
#define PORT           {"--port", "PORT", "only addresses behind this port"}
#define VLAN           {"--vlan", "VLAN", "only addresses of this VLAN; 0 is untagged"}
#define ARG(name)      {name, false, false}
#define OPTIONAL(name) {name, true, false}
#define REST(name)     {name, false, true}
#define NO_ARGS        {{NULL, false, false}}
#define NO_OPTIONS     {{NULL, NULL, NULL}}

const struct command commands[] = {
	{"status", NULL, "the switch, its workers and totals", run_status, true, NO_ARGS, NO_OPTIONS},
	{"port", "list", "all ports", run_port_list, true, NO_ARGS, NO_OPTIONS},
	{"port", "show", "one port with its queues and drops", run_port_show, true, {ARG("NAME")}, NO_OPTIONS},
	{"port", "add", "add a port; with no kind, a VM's at NAME.sock", run_port_add, false,
		{ARG("NAME"), {"KEY=VALUE", true, true}}, NO_OPTIONS},
	{"port", "set", "change settings of a port; KEY= takes one back to its default", run_port_set,
		false, {ARG("NAME"), REST("KEY=VALUE")}, NO_OPTIONS},
	{"port", "remove", "remove a port", run_port_remove, false, {ARG("NAME")}, NO_OPTIONS},
	{"port", "wait", "wait until a port is in a state, such as up", run_port_wait, false,
		{ARG("NAME"), ARG("STATE")}, {{"--timeout", "TIME", "how long, such as 500ms or 2min; default 30s"}}},
	{"port", "libvirt", "the XML that plugs a domain into a port", run_port_libvirt, false,
		{ARG("NAME")}, NO_OPTIONS},
	{"apply", NULL, "make a document the running configuration, all of it or nothing", run_apply, false,
		{ARG("FILE")}, {{"--dry-run", NULL, "check only, and say what would change"}}},
	{"diff", NULL, "what applying a document would change", run_diff, true, {ARG("FILE")}, NO_OPTIONS},
	{"export", NULL, "print the running configuration", run_export, true, NO_ARGS,
		{{"--defaults", NULL, "also what was left out"}}},
	{"save", NULL, "write it to the file that the switch is started from", run_save, false, NO_ARGS, NO_OPTIONS},
	{"bridge", "list", "bridges and their MAC tables' counters", run_bridge_list, true, NO_ARGS, NO_OPTIONS},
	{"fdb", "list", "learned MAC addresses", run_fdb_list, true, {OPTIONAL("BRIDGE")}, {PORT, VLAN}},
	{"fdb", "flush", "forget learned MAC addresses", run_fdb_flush, false, {OPTIONAL("BRIDGE")},
		{PORT, VLAN, {"--mac", "MAC", "only this address"}}},
	{"drops", NULL, "dropped packets by port and reason", run_drops, true, {OPTIONAL("PORT")},
		{{"--watch", NULL, "go on, with what is new each second"}}},
	{"log", "list", "subsystems and their levels", run_log_list, true, NO_ARGS, NO_OPTIONS},
	{"log", "set", "set a subsystem's level: error, warning, info, debug", run_log_set, false,
		{ARG("SUBSYSTEM"), ARG("LEVEL")}, NO_OPTIONS},
	{"help", NULL, "say how it goes", run_help, false, {OPTIONAL("NOUN")}, NO_OPTIONS},
};
// clang-format on

const size_t command_count = sizeof(commands) / sizeof(commands[0]);

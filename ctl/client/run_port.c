// SPDX-License-Identifier: BSD-3-Clause
// Commands on ports.
#include <stdio.h>
#include <string.h>

#include "ctl/client/run.h"

static const struct column list_columns[] = {
	{"NAME", "name", false},
	{"BRIDGE", "bridge", false},
	{"STATE", "text", false},
	{"VLAN", "vlan", false},
	{"MTU", "mtu", true},
	{"QUEUES", "queues", true},
	{"FROM-VM", "from_vm.packets", true},
	{"TO-VM", "to_vm.packets", true},
	{"DROPS", "drops", true},
	{"MACS", "macs", true},
};
static const struct column show_columns[] = {
	{"name", "name", false},
	{"id", "id", false},
	{"kind", "kind", false},
	{"bridge", "bridge", false},
	{"state", "text", false},
	{"mend", "mend", false},
	{"socket", "socket", false},
	{"device", "device", false},
	{"members", "members", false},
	{"who listens", "listens", false},
	{"VMM's pid", "peer_pid", false},
	{"MTU", "mtu", false},
	{"VLAN", "vlan", false},
	{"MAC, no other", "addresses.mac", false},
	{"IP, no other", "addresses.ip", false},
	{"queue pairs, at most", "queues", false},
	{"queue pairs running", "pairs", false},
	{"features", "features", false},
	{"", "feature_names", false},
	{"packets from the VM", "from_vm.packets", false},
	{"bytes from the VM", "from_vm.bytes", false},
	{"packets to the VM", "to_vm.packets", false},
	{"bytes to the VM", "to_vm.bytes", false},
	{"drops", "drops", false},
	{"learned MACs", "macs", false},
	{"reconnects", "reconnects", false},
	{"refused connections", "refused", false},
};
static const struct column queue_columns[] = {
	{"QUEUE", "queue", true},
	{"RUNNING", "running", false},
	{"CPU", "worker_cpu", true},
	{"FROM-VM", "from_vm.packets", true},
	{"BYTES", "from_vm.bytes", true},
	{"TO-VM", "to_vm.packets", true},
	{"BYTES", "to_vm.bytes", true},
};

int run_list(struct call *call, const char *method, json_t *params, const struct column *columns,
	size_t count)
{
	json_t *items;
	int status = link_list(&call->link, method, params, &items);
	if (status)
		return status;
	if (call->format == FORMAT_JSON)
		print_json(items);
	else
		print_table(columns, count, items, true);
	json_decref(items);
	return EXIT_DONE;
}

int run_port_list(struct call *call)
{
	json_t *items, *item;
	size_t i;
	int status = link_list(&call->link, "port.list", json_object(), &items);
	if (status)
		return status;
	if (call->format == FORMAT_JSON) {
		print_json(items);
		json_decref(items);
		return EXIT_DONE;
	}
	print_table(list_columns, COUNT(list_columns), items, true);
	// Below, so that a long one does not tear the table apart. That a VM is to be started needs
	// no saying for each port.
	json_array_foreach (items, i, item) {
		const char *mend = json_string_value(json_object_get(item, "mend"));
		const char *state = json_string_value(json_object_get(item, "state"));
		if (mend && *mend && strcmp(state ? state : "", "waiting for the VMM"))
			printf("%s: %s\n", json_string_value(json_object_get(item, "name")), mend);
	}
	json_decref(items);
	return EXIT_DONE;
}

int run_port_show(struct call *call)
{
	json_t *item;
	int status = link_call(
		&call->link, "port.show", json_pack("{s:s}", "name", call->args[0]), &item);
	if (status)
		return status;
	const char *reason;
	json_t *count;
	if (call->format == FORMAT_JSON) {
		print_json(item);
	} else {
		print_item(show_columns, COUNT(show_columns), item);
		json_object_foreach (json_object_get(item, "drop_reasons"), reason, count)
			printf("dropped, %s: %lld\n", reason, (long long)json_integer_value(count));
		json_object_foreach (json_object_get(item, "statistics"), reason, count)
			printf("device, %s: %lld\n", reason, (long long)json_integer_value(count));
		putchar('\n');
		print_table(queue_columns, COUNT(queue_columns),
			json_object_get(item, "queue_list"), true);
	}
	json_decref(item);
	return EXIT_DONE;
}

// KEY=VALUE words as settings; NULL after it has said what is wrong.
static json_t *settings(const struct call *call)
{
	json_t *list = json_array();
	for (int i = 0; i < call->nrest; i++) {
		const char *word = call->rest[i];
		size_t key = strcspn(word, "=");
		if (!key || !word[key]) {
			command_usage(call, "'%s': expected KEY=VALUE, such as mtu=9000", word);
			json_decref(list);
			return NULL;
		}
		const char *value = word + key + 1;
		json_array_append_new(list, json_pack("{s:s%, s:s?}", "path", word, key, "value",
						    *value ? value : NULL));
	}
	return list;
}

static int change(struct call *call, const char *method, json_t *params, const char *done)
{
	json_t *result;
	int status = link_call(&call->link, method, params, &result);
	if (status)
		return status;
	printf("port %s: %s\n", call->args[0], done);
	run_print_restart(result);
	json_decref(result);
	return EXIT_DONE;
}

static int change_settings(struct call *call, const char *method, const char *done)
{
	json_t *list = settings(call);
	if (!list)
		return EXIT_USAGE;
	return change(call, method,
		json_pack("{s:s, s:o}", "name", call->args[0], "settings", list), done);
}

int run_port_add(struct call *call)
{
	return change_settings(call, "port.add", "added");
}

int run_port_set(struct call *call)
{
	return change_settings(call, "port.set", "changed");
}

int run_port_remove(struct call *call)
{
	return change(call, "port.remove", json_pack("{s:s}", "name", call->args[0]), "removed");
}

int run_port_libvirt(struct call *call)
{
	json_t *result;
	int status = link_call(
		&call->link, "port.libvirt", json_pack("{s:s}", "name", call->args[0]), &result);
	if (!status)
		fputs(json_string_value(json_object_get(result, "xml")), stdout);
	json_decref(result);
	return status;
}

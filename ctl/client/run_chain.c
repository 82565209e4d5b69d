// SPDX-License-Identifier: BSD-3-Clause
// Commands on chains.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/client/run.h"
#include "ctl/schema/quantity.h"

enum {
	TIME_DIGITS = 4 // no sample is more exact
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// What begins with `text` is added by this file.
static const struct column list_columns[] = {
	{"NAME", "name", false},
	{"MATCH", "match", false},
	{"HOPS", "text.hops", false},
	{"IN SERVICE", "text.instances", true},
	{"CONNECTIONS", "connections", true},
	{"BEGUN", "begun", true},
};
static const struct column show_columns[] = {
	{"name", "name", false},
	{"position", "position", false},
	{"match", "match", false},
	{"connections", "connections", false},
	{"connections begun", "begun", false},
};
static const struct column hop_columns[] = {
	{"HOP", "text.hop", true},
	{"NF", "nf", false},
	{"MODE", "text.mode", false},
	{"ON-FAILURE", "on_failure", false},
	{"SKIPPED", "skipped", true},
	{"CLOSED", "closed", true},
	{"TIME P50", "text.p50", true},
	{"P99", "text.p99", true},
};
static const struct column instance_columns[] = {
	{"HOP", "text.hop", true},
	{"INSTANCE", "text.name", false},
	{"STATE", "state", false},
	{"CONNECTIONS", "connections", true},
	{"PACKETS", "original.packets", true},
	{"BYTES", "original.bytes", true},
	{"REPLIES", "reply.packets", true},
	{"REPLY BYTES", "reply.bytes", true},
	{"TIME P50", "text.p50", true},
	{"P99", "text.p99", true},
	{"", "text.why", false},
};

static json_int_t number(const json_t *item, const char *key)
{
	return json_integer_value(json_object_get(item, key));
}

// "firewall > ids", "2/3".
static void explain_chain(json_t *chain)
{
	size_t i;
	json_t *nf, *hops = json_string("");
	json_array_foreach (json_object_get(chain, "nfs"), i, nf) {
		json_t *longer = json_sprintf(
			"%s%s%s", json_string_value(hops), i ? " > " : "", json_string_value(nf));
		json_decref(hops);
		hops = longer;
	}
	json_object_set_new(chain, "text",
		json_pack("{s:o, s:o}", "hops", hops, "instances",
			json_sprintf("%lld/%lld", number(chain, "in_service"),
				number(chain, "instances"))));
}

static int by_position(const void *a, const void *b)
{
	json_int_t x = number(*(json_t *const *)a, "position");
	json_int_t y = number(*(json_t *const *)b, "position");
	return (x > y) - (x < y);
}

// The switch lists them by name. NULL: no memory.
static json_t *in_order(const json_t *items)
{
	size_t count = json_array_size(items), i;
	json_t **chains = calloc(count + 1, sizeof(*chains)), *item;
	json_t *sorted = json_array();
	json_array_foreach (items, i, item)
		if (chains)
			chains[i] = item;
	if (chains)
		qsort(chains, count, sizeof(*chains), by_position);
	for (i = 0; chains && i < count; i++)
		json_array_append(sorted, chains[i]);
	free(chains);
	return sorted;
}

int run_chain_list(struct call *call)
{
	json_t *items, *item;
	size_t i;
	int status = link_list(&call->link, "chain.list", json_object(), &items);
	if (status)
		return status;
	json_t *sorted = in_order(items);
	if (call->format == FORMAT_JSON) {
		print_json(sorted);
	} else {
		json_array_foreach (sorted, i, item)
			explain_chain(item);
		print_table(list_columns, COUNT(list_columns), sorted, true);
	}
	json_decref(sorted);
	json_decref(items);
	return EXIT_DONE;
}

static json_t *groups_name(const json_t *groups)
{
	json_t *text = json_string("groups"), *group;
	size_t i;
	json_array_foreach (groups, i, group) {
		json_t *longer = json_sprintf(
			"%s%s %s", json_string_value(text), i ? "," : "", json_string_value(group));
		json_decref(text);
		text = longer;
	}
	return text;
}

json_t *run_instance_name(const json_t *instance)
{
	const json_t *groups = json_object_get(instance, "groups");
	if (json_array_size(groups))
		return groups_name(groups);
	const char *port = json_string_value(json_object_get(instance, "port"));
	const char *left = json_string_value(json_object_get(instance, "left"));
	if (port || !left)
		return json_string(port ? port : "skipped");
	return json_sprintf("%s > %s", left, json_string_value(json_object_get(instance, "right")));
}

// How long packets are in there, of a hop or instance: "12.3us"; nothing where nobody knows.
static json_t *time_text(const json_t *of, const char *which)
{
	char text[32] = "";
	const json_t *ns = json_object_get(json_object_get(of, "time_ns"), which);
	if (ns)
		quantity_round(TYPE_DURATION, (uint64_t)json_integer_value(ns), TIME_DIGITS, text,
			sizeof(text));
	return json_string(text);
}

// "routed, by vlan 100": also by what it is known which chain a packet from there belongs to.
static json_t *mode_text(const json_t *hop)
{
	const char *mode = json_string_value(json_object_get(hop, "mode"));
	const char *by = json_string_value(json_object_get(hop, "recognise_by"));
	json_int_t mark = number(hop, "tag") + number(hop, "path");
	if (mark)
		return json_sprintf("%s, by %s %lld", mode, by, mark);
	return strcmp(by, "connection") ? json_sprintf("%s, by %s", mode, by) : json_string(mode);
}

static void print_hops(const json_t *hops)
{
	json_t *all = json_array(), *hop, *instance;
	size_t i, k;
	json_array_foreach (hops, i, hop) {
		json_object_set_new(hop, "text",
			json_pack("{s:I, s:o, s:o, s:o}", "hop", (json_int_t)i + 1, "mode",
				mode_text(hop), "p50", time_text(hop, "p50"), "p99",
				time_text(hop, "p99")));
		if (json_array_size(json_object_get(hop, "groups")))
			json_array_append_new(
				all, json_pack("{s:{s:I, s:o}}", "text", "hop", (json_int_t)i + 1,
					     "name", run_instance_name(hop)));
		json_array_foreach (json_object_get(hop, "instances"), k, instance) {
			json_object_set_new(instance, "text",
				json_pack("{s:I, s:o, s:o, s:o, s:O}", "hop", (json_int_t)i + 1,
					"name", run_instance_name(instance), "p50",
					time_text(instance, "p50"), "p99",
					time_text(instance, "p99"), "why",
					json_object_get(instance, "text")));
			json_array_append(all, instance);
		}
	}
	putchar('\n');
	print_table(hop_columns, COUNT(hop_columns), hops, true);
	putchar('\n');
	print_table(instance_columns, COUNT(instance_columns), all, true);
	json_decref(all);
}

int run_chain_show(struct call *call)
{
	json_t *chain;
	int status = link_call(
		&call->link, "chain.show", json_pack("{s:s}", "name", call->args[0]), &chain);
	if (status)
		return status;
	if (call->format == FORMAT_JSON) {
		print_json(chain);
	} else {
		print_item(show_columns, COUNT(show_columns), chain);
		print_hops(json_object_get(chain, "hops"));
	}
	json_decref(chain);
	return EXIT_DONE;
}

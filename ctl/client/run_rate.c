// SPDX-License-Identifier: BSD-3-Clause
// Commands on rates.
#include <stdio.h>
#include <string.h>

#include "ctl/client/run.h"
#include "ctl/schema/quantity.h"

enum {
	TEXT_SIZE = 32,
	MEASURED_DIGITS = 4,
	SET_DIGITS = 12, // all that a rate has; quantity_print would say 199840123bit
};

// Of the texts that `explain` adds to a rate.
static const struct column list_columns[] = {
	{"NAME", "name", false},
	{"KIND", "kind", false},
	{"TARGET", "text.target", true},
	{"1 S", "text.last_1s", true},
	{"10 S", "text.last_10s", true},
	{"HELD", "text.held", true},
	{"WAIT", "text.wait", true},
	{"MARKS", "marks", true},
	{"DROPS", "drops", true},
	{"LIMITED-BY", "limited_by", false},
};
static const struct column show_columns[] = {
	{"name", "name", false},
	{"kind", "kind", false},
	{"target", "text.target", false},
	{"burst", "text.burst", false},
	{"layer", "layer", false},
	{"police", "police", false},
	{"scheduler", "scheduler", false},
	{"queue, at most", "text.queue", false},
	{"the last second", "text.last_1s", false},
	{"the last 10 s", "text.last_10s", false},
	{"packets passed", "passed.packets", false},
	{"bytes passed", "passed.bytes", false},
	{"packets held", "held.packets", false},
	{"bytes held", "held.bytes", false},
	{"the oldest waits for", "text.wait", false},
	{"marks", "marks", false},
	{"drops", "drops", false},
	{"limited by", "limited_by", false},
};
static const struct column member_columns[] = {
	{"PORT", "port", false},
	{"WEIGHT", "weight", true},
	{"1 S", "text.last_1s", true},
	{"10 S", "text.last_10s", true},
	{"PACKETS", "passed.packets", true},
	{"BYTES", "passed.bytes", true},
};

static void add_text(json_t *texts, const char *key, const json_t *value, enum key_type type)
{
	char text[TEXT_SIZE];
	if (!json_is_integer(value))
		return;
	quantity_round(type, (uint64_t)json_integer_value(value), SET_DIGITS, text, sizeof(text));
	json_object_set_new(texts, key, json_string(text));
}

// "199.8Mbit 20kpps" of an object with `bits` and `packets`: of those that have a target.
static void add_pair(
	json_t *texts, const char *key, const json_t *values, const json_t *targets, int digits)
{
	static const struct {
		const char *key;
		enum key_type type;
	} parts[] = {{"bits", TYPE_BITS}, {"packets", TYPE_PACKETS}};
	char text[2 * TEXT_SIZE] = "";
	for (size_t i = 0; i < COUNT(parts); i++) {
		char part[TEXT_SIZE];
		const json_t *value = json_object_get(values, parts[i].key);
		if (!json_is_integer(value) ||
			!json_is_integer(json_object_get(targets, parts[i].key)))
			continue;
		quantity_round(parts[i].type, (uint64_t)json_integer_value(value), digits, part,
			sizeof(part));
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", used ? " " : "", part);
	}
	json_object_set_new(texts, key, json_string(text));
}

static void add_speeds(json_t *texts, const json_t *of, const json_t *targets)
{
	add_pair(texts, "last_1s", json_object_get(of, "actual_1s"), targets, MEASURED_DIGITS);
	add_pair(texts, "last_10s", json_object_get(of, "actual_10s"), targets, MEASURED_DIGITS);
}

static void explain(json_t *rate)
{
	json_t *texts = json_object(), *member;
	char held[2 * TEXT_SIZE], bytes[TEXT_SIZE], wait[TEXT_SIZE];
	size_t i;
	add_pair(texts, "target", rate, rate, SET_DIGITS);
	add_speeds(texts, rate, rate);
	add_text(texts, "burst", json_object_get(rate, "burst"), TYPE_SIZE);
	add_text(texts, "queue", json_object_get(rate, "queue"), TYPE_SIZE);
	quantity_round(TYPE_SIZE, (uint64_t)json_integer_value(print_find(rate, "held.bytes")),
		MEASURED_DIGITS, bytes, sizeof(bytes));
	snprintf(held, sizeof(held), "%lld/%s",
		(long long)json_integer_value(print_find(rate, "held.packets")), bytes);
	json_object_set_new(texts, "held", json_string(held));
	quantity_round(TYPE_DURATION,
		(uint64_t)json_integer_value(json_object_get(rate, "wait_ns")), MEASURED_DIGITS,
		wait, sizeof(wait));
	json_object_set_new(texts, "wait", json_string(wait));
	json_object_set_new(rate, "text", texts);
	json_array_foreach (json_object_get(rate, "ports"), i, member) {
		json_t *own = json_object();
		add_speeds(own, member, rate);
		json_object_set_new(member, "text", own);
	}
}

int run_rate_list(struct call *call)
{
	json_t *items, *item;
	size_t i;
	int status = link_list(&call->link, "rate.list", json_object(), &items);
	if (status)
		return status;
	if (call->format == FORMAT_JSON) {
		print_json(items);
	} else {
		json_array_foreach (items, i, item)
			explain(item);
		print_table(list_columns, COUNT(list_columns), items, true);
	}
	json_decref(items);
	return EXIT_DONE;
}

static void print_rate(json_t *rate)
{
	json_t *members = json_object_get(rate, "ports");
	explain(rate);
	print_item(show_columns, COUNT(show_columns), rate);
	if (!json_is_array(members))
		return;
	putchar('\n');
	print_table(member_columns, COUNT(member_columns), members, true);
}

int run_rate_show(struct call *call)
{
	json_t *result, *rate;
	size_t i;
	int status = link_call(
		&call->link, "rate.show", json_pack("{s:s}", "name", call->args[0]), &result);
	if (status)
		return status;
	if (call->format == FORMAT_JSON) {
		print_json(result);
		json_decref(result);
		return EXIT_DONE;
	}
	json_array_foreach (json_object_get(result, "rates"), i, rate) {
		if (i)
			putchar('\n');
		print_rate(rate);
	}
	if (!json_array_size(json_object_get(result, "rates")))
		printf("port %s: it has no rate, and shares none\n", call->args[0]);
	json_decref(result);
	return EXIT_DONE;
}

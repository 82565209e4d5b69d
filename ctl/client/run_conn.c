// SPDX-License-Identifier: BSD-3-Clause
// Commands on connections. A table may hold a million: a list is printed page by page, and counting
// and flushing go on by cursor.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/client/run.h"

static const struct column list_columns[] = {
	{"NUMBER", "number", true},
	{"BRIDGE", "bridge", false},
	{"VLAN", "vlan", true},
	{"PROTOCOL", "protocol", false},
	{"STATE", "state", false},
	{"SOURCE", "source", false},
	{"DESTINATION", "destination", false},
	{"FROM", "from", false},
	{"TO", "to", false},
	{"PACKETS", "packets", true},
	{"REPLIES", "replies", true},
	{"IDLE", "idle_s", true},
	{"EXPIRES", "expires_s", true},
};
static const struct column show_columns[] = {
	{"number", "number", false},
	{"bridge", "bridge", false},
	{"VLAN", "vlan", false},
	{"protocol", "protocol", false},
	{"state", "state", false},
	{"source", "source", false},
	{"destination", "destination", false},
	{"ICMP identifier", "icmp_id", false},
	{"begun behind port", "from", false},
	{"goes to port", "to", false},
	{"counts for port", "owner", false},
	{"answered", "answered", false},
	{"picked up in its middle", "picked_up", false},
	{"packets", "original.packets", false},
	{"bytes", "original.bytes", false},
	{"packets in reply", "reply.packets", false},
	{"bytes in reply", "reply.bytes", false},
	{"age, seconds", "age_s", false},
	{"idle, seconds", "idle_s", false},
	{"expires in seconds", "expires_s", false},
	{"TCP: sent up to", "tcp.original.end", false},
	{"TCP: replies may go up to", "tcp.original.limit", false},
	{"TCP: largest window", "tcp.original.window", false},
	{"TCP: window scale", "tcp.original.scale", false},
	{"TCP: replied up to", "tcp.reply.end", false},
	{"TCP: may send up to", "tcp.reply.limit", false},
	{"TCP: largest window of replies", "tcp.reply.window", false},
	{"TCP: window scale of replies", "tcp.reply.scale", false},
	{"SCTP: verification tags", "sctp_tags", false},
	{"visits chain", "chain.name", false},
};
static const struct column rule_columns[] = {
	{"ALLOWED BY", "group", false},
	{"DIRECTION", "direction", false},
	{"POSITION", "position", true},
	{"RULE", "rule", false},
};
static const struct column way_columns[] = {
	{"VISITS", "nf", false},
	{"INSTANCE", "text", false},
};
static const struct column count_columns[] = {
	{"PROTOCOL", "protocol", false},
	{"STATE", "state", false},
	{"CONNECTIONS", "connections", true},
	{"PACKETS", "packets", true},
	{"BYTES", "bytes", true},
};

static bool get_number(
	const struct call *call, json_t *params, const char *option, unsigned long max)
{
	const char *text = command_option(call, option);
	char *end;
	if (!text)
		return true;
	unsigned long value = strtoul(text, &end, 10);
	if (*end || *text < '0' || *text > '9' || value > max) {
		command_usage(call, "%s %s: expected 0 to %lu", option, text, max);
		return false;
	}
	json_object_set_new(params, option + 2, json_integer((json_int_t)value));
	return true;
}

// The filters; NULL after it has said what is wrong.
static json_t *filters(const struct call *call)
{
	static const char *const texts[] = {"--port", "--protocol", "--state", "--address",
		"--source", "--destination", "--chain"};
	json_t *params = json_object();
	if (call->args[0])
		json_object_set_new(params, "bridge", json_string(call->args[0]));
	for (size_t i = 0; i < COUNT(texts); i++) {
		const char *text = command_option(call, texts[i]);
		if (text)
			json_object_set_new(params, texts[i] + 2, json_string(text));
	}
	if (get_number(call, params, "--vlan", 4094) &&
		get_number(call, params, "--sport", 65535) &&
		get_number(call, params, "--dport", 65535))
		return params;
	json_decref(params);
	return NULL;
}

// "10.0.0.1:80", "[fd00::1]:80", or the address alone.
static json_t *endpoint(const json_t *item, const char *address_path, const char *port_path)
{
	const char *address = json_string_value(print_find(item, address_path));
	const json_t *port = print_find(item, port_path);
	if (!address || !json_is_integer(port))
		return json_string(address ? address : "");
	return json_sprintf(
		strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, (int)json_integer_value(port));
}

// What the tables show and JSON has elsewhere.
static void add_cells(json_t *item)
{
	json_object_set_new(item, "source", endpoint(item, "original.source", "original.sport"));
	json_object_set_new(
		item, "destination", endpoint(item, "original.destination", "original.dport"));
	json_object_set(
		item, "packets", json_object_get(json_object_get(item, "original"), "packets"));
	json_object_set(
		item, "replies", json_object_get(json_object_get(item, "reply"), "packets"));
}

static void on_page(void *ctx, const json_t *answer)
{
	struct print_stream *stream = ctx;
	const json_t *items = json_object_get(answer, "items");
	size_t i;
	json_t *item;
	if (!stream->json)
		json_array_foreach (items, i, item)
			add_cells(item);
	print_stream(stream, items);
}

int run_conn_list(struct call *call)
{
	struct print_stream stream = {
		.columns = list_columns,
		.count = COUNT(list_columns),
		.json = call->format == FORMAT_JSON,
	};
	json_t *params = filters(call);
	if (!params)
		return EXIT_USAGE;
	json_object_set_new(params, "limit", json_integer(LINK_PAGE));
	int status = link_follow(&call->link, "conn.list", params, on_page, &stream);
	if (!status)
		print_stream_end(&stream);
	return status;
}

// Of a connection in a chain: NULL where there is none.
static void print_way(const json_t *hops)
{
	size_t i;
	json_t *hop;
	if (!hops)
		return;
	json_array_foreach (hops, i, hop)
		json_object_set_new(hop, "text", run_instance_name(hop));
	putchar('\n');
	print_table(way_columns, COUNT(way_columns), hops, true);
}

int run_conn_show(struct call *call)
{
	json_t *result;
	char *end;
	unsigned long number = strtoul(call->args[0], &end, 10);
	if (*end || *call->args[0] < '0' || *call->args[0] > '9' || number > UINT32_MAX)
		return command_usage(
			call, "%s: expected the number of a connection", call->args[0]);
	int status = link_call(&call->link, "conn.show",
		json_pack("{s:I}", "number", (json_int_t)number), &result);
	if (status)
		return status;
	if (call->format == FORMAT_JSON) {
		print_json(result);
	} else {
		add_cells(result);
		print_item(show_columns, COUNT(show_columns), result);
		putchar('\n');
		print_table(
			rule_columns, COUNT(rule_columns), json_object_get(result, "rules"), true);
		print_way(print_find(result, "chain.hops"));
	}
	json_decref(result);
	return EXIT_DONE;
}

// --- count

static json_t *find_total(json_t *totals, const json_t *item)
{
	size_t i;
	json_t *total;
	json_array_foreach (totals, i, total)
		if (json_equal(json_object_get(total, "protocol"),
			    json_object_get(item, "protocol")) &&
			json_equal(json_object_get(total, "state"), json_object_get(item, "state")))
			return total;
	return NULL;
}

static void add_up(json_t *total, const json_t *item)
{
	static const char *const keys[] = {"connections", "packets", "bytes"};
	for (size_t i = 0; i < COUNT(keys); i++) {
		json_int_t sum = json_integer_value(json_object_get(total, keys[i])) +
				 json_integer_value(json_object_get(item, keys[i]));
		json_object_set_new(total, keys[i], json_integer(sum));
	}
}

static void on_counts(void *ctx, const json_t *answer)
{
	json_t *totals = ctx, *item;
	size_t i;
	json_array_foreach (json_object_get(answer, "items"), i, item) {
		json_t *total = find_total(totals, item);
		if (total)
			add_up(total, item);
		else
			json_array_append(totals, item);
	}
}

int run_conn_count(struct call *call)
{
	json_t *params = filters(call), *item;
	size_t i;
	if (!params)
		return EXIT_USAGE;
	json_t *totals = json_array(),
	       *all = json_pack("{s:s, s:s}", "protocol", "all", "state", "");
	int status = link_follow(&call->link, "conn.count", params, on_counts, totals);
	json_array_foreach (totals, i, item)
		add_up(all, item);
	if (!status && call->format == FORMAT_JSON) {
		json_t *result = json_pack("{s:I, s:O}", "connections",
			json_integer_value(json_object_get(all, "connections")), "items", totals);
		print_json(result);
		json_decref(result);
	} else if (!status) {
		add_up(all, NULL);
		json_array_append(totals, all);
		print_table(count_columns, COUNT(count_columns), totals, true);
	}
	json_decref(all);
	json_decref(totals);
	return status;
}

static void on_flushed(void *ctx, const json_t *answer)
{
	*(json_int_t *)ctx += json_integer_value(json_object_get(answer, "flushed"));
}

int run_conn_flush(struct call *call)
{
	json_int_t sum = 0;
	json_t *params = filters(call);
	if (!params)
		return EXIT_USAGE;
	int status = link_follow(&call->link, "conn.flush", params, on_flushed, &sum);
	if (!status)
		printf("forgot %lld\n", (long long)sum);
	return status;
}

// SPDX-License-Identifier: BSD-3-Clause
// The connection table. A million entries may be in it, so each call looks at a part only: lists
// are cut into pages, and counting and flushing go on by cursor too, so that no turn of the loop is
// long.
#include "ctl/server/method.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/schema.h"
#include "ctl/server/connection_json.h"

enum {
	SCAN_MAX = 16384, // entries that one call looks at
	PAGE_MAX = 256,   // items; some 10 us each go into their words
	CHUNK = 64,
	STATES_MAX = 32,
};

// --- filters

static int bad(struct rpc_call *call, const char *name, const char *value, const char *expected)
{
	call->code = RPC_PARAMS;
	return error_set(&call->err, EINVAL, "%s: '%s': expected %s, found %.60s",
		call->method->name, name, expected, value);
}

static int get_number(struct rpc_call *call, const char *name, int max, int *out)
{
	json_int_t number = rpc_integer(call, name, -1);
	char expected[32], found[24];
	*out = -1;
	if (!rpc_value(call, name))
		return 0;
	snprintf(expected, sizeof(expected), "0 to %d", max);
	snprintf(found, sizeof(found), "%" JSON_INTEGER_FORMAT, number);
	if (number < 0 || number > max)
		return bad(call, name, found, expected);
	*out = (int)number;
	return 0;
}

static int get_prefix(struct rpc_call *call, const char *name, struct config_prefix *out)
{
	const char *text = rpc_text(call, name);
	*out = (struct config_prefix){0};
	if (!text || prefix_parse(text, out))
		return 0;
	return bad(call, name, text, "an IP address or a network such as 10.0.0.0/24");
}

static int get_bridge(struct rpc_call *call, int *out)
{
	const char *name = rpc_text(call, "bridge");
	struct bridge_info info;
	*out = -1;
	for (size_t i = 0; name && switch_bridge_at(call_server(call)->sw, i, &info); i++)
		if (!strcmp(info.config->name, name))
			*out = info.number;
	if (!name || *out >= 0)
		return 0;
	return error_set(&call->err, ENOENT, "bridge %s: there is no such bridge", name);
}

static int get_port(struct rpc_call *call, int *out)
{
	const char *name = rpc_text(call, "port");
	struct port_info info;
	*out = -1;
	if (!name)
		return 0;
	if (!switch_port_find(call_server(call)->sw, name, &info))
		return error_set(&call->err, ENOENT, "port %s: there is no such port", name);
	*out = info.id;
	return 0;
}

static int get_chain(struct rpc_call *call, int *out)
{
	const char *name = rpc_text(call, "chain");
	*out = name ? switch_chain_number(call_server(call)->sw, name) : -1;
	if (!name || *out >= 0)
		return 0;
	return error_set(&call->err, ENOENT, "chain %s: there is no such chain", name);
}

static int get_words(struct rpc_call *call, struct connection_filter *filter)
{
	const char *protocol = rpc_text(call, "protocol"), *state = rpc_text(call, "state");
	filter->protocol = protocol ? protocol_number(protocol) : -1;
	if (protocol && filter->protocol < 0)
		return bad(call, "protocol", protocol,
			"tcp, udp, icmp, icmpv6, sctp or a number up to 255");
	filter->state = state ? switch_connection_state(state) : -1;
	if (state && filter->state < 0)
		return bad(call, "state", state, "a state such as tcp-established");
	return 0;
}

static int get_filter(struct rpc_call *call, struct connection_filter *filter)
{
	int rc = get_bridge(call, &filter->bridge);
	if (!rc)
		rc = get_port(call, &filter->port);
	if (!rc)
		rc = get_chain(call, &filter->chain);
	if (!rc)
		rc = get_number(call, "vlan", VLAN_COUNT - 2, &filter->vlan);
	if (!rc)
		rc = get_words(call, filter);
	if (!rc)
		rc = get_number(call, "sport", UINT16_MAX, &filter->sport);
	if (!rc)
		rc = get_number(call, "dport", UINT16_MAX, &filter->dport);
	if (!rc)
		rc = get_prefix(call, "address", &filter->address);
	if (!rc)
		rc = get_prefix(call, "source", &filter->source);
	if (!rc)
		rc = get_prefix(call, "destination", &filter->destination);
	return rc;
}

// "POSITION" or, of a flush, "POSITION FLUSHED".
static int get_cursor(struct rpc_call *call, uint32_t *at, uint64_t *sum)
{
	const char *cursor = rpc_text(call, "cursor");
	*at = 0;
	*sum = 0;
	if (!cursor || sscanf(cursor, "%" SCNu32 " %" SCNu64, at, sum) >= 1)
		return 0;
	return method_bad_cursor(call);
}

// --- list, show, count

int method_conn_list(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	struct connection_filter filter;
	uint32_t at, scanned = 0;
	uint64_t sum;
	size_t left;
	int rc = method_limit(call, &left);
	if (!rc)
		rc = get_filter(call, &filter);
	if (!rc)
		rc = get_cursor(call, &at, &sum);
	if (rc)
		return rc;
	json_t *items = json_array();
	if (left > PAGE_MAX)
		left = PAGE_MAX;
	do {
		struct connection_info infos[CHUNK];
		uint32_t room = left < CHUNK ? (uint32_t)left : CHUNK;
		uint32_t n = switch_connection_walk(sw, &filter, &at, CHUNK, infos, room);
		for (uint32_t i = 0; i < n; i++)
			json_array_append_new(items, connection_json(&infos[i]));
		left -= n;
		scanned += CHUNK;
	} while (at && left && scanned < SCAN_MAX);
	char cursor[16];
	snprintf(cursor, sizeof(cursor), "%" PRIu32, at);
	return method_list(call, items, at ? cursor : NULL);
}

int method_conn_show(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	json_int_t number = rpc_integer(call, "number", 0);
	struct connection_info info;
	if (number < 0 || number > UINT32_MAX || !switch_connection_at(sw, (uint32_t)number, &info))
		return error_set(&call->err, ENOENT,
			"connection %" JSON_INTEGER_FORMAT ": there is no such connection", number);
	call->result = connection_detail_json(sw, &info);
	return 0;
}

struct total {
	uint64_t connections;
	struct traffic traffic;
	const char *state;
};

static void add_to(struct total (*totals)[STATES_MAX], const struct connection_info *info)
{
	struct total *total = &totals[info->protocol][info->state];
	total->state = info->state_name;
	total->connections++;
	for (unsigned i = 0; i < 2; i++) {
		total->traffic.packets += info->ends[i].sent.packets;
		total->traffic.bytes += info->ends[i].sent.bytes;
	}
}

static json_t *totals_json(struct total (*totals)[STATES_MAX])
{
	json_t *items = json_array();
	for (unsigned i = 0; i < (UINT8_MAX + 1) * STATES_MAX; i++) {
		const struct total *total = &totals[i / STATES_MAX][i % STATES_MAX];
		char protocol[PROTOCOL_TEXT_SIZE];
		if (!total->connections)
			continue;
		protocol_text((uint8_t)(i / STATES_MAX), protocol);
		json_array_append_new(
			items, json_pack("{s:s, s:s, s:I, s:I, s:I}", "protocol", protocol, "state",
				       total->state, "connections", (json_int_t)total->connections,
				       "packets", (json_int_t)total->traffic.packets, "bytes",
				       (json_int_t)total->traffic.bytes));
	}
	return items;
}

int method_conn_count(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	struct connection_filter filter;
	uint32_t at, scanned = 0;
	uint64_t sum;
	int rc = get_filter(call, &filter);
	if (!rc)
		rc = get_cursor(call, &at, &sum);
	if (rc)
		return rc;
	struct total(*totals)[STATES_MAX] = calloc(UINT8_MAX + 1, sizeof(*totals));
	if (!totals)
		return error_set(&call->err, ENOMEM, "no memory for the counts");
	do {
		struct connection_info infos[CHUNK];
		uint32_t n = switch_connection_walk(sw, &filter, &at, CHUNK, infos, CHUNK);
		for (uint32_t i = 0; i < n; i++)
			add_to(totals, &infos[i]);
		scanned += CHUNK;
	} while (at && scanned < SCAN_MAX);
	json_t *items = totals_json(totals);
	free(totals);
	char cursor[16];
	snprintf(cursor, sizeof(cursor), "%" PRIu32, at);
	return method_list(call, items, at ? cursor : NULL);
}

// --- flush

// The call's filters in words: "port vm1, protocol tcp".
static void filter_text(const struct rpc_call *call, char *text, size_t size)
{
	static const char *const names[] = {"bridge", "port", "vlan", "protocol", "state",
		"address", "source", "destination", "sport", "dport", "chain"};
	size_t n = 0;
	*text = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && n < size; i++) {
		const json_t *value = rpc_value(call, names[i]);
		if (json_is_string(value))
			n += (size_t)snprintf(text + n, size - n, "%s%s %.48s", n ? ", " : "",
				names[i], json_string_value(value));
		else if (value)
			n += (size_t)snprintf(text + n, size - n, "%s%s %" JSON_INTEGER_FORMAT,
				n ? ", " : "", names[i], json_integer_value(value));
	}
	if (!n)
		snprintf(text, size, "all");
}

int method_conn_flush(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	struct connection_filter filter;
	uint32_t at;
	uint64_t sum;
	int rc = get_filter(call, &filter);
	if (!rc)
		rc = get_cursor(call, &at, &sum);
	if (rc)
		return method_refused(call, rc, "conn flush");
	uint32_t flushed = switch_connection_flush(sw, &filter, &at, SCAN_MAX);
	sum += flushed;
	// A line where it begins, should its client go away, and one where it ends.
	char what[512], filters[448];
	filter_text(call, filters, sizeof(filters));
	if (at)
		snprintf(what, sizeof(what), "conn flush: %s: begun", filters);
	else
		snprintf(what, sizeof(what), "conn flush: %s: %" PRIu64, filters, sum);
	if (!at || !rpc_value(call, "cursor"))
		method_audit(call, what);
	char cursor[48];
	snprintf(cursor, sizeof(cursor), "%" PRIu32 " %" PRIu64, at, sum);
	call->result = json_pack("{s:I, s:o}", "flushed", (json_int_t)flushed, "cursor",
		at ? rpc_string(cursor) : json_null());
	return 0;
}

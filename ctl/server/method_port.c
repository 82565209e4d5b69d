// SPDX-License-Identifier: BSD-3-Clause
// Reading ports and their drops. Lists go by name, so that a cursor stays good while ports come and
// go: it is the last name given.
#include "ctl/server/method.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/server/port_json.h"

// The position of the first port whose name is beyond `name`.
static size_t position_after(struct weir_switch *sw, const char *name)
{
	size_t low = 0, high = name ? switch_port_count(sw) : 0;
	while (low < high) {
		size_t middle = (low + high) / 2;
		struct port_info info;
		if (switch_port_at(sw, middle, &info) && strcmp(info.config->name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

// Calls back for up to `limit` ports behind the call's cursor and answers with what was added.
static int list(struct rpc_call *call,
	void (*add)(struct weir_switch *sw, json_t *items, const struct port_info *info))
{
	struct weir_switch *sw = call_server(call)->sw;
	size_t limit;
	int rc = method_limit(call, &limit);
	if (rc)
		return rc;
	json_t *items = json_array();
	struct port_info info;
	size_t at = position_after(sw, rpc_text(call, "cursor"));
	char last[NAME_SIZE] = "";
	for (; limit && switch_port_at(sw, at, &info); at++, limit--) {
		memcpy(last, info.config->name, sizeof(last));
		add(sw, items, &info);
	}
	return method_list(call, items, at < switch_port_count(sw) ? last : NULL);
}

static void add_port(struct weir_switch *sw, json_t *items, const struct port_info *info)
{
	(void)sw;
	json_array_append_new(items, port_json(info, false));
}

int method_port_list(struct rpc_call *call)
{
	return list(call, add_port);
}

static int find(struct rpc_call *call, const char *name, struct port_info *info)
{
	if (switch_port_find(call_server(call)->sw, name, info))
		return 0;
	return error_set(&call->err, ENOENT, "port %s: there is no such port", name);
}

int method_port_show(struct rpc_call *call)
{
	struct port_info info;
	int rc = find(call, rpc_text(call, "name"), &info);
	if (rc)
		return rc;
	static struct port_statistic statistics[512];
	size_t count = switch_port_statistics(
		call_server(call)->sw, info.config->name, statistics, 512);
	call->result = port_json(&info, true);
	json_object_set_new(call->result, "statistics", port_statistics_json(statistics, count));
	return 0;
}

int method_port_libvirt(struct rpc_call *call)
{
	struct port_info info;
	int rc = find(call, rpc_text(call, "name"), &info);
	if (rc)
		return rc;
	if (info.config->kind != PORT_KIND_VHOST_USER)
		return error_set(&call->err, EINVAL, "port %s: it is a %s port, not a VM's",
			info.config->name, port_kind_name(info.config->kind));
	char *xml = port_libvirt_xml(&info);
	if (!xml)
		return error_set(&call->err, ENOMEM, "no memory for the XML");
	call->result = json_pack(
		"{s:o, s:o}", "name", rpc_string(info.config->name), "xml", rpc_string(xml));
	free(xml);
	return 0;
}

// "2026-01-31T12:00:00.250Z"
static void time_text(uint64_t ns, char *text, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	size_t n = strftime(text, size, "%FT%T", gmtime_r(&seconds, &tm));
	snprintf(text + n, size - n, ".%03uZ", (unsigned)(ns / 1000000 % 1000));
}

static json_t *last_json(const struct weir_switch *sw, const char *port, enum drop_reason reason)
{
	struct drop_last last;
	if (!switch_drop_last(sw, port, reason, &last))
		return json_null();
	char when[40], header[2 * sizeof(last.header) + 1] = "";
	time_text(last.time_ns, when, sizeof(when));
	for (unsigned i = 0; i < last.len; i++)
		snprintf(header + 2 * i, 3, "%02x", last.header[i]);
	return json_pack("{s:s, s:s}", "time", when, "header", header);
}

static void add_drops(struct weir_switch *sw, json_t *items, const struct port_info *info)
{
	const char *name = info->config->name;
	for (unsigned r = DROP_NONE + 1; r < DROP_REASON_COUNT; r++)
		if (info->drops[r])
			json_array_append_new(items,
				json_pack("{s:o, s:s, s:I, s:s, s:o}", "port", rpc_string(name),
					"reason", drop_name(r), "count", (json_int_t)info->drops[r],
					"about", drop_about(r), "last", last_json(sw, name, r)));
}

int method_drop_list(struct rpc_call *call)
{
	const char *name = rpc_text(call, "port");
	if (!name)
		return list(call, add_drops);
	struct port_info info;
	int rc = find(call, name, &info);
	if (rc)
		return rc;
	json_t *items = json_array();
	add_drops(call_server(call)->sw, items, &info);
	return method_list(call, items, NULL);
}

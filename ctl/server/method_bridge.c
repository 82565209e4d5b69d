// SPDX-License-Identifier: BSD-3-Clause
// Bridges and their MAC tables.
#include "ctl/server/method.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What one call looks at: a filter that matches little must not hold up the loop.
#define SCAN_MAX   8192
#define CHUNK_SIZE 128

static size_t bridge_after(struct weir_switch *sw, const char *name)
{
	struct bridge_info info;
	size_t at = 0;
	while (name && switch_bridge_at(sw, at, &info) && strcmp(info.config->name, name) <= 0)
		at++;
	return at;
}

int method_bridge_list(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	size_t limit;
	int rc = method_limit(call, &limit);
	if (rc)
		return rc;
	json_t *items = json_array();
	struct bridge_info info;
	char last[NAME_SIZE] = "";
	size_t at = bridge_after(sw, rpc_text(call, "cursor"));
	for (; limit && switch_bridge_at(sw, at, &info); at++, limit--) {
		memcpy(last, info.config->name, sizeof(last));
		json_array_append_new(items,
			json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
				rpc_string(last), "ageing_s", (json_int_t)info.config->ageing_s,
				"macs", (json_int_t)info.macs, "macs_max",
				(json_int_t)info.macs_max, "learned", (json_int_t)info.learned,
				"moved", (json_int_t)info.moved, "aged", (json_int_t)info.aged,
				"refused", (json_int_t)info.refused));
	}
	return method_list(call, items, at < switch_bridge_count(sw) ? last : NULL);
}

// What fdb.list and fdb.flush pick. -1 and NULL: all.
struct filter {
	const char *bridge;
	const char *port;
	int vlan;
};

static int get_filter(struct rpc_call *call, struct filter *filter)
{
	json_int_t vlan = rpc_integer(call, "vlan", -1);
	if (rpc_value(call, "vlan") && (vlan < 0 || vlan > VLAN_COUNT - 2)) {
		call->code = RPC_PARAMS;
		return error_set(&call->err, EINVAL, "%s: 'vlan' must be 0 to %d",
			call->method->name, VLAN_COUNT - 2);
	}
	*filter = (struct filter){rpc_text(call, "bridge"), rpc_text(call, "port"), (int)vlan};
	struct port_info info;
	if (filter->port && !switch_port_find(call_server(call)->sw, filter->port, &info))
		return error_set(
			&call->err, ENOENT, "port %s: there is no such port", filter->port);
	return 0;
}

static void add_entry(json_t *items, const char *bridge, const struct fdb_entry *e)
{
	char mac[18];
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", e->mac[0], e->mac[1], e->mac[2],
		e->mac[3], e->mac[4], e->mac[5]);
	json_array_append_new(
		items, json_pack("{s:o, s:s, s:i, s:o, s:I}", "bridge", rpc_string(bridge), "mac",
			       mac, "vlan", (int)e->vlan, "port", rpc_string(e->port), "age_s",
			       (json_int_t)e->age_s));
}

// A walk over one or all bridges; its cursor as text is "POSITION BRIDGE".
struct walk {
	char bridge[NAME_SIZE];
	uint32_t at;
	size_t left;    // of the limit
	size_t scanned; // of SCAN_MAX
};

static int walk_bridge(
	struct weir_switch *sw, const struct filter *filter, struct walk *walk, json_t *items)
{
	do {
		struct fdb_entry entries[CHUNK_SIZE];
		size_t want = walk->left < CHUNK_SIZE ? walk->left : CHUNK_SIZE;
		int n = switch_fdb_list(sw, walk->bridge, &walk->at, entries, want);
		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			if ((filter->port && strcmp(filter->port, entries[i].port)) ||
				(filter->vlan >= 0 && filter->vlan != entries[i].vlan))
				continue;
			add_entry(items, walk->bridge, &entries[i]);
			walk->left--;
		}
		walk->scanned += (size_t)n + 1;
	} while (walk->at && walk->left && walk->scanned < SCAN_MAX);
	return 0;
}

// The bridge behind the walk's; false: there is none.
static bool next_bridge(struct weir_switch *sw, struct walk *walk)
{
	struct bridge_info info;
	const char *last = walk->bridge[0] ? walk->bridge : NULL;
	if (!switch_bridge_at(sw, bridge_after(sw, last), &info))
		return false;
	memcpy(walk->bridge, info.config->name, sizeof(walk->bridge));
	return true;
}

static int start_walk(struct rpc_call *call, const struct filter *filter, struct walk *walk)
{
	const char *cursor = rpc_text(call, "cursor");
	if (cursor && sscanf(cursor, "%" SCNu32 " %31s", &walk->at, walk->bridge) != 2)
		return method_bad_cursor(call);
	if (!cursor && filter->bridge)
		snprintf(walk->bridge, sizeof(walk->bridge), "%s", filter->bridge);
	else if (!cursor)
		next_bridge(call_server(call)->sw, walk);
	return 0;
}

int method_fdb_list(struct rpc_call *call)
{
	struct weir_switch *sw = call_server(call)->sw;
	struct filter filter;
	struct walk walk = {0};
	int rc = method_limit(call, &walk.left);
	if (!rc)
		rc = get_filter(call, &filter);
	if (!rc)
		rc = start_walk(call, &filter, &walk);
	if (rc)
		return rc;
	json_t *items = json_array();
	bool more = walk.bridge[0];
	while (more && walk.left && walk.scanned < SCAN_MAX) {
		rc = walk_bridge(sw, &filter, &walk, items);
		if (rc && !rpc_value(call, "cursor"))
			break;
		// A bridge that went away since the last call, or that a client invented, only has
		// no more entries: the walk goes on behind it, never at it.
		if (rc)
			walk.at = 0;
		rc = 0;
		more = walk.at || (!filter.bridge && next_bridge(sw, &walk));
	}
	if (rc) {
		json_decref(items);
		return error_set(
			&call->err, -rc, "bridge %s: there is no such bridge", walk.bridge);
	}
	char cursor[NAME_SIZE + 16];
	snprintf(cursor, sizeof(cursor), "%" PRIu32 " %s", walk.at, walk.bridge);
	return method_list(call, items, more ? cursor : NULL);
}

static int parse_mac(struct rpc_call *call, const char *text, uint8_t mac[6])
{
	int end = 0;
	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		    &mac[3], &mac[4], &mac[5], &end) == 6 &&
		!text[end])
		return 0;
	call->code = RPC_PARAMS;
	return error_set(
		&call->err, EINVAL, "'%.40s' is no MAC address like 52:54:00:00:00:01", text);
}

static int flush(struct rpc_call *call, const struct filter *filter, const uint8_t *mac)
{
	struct weir_switch *sw = call_server(call)->sw;
	if (filter->bridge) {
		int rc = switch_fdb_flush(sw, filter->bridge, filter->port, filter->vlan, mac);
		if (rc < 0)
			error_set(&call->err, -rc, "bridge %s: there is no such bridge",
				filter->bridge);
		return rc;
	}
	struct bridge_info info;
	int sum = 0;
	for (size_t i = 0; switch_bridge_at(sw, i, &info); i++) {
		int n = switch_fdb_flush(sw, info.config->name, filter->port, filter->vlan, mac);
		sum += n > 0 ? n : 0;
	}
	return sum;
}

int method_fdb_flush(struct rpc_call *call)
{
	struct filter filter;
	uint8_t mac[6];
	const char *text = rpc_text(call, "mac");
	int rc = get_filter(call, &filter);
	if (!rc && text)
		rc = parse_mac(call, text, mac);
	if (!rc)
		rc = flush(call, &filter, text ? mac : NULL);
	if (rc < 0)
		return method_refused(call, rc, "fdb flush");
	char what[160], vlan[12] = "any";
	if (filter.vlan >= 0)
		snprintf(vlan, sizeof(vlan), "%d", filter.vlan);
	snprintf(what, sizeof(what), "fdb flush: bridge %.31s, port %.31s, vlan %s, mac %.17s: %d",
		filter.bridge ? filter.bridge : "any", filter.port ? filter.port : "any", vlan,
		text ? text : "any", rc);
	method_audit(call, what);
	call->result = json_pack("{s:i}", "flushed", rc);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/connection_json.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/rpc/rpc.h"
#include "ctl/server/chain_json.h"

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"icmp", IPPROTO_ICMP},
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"icmpv6", IPPROTO_ICMPV6},
	{"sctp", IPPROTO_SCTP},
};

void protocol_text(uint8_t protocol, char text[PROTOCOL_TEXT_SIZE])
{
	snprintf(text, PROTOCOL_TEXT_SIZE, "%u", protocol);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (protocols[i].number == protocol)
			snprintf(text, PROTOCOL_TEXT_SIZE, "%s", protocols[i].name);
}

int protocol_number(const char *text)
{
	char *end;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(protocols[i].name, text))
			return protocols[i].number;
	unsigned long number = strtoul(text, &end, 10);
	bool whole = *text >= '0' && *text <= '9' && !*end;
	return whole && number <= UINT8_MAX ? (int)number : -1;
}

static bool is_icmp(const struct connection_info *info)
{
	return info->protocol == IPPROTO_ICMP || info->protocol == IPPROTO_ICMPV6;
}

static bool has_l4_ports(const struct connection_info *info)
{
	return info->protocol == IPPROTO_TCP || info->protocol == IPPROTO_UDP ||
	       info->protocol == IPPROTO_SCTP;
}

static json_t *address_json(const struct connection_info *info, unsigned end)
{
	char text[INET6_ADDRSTRLEN];
	inet_ntop(info->family, info->ends[end].address, text, sizeof(text));
	return json_string(text);
}

static json_t *l4_port_json(const struct connection_info *info, unsigned end)
{
	return has_l4_ports(info) ? json_integer(info->ends[end].l4_port) : json_null();
}

static json_t *name_json(const char *name)
{
	return name ? rpc_string(name) : json_null();
}

// How the packets of one end look, and how many there were.
static json_t *direction_json(const struct connection_info *info, unsigned end)
{
	const struct traffic *sent = &info->ends[end].sent;
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "source", address_json(info, end),
		"destination", address_json(info, !end), "sport", l4_port_json(info, end), "dport",
		l4_port_json(info, !end), "packets", (json_int_t)sent->packets, "bytes",
		(json_int_t)sent->bytes);
}

// Of replies a list has the counts only: a page has many of them.
static json_t *reply_json(const struct connection_info *info)
{
	const struct traffic *sent = &info->ends[1].sent;
	return json_pack("{s:I, s:I}", "packets", (json_int_t)sent->packets, "bytes",
		(json_int_t)sent->bytes);
}

json_t *connection_json(const struct connection_info *info)
{
	char protocol[PROTOCOL_TEXT_SIZE];
	protocol_text(info->protocol, protocol);
	return json_pack("{s:I, s:o, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}",
		"number", (json_int_t)info->number, "bridge", name_json(info->bridge), "vlan",
		(int)info->vlan, "protocol", protocol, "state", info->state_name, "from",
		name_json(info->ends[0].port), "to", name_json(info->ends[1].port), "original",
		direction_json(info, 0), "reply", reply_json(info), "icmp_id",
		is_icmp(info) ? json_integer(info->ends[0].l4_port) : json_null(), "age_s",
		(json_int_t)info->age_s, "idle_s", (json_int_t)info->idle_s, "expires_s",
		(json_int_t)info->expires_s);
}

static json_t *tcp_json(const struct connection_side *side)
{
	return json_pack("{s:I, s:I, s:I, s:i}", "end", (json_int_t)side->end, "limit",
		(json_int_t)side->limit, "window", (json_int_t)side->window, "scale",
		(int)side->scale);
}

static json_t *sides_json(const struct connection_info *info)
{
	const struct connection_side *first = &info->ends[0].side, *second = &info->ends[1].side;
	if (info->protocol == IPPROTO_TCP)
		return json_pack(
			"{s:o, s:o}", "original", tcp_json(first), "reply", tcp_json(second));
	return json_null();
}

static json_t *tags_json(const struct connection_info *info)
{
	if (info->protocol != IPPROTO_SCTP)
		return json_null();
	return json_pack(
		"[I, I]", (json_int_t)info->ends[0].side.end, (json_int_t)info->ends[1].side.end);
}

static json_t *rules_json(const struct weir_switch *sw, const struct connection_info *info)
{
	json_t *rules = json_array();
	for (unsigned i = 0; i < 2; i++) {
		struct rule_state state;
		char text[RULE_TEXT_SIZE];
		if (!info->rules[i] || !switch_rule_find(sw, info->rules[i], &state))
			continue;
		rule_text(&state, text);
		json_array_append_new(
			rules, json_pack("{s:o, s:s, s:I, s:o}", "group", rpc_string(state.group),
				       "direction", rule_direction_name(&state), "position",
				       (json_int_t)state.position, "rule", rpc_string(text)));
	}
	return rules;
}

json_t *connection_detail_json(const struct weir_switch *sw, const struct connection_info *info)
{
	json_t *item = connection_json(info);
	json_t *detail = json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "reply",
		direction_json(info, 1), "answered", (int)info->answered, "picked_up",
		(int)info->picked_up, "owner", name_json(info->owner), "rules",
		rules_json(sw, info), "tcp", sides_json(info), "sctp_tags", tags_json(info),
		"chain", chain_way_json(info));
	json_object_update(item, detail);
	json_decref(detail);
	return item;
}

json_t *connection_stats_json(const struct weir_switch *sw, uint64_t lookups, uint64_t tracked)
{
	struct connection_stats stats;
	if (!switch_connection_stats(sw, &stats))
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "used",
		(json_int_t)stats.used, "max", (json_int_t)stats.max, "created",
		(json_int_t)stats.created, "expired", (json_int_t)stats.expired, "evicted",
		(json_int_t)stats.evicted, "removed", (json_int_t)stats.removed, "refused",
		(json_int_t)stats.refused, "bytes", (json_int_t)stats.bytes, "hugepages",
		(int)stats.hugepages, "lookups", (json_int_t)lookups, "tracked",
		(json_int_t)tracked);
}

// SPDX-License-Identifier: BSD-3-Clause
// A rule in the words of the configuration.
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/server/connection_json.h"

enum {
	NETWORK_TEXT_SIZE = INET6_ADDRSTRLEN + 8
};

const char *rule_direction_name(const struct rule_state *state)
{
	return state->from_vm ? "from-vm" : "to-vm";
}

static void add(char text[RULE_TEXT_SIZE], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void add(char text[RULE_TEXT_SIZE], const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(text + n, RULE_TEXT_SIZE - n, fmt, args);
	va_end(args);
}

static void add_ranges(
	char text[RULE_TEXT_SIZE], const char *key, const struct config_range *ranges, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i)
			add(text, ", ");
		else
			add(text, ", %s: %s", key, n > 1 ? "[" : "");
		add(text, "%u", ranges[i].first);
		if (ranges[i].last != ranges[i].first)
			add(text, "-%u", ranges[i].last);
	}
	if (n > 1)
		add(text, "]");
}

// "10.0.0.0/8", as a value in YAML's flow style.
static const char *network_text(
	const struct config_prefix *network, char text[static NETWORK_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN];
	const char *quote = network->family == AF_INET6 ? "\"" : "";
	inet_ntop(network->family, network->address, address, sizeof(address));
	snprintf(text, NETWORK_TEXT_SIZE, "%s%s/%u%s", quote, address, network->length, quote);
	return text;
}

static void add_peer(char text[RULE_TEXT_SIZE], const char *key, const struct config_rule *rule)
{
	char network[NETWORK_TEXT_SIZE];
	if (rule->peer_kind == PEER_GROUP)
		add(text, ", %s: {group: %s}", key, rule->group);
	if (rule->peer_kind == PEER_NETWORK)
		add(text, ", %s: %s", key, network_text(&rule->network, network));
}

static void add_end(char text[RULE_TEXT_SIZE], const char *key, const struct config_chain_end *end)
{
	char network[NETWORK_TEXT_SIZE];
	if (end->kind == CHAIN_END_PORT || end->kind == CHAIN_END_GROUP)
		add(text, ", %s: {%s: %s}", key, end->kind == CHAIN_END_PORT ? "port" : "group",
			end->name);
	if (end->kind == CHAIN_END_CIDR)
		add(text, ", %s: {cidr: %s}", key, network_text(&end->cidr, network));
}

void match_text(const struct config_chain *chain, char text[RULE_TEXT_SIZE])
{
	char protocol[PROTOCOL_TEXT_SIZE], items[RULE_TEXT_SIZE] = "";
	add_end(items, "from", &chain->from);
	add_end(items, "to", &chain->to);
	if (chain->protocol != RULE_ANY_PROTOCOL) {
		protocol_text((uint8_t)chain->protocol, protocol);
		add(items, ", proto: %s", protocol);
	}
	add_ranges(items, "dport", chain->dports, chain->ndports);
	// Without the first one's comma.
	*text = 0;
	add(text, "{%s}", *items ? items + strlen(", ") : "");
}

void rule_text(const struct rule_state *state, char text[RULE_TEXT_SIZE])
{
	const struct config_rule *rule = state->rule;
	char protocol[PROTOCOL_TEXT_SIZE] = "any";
	*text = 0;
	if (!rule) {
		add(text, "%s", state->built_in);
		return;
	}
	if (rule->protocol != RULE_ANY_PROTOCOL)
		protocol_text((uint8_t)rule->protocol, protocol);
	add(text, "{%s: %s", rule->allow ? "allow" : "deny", protocol);
	add_ranges(text, "sport", rule->sports, rule->nsports);
	add_ranges(text, "dport", rule->dports, rule->ndports);
	if (rule->icmp_type >= 0)
		add(text, ", type: %d", rule->icmp_type);
	if (rule->icmp_code >= 0)
		add(text, ", code: %d", rule->icmp_code);
	add_peer(text, state->from_vm ? "to" : "from", rule);
	add(text, "}");
}

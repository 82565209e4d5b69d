// SPDX-License-Identifier: BSD-3-Clause
// The values of a security group's rules, and what its keys mean together.
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

static const struct {
	const char *name;
	uint16_t number;
} protocols[] = {
	{"any", RULE_ANY_PROTOCOL},
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"icmp", IPPROTO_ICMP},
	{"icmpv6", IPPROTO_ICMPV6},
	{"sctp", IPPROTO_SCTP},
};

bool protocol_parse(const struct node *node, uint64_t *out)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
		if (!strcmp(node->text, protocols[i].name)) {
			*out = protocols[i].number;
			return true;
		}
	}
	return node_integer(node, out) && *out <= UINT8_MAX;
}

// A range is a text to those who quote it, a number never is.
bool range_parse(const struct node *node, struct config_range *out)
{
	char first[8];
	uint64_t low, high;
	if (node->type != NODE_SCALAR)
		return false;
	const char *dash = strchr(node->text, '-');
	if (!dash) {
		if (!node_integer(node, &low) || low > UINT16_MAX)
			return false;
		*out = (struct config_range){(uint16_t)low, (uint16_t)low};
		return true;
	}
	size_t len = (size_t)(dash - node->text);
	if (len >= sizeof(first))
		return false;
	memcpy(first, node->text, len);
	first[len] = '\0';
	const struct node from = {.type = NODE_SCALAR, .text = first};
	const struct node to = {.type = NODE_SCALAR, .text = node->text + len + 1};
	if (!node_integer(&from, &low) || !node_integer(&to, &high) || low > high ||
		high > UINT16_MAX)
		return false;
	*out = (struct config_range){(uint16_t)low, (uint16_t)high};
	return true;
}

bool peer_parse(const struct node *node, struct config_rule *out)
{
	memset(out, 0, sizeof(*out));
	if (node->type == NODE_MAP) {
		const struct node *group = node_find(node, "group");
		if (node->count != 1 || !group || group->type != NODE_SCALAR ||
			!name_is_valid(group->text))
			return false;
		out->peer_kind = PEER_GROUP;
		strcpy(out->group, group->text);
		return true;
	}
	if (node->type != NODE_SCALAR)
		return false;
	out->peer_kind = strcmp(node->text, "any") ? PEER_NETWORK : PEER_ANY;
	return out->peer_kind == PEER_ANY || prefix_parse(node->text, &out->network);
}

void land_peer(const struct node *node, void *base)
{
	struct config_rule *rule = base;
	struct config_rule peer;
	peer_parse(node, &peer);
	rule->peer_kind = peer.peer_kind;
	rule->network = peer.network;
	memcpy(rule->group, peer.group, sizeof(rule->group));
}

uint16_t land_ranges(const struct node *node, struct config_range *ranges)
{
	uint16_t count = 0;
	while (count < list_count(node)) {
		range_parse(list_item(node, count), &ranges[count]);
		count++;
	}
	return count;
}

void land_sports(const struct node *node, void *base)
{
	struct config_rule *rule = base;
	rule->nsports = land_ranges(node, rule->sports);
}

void land_dports(const struct node *node, void *base)
{
	struct config_rule *rule = base;
	rule->ndports = land_ranges(node, rule->dports);
}

static bool has_ports(uint16_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

// What only some protocols have.
int check_protocol(struct check *check, const struct node *node, uint16_t protocol)
{
	static const char *const ports[] = {"sport", "dport"}, *const icmp[] = {"type", "code"};
	bool is_icmp = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
	for (unsigned i = 0; i < 2; i++) {
		const struct node *item = node_find(node, ports[i]);
		if (item && !has_ports(protocol))
			return check_fail(check, item, ports[i], EINVAL,
				"expected tcp, udp or sctp beside it, found another protocol");
		item = node_find(node, icmp[i]);
		if (item && !is_icmp)
			return check_fail(check, item, icmp[i], EINVAL,
				"expected icmp or icmpv6 beside it, found another protocol");
	}
	return 0;
}

int finish_rule(struct check *check, const struct node *node, void *base)
{
	struct config_rule *rule = base;
	const struct node *allow = node_find(node, "allow"), *deny = node_find(node, "deny");
	const struct node *code = node_find(node, "code");
	if (!allow && !deny)
		return check_fail(check, node, NULL, EINVAL,
			"expected what the rule does, allow or deny, found nothing");
	if (allow && deny)
		return check_fail(
			check, deny, "deny", EINVAL, "expected either allow or deny, found both");
	int rc = check_protocol(check, node, rule->protocol);
	if (rc < 0)
		return rc;
	rule->allow = allow != NULL;
	if (!node_find(node, "type")) {
		if (code)
			return check_fail(check, code, "code", EINVAL,
				"expected type beside code, found none");
		rule->icmp_type = -1;
	}
	if (!code)
		rule->icmp_code = -1;
	return 0;
}

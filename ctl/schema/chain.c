// SPDX-License-Identifier: BSD-3-Clause
// The values of a chain, and what its keys mean together.
#include <errno.h>
#include <string.h>

#include "ctl/schema/key.h"

#define INSIDE "weir-firewall"

bool end_parse(const struct node *node, struct config_chain_end *out)
{
	memset(out, 0, sizeof(*out));
	if (node->type == NODE_SCALAR)
		return !strcmp(node->text, "any");
	if (node->type != NODE_MAP || node->count != 1 || node->items[0]->type != NODE_SCALAR)
		return false;
	const struct node *item = node->items[0];
	if (!strcmp(item->key, "cidr")) {
		out->kind = CHAIN_END_CIDR;
		return prefix_parse(item->text, &out->cidr);
	}
	if (!name_is_valid(item->text))
		return false;
	strcpy(out->name, item->text);
	out->kind = strcmp(item->key, "port") ? CHAIN_END_GROUP : CHAIN_END_PORT;
	return out->kind == CHAIN_END_PORT || !strcmp(item->key, "group");
}

void land_from(const struct node *node, void *base)
{
	struct config_chain *chain = base;
	end_parse(node, &chain->from);
}

void land_to(const struct node *node, void *base)
{
	struct config_chain *chain = base;
	end_parse(node, &chain->to);
}

void land_chain_dports(const struct node *node, void *base)
{
	struct config_chain *chain = base;
	chain->ndports = land_ranges(node, chain->dports);
}

void land_hop_groups(const struct node *node, void *base)
{
	struct config_hop *hop = base;
	for (size_t i = 0; i < list_count(node); i++)
		strcpy(hop->groups[hop->ngroups++], list_item(node, i)->text);
}

int finish_match(struct check *check, const struct node *node, void *base)
{
	const struct config_chain *chain = base;
	const struct config_chain_end *from = &chain->from, *to = &chain->to;
	if (from->kind == CHAIN_END_CIDR && to->kind == CHAIN_END_CIDR &&
		from->cidr.family != to->cidr.family)
		return check_fail(check, node_find(node, "to"), "to", EINVAL,
			"expected from and to of one version of IP, found both");
	return check_protocol(check, node, chain->protocol);
}

int finish_instance(struct check *check, const struct node *node, void *base)
{
	struct config_instance *instance = base;
	const struct node *port = node_find(node, "port");
	const struct node *left = node_find(node, "left"), *right = node_find(node, "right");
	if (port && (left || right))
		return check_fail(check, port, "port", EINVAL,
			"expected either port or left and right, found both");
	if (port) {
		strcpy(instance->right, instance->left);
		return 0;
	}
	if (left && right)
		return 0;
	return check_fail(check, node, NULL, EINVAL, "expected port, or left and right, found %s",
		left    ? "left alone"
		: right ? "right alone"
			: "nothing");
}

// What a router is asked to forward.
static int check_probe(struct check *check, const struct node *node, const struct config_hop *hop)
{
	const struct config_probe *probe = &hop->probe;
	const struct node *at = node_find(node, "probe");
	bool from = probe->from.family, to = probe->to.family;
	if (!probe->interval_ns)
		return 0;
	if (hop->mode != HOP_ROUTED && (from || to))
		return check_fail(check, at, "probe", EINVAL,
			"expected mode: routed beside from and to, found transparent");
	if (hop->mode == HOP_ROUTED && (!from || !to))
		return check_fail(check, at, "probe", EINVAL,
			"expected from and to, addresses between which the NF routes, found %s",
			from ? "from alone"
			: to ? "to alone"
			     : "neither");
	if (probe->from.family != probe->to.family)
		return check_fail(check, at, "probe", EINVAL,
			"expected from and to of one version of IP, found both");
	if (to && !memcmp(&probe->from, &probe->to, sizeof(probe->to)))
		return check_fail(
			check, at, "probe", EINVAL, "expected from and to of two hosts, found one");
	return 0;
}

// A key that is there with this word of recognise-by, and with no other.
static int check_beside(struct check *check, const struct node *node, const char *key,
	const char *what, const char *word, bool is_due)
{
	const struct node *at = node_find(node, key);
	if (is_due && !at)
		return check_fail(check, node_find(node, "recognise-by"), key, EINVAL,
			"expected %s, found none", what);
	if (!is_due && at)
		return check_fail(check, at, key, EINVAL,
			"expected recognise-by: %s beside it, found another", word);
	return 0;
}

int finish_hop(struct check *check, const struct node *node, void *base)
{
	const struct config_hop *hop = base;
	const struct node *instances = node_find(node, "instances");
	const struct node *groups = node_find(node, "groups");
	bool inside = !strcmp(hop->nf, INSIDE);
	if (instances && groups)
		return check_fail(check, groups, "groups", EINVAL,
			"expected either instances or groups, found both");
	if (inside && !groups)
		return check_fail(check, instances ? instances : node, "groups", EINVAL,
			"expected the groups that " INSIDE " asks, found none");
	if (groups && !inside)
		return check_fail(check, groups, "groups", EINVAL,
			"expected nf: " INSIDE " beside it, found %s", hop->nf);
	if (!inside && !hop->ninstances)
		return check_fail(check, instances ? instances : node, "instances", EINVAL,
			"expected 1 to %d instances, found none", HOP_INSTANCES_MAX);
	if (inside && hop->probe.interval_ns)
		return check_fail(check, node_find(node, "probe"), "probe", EINVAL,
			"expected instances beside it, found " INSIDE);
	if (inside && hop->mode == HOP_ROUTED)
		return check_fail(check, node_find(node, "mode"), "mode", EINVAL,
			"expected transparent beside groups, found routed");
	if (inside && hop->recognise != RECOGNISE_CONNECTION)
		return check_fail(check, node_find(node, "recognise-by"), "recognise-by", EINVAL,
			"expected instances beside it, found " INSIDE);
	int rc = check_beside(check, node, "tag", "the tag that frames carry", "vlan",
		hop->recognise == RECOGNISE_VLAN);
	if (!rc)
		rc = check_beside(check, node, "path", "the service path that frames are on", "nsh",
			hop->recognise == RECOGNISE_NSH);
	if (rc)
		return rc;
	if (hop->recognise == RECOGNISE_PORT && hop->mode != HOP_ROUTED)
		return check_fail(check, node_find(node, "recognise-by"), "recognise-by", EINVAL,
			"expected mode: routed beside port, found transparent");
	return check_probe(check, node, hop);
}

int finish_chain(struct check *check, const struct node *node, void *base)
{
	const struct config_chain *chain = base;
	if (!chain->nhops)
		return check_fail(check, node_find(node, "hops"), "hops", EINVAL,
			"expected 1 to %d hops, found none", CHAIN_HOPS_MAX);
	return 0;
}

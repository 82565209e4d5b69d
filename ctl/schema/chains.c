// SPDX-License-Identifier: BSD-3-Clause
// What holds between chains, and the ports and groups that they name.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/check.h"

// check.c writes a named item's name to its first bytes.
_Static_assert(offsetof(struct config_chain, name) == 0, "the name comes first");

struct known {
	const struct config *config;
	struct names ports, groups;
	uint16_t chain_of[PORTS_MAX]; // by port: the last chain that it is an NF of, from 1
	uint16_t behind[PORTS_MAX];   // by port: the chain that is recognised by it; 0: none
	bool untold[PORTS_MAX];       // by port: its frames do not tell a chain that it serves
	uint8_t told[PORTS_MAX];      // by port: by what they do (enum config_recognise); 0: not
	const char
		*bridge_of[CHAINS_MAX + 1]; // by chain, from 1: where its NFs are; NULL: none yet
};

static size_t push_number(struct check *check, size_t number)
{
	char text[24];
	snprintf(text, sizeof(text), "%zu", number);
	return check_push(check, text);
}

static int check_bridge(struct check *check, const struct node *node, const char *key,
	const struct config_port *port, const char *bridge)
{
	if (!bridge || !strcmp(port->bridge, bridge))
		return 0;
	return check_fail(check, node, key, EINVAL,
		"expected a port of bridge %s, where the chain's first NF is, found one of %s",
		bridge, port->bridge);
}

static bool has_instance_at(const struct config_hop *hop, const char *port)
{
	for (size_t i = 0; i < hop->ninstances; i++)
		if (!strcmp(hop->instances[i].left, port) || !strcmp(hop->instances[i].right, port))
			return true;
	return false;
}

// The chain before this one that has the same tag or path at that port; NULL: none.
static const struct config_chain *find_same(
	const struct config *config, uint16_t chain, const struct config_hop *own, const char *port)
{
	for (uint16_t c = 0; c + 1 < chain; c++)
		for (size_t h = 0; h < config->chains[c].nhops; h++) {
			const struct config_hop *hop = &config->chains[c].hops[h];
			if (hop->tag == own->tag && hop->path == own->path &&
				has_instance_at(hop, port))
				return &config->chains[c];
		}
	return NULL;
}

static const char *told_word(unsigned recognise)
{
	return recognise == RECOGNISE_NSH ? "nsh" : "vlan";
}

// Frames of one VLAN, each with a tag or in an NSH that tells the chain.
static int check_told(struct check *check, struct known *known, uint16_t chain,
	const struct config_hop *hop, const struct node *node, const char *key,
	const struct config_port *port)
{
	bool tagged = hop->recognise == RECOGNISE_VLAN;
	size_t number = (size_t)(port - known->config->ports);
	const struct config_chain *other = find_same(known->config, chain, hop, port->name);
	if (other)
		return check_fail(check, node, key, EINVAL,
			"expected another %s for each chain, found %u, which chain %s has at %s",
			tagged ? "tag" : "path", tagged ? hop->tag : hop->path, other->name,
			port->name);
	if (port->vlan.kind == VLAN_TRUNK)
		return check_fail(check, node, key, EINVAL,
			"expected a port that is no trunk, beside recognise-by: %s, found %s",
			told_word(hop->recognise), port->name);
	if (tagged && port->vlan.kind == VLAN_ACCESS && port->vlan.access == hop->tag)
		return check_fail(check, node, key, EINVAL,
			"expected another tag than the VLAN of %s, found %u", port->name, hop->tag);
	if (known->untold[number])
		return check_fail(check, node, key, EINVAL,
			"expected a port that has recognise-by: %s in all its chains, found %s",
			told_word(hop->recognise), port->name);
	known->told[number] = (uint8_t)hop->recognise;
	return 0;
}

// A chain that is recognised by its port has that for itself.
static int check_recognised(struct check *check, struct known *known, uint16_t chain,
	const struct config_hop *hop, const struct node *node, const char *key,
	const struct config_port *port)
{
	size_t number = (size_t)(port - known->config->ports);
	uint16_t *behind = &known->behind[number];
	if (known->told[number] && known->told[number] != hop->recognise)
		return check_fail(check, node, key, EINVAL,
			"expected recognise-by: %s, as %s has it in other chains, found another",
			told_word(known->told[number]), port->name);
	if (hop->recognise == RECOGNISE_VLAN || hop->recognise == RECOGNISE_NSH)
		return check_told(check, known, chain, hop, node, key, port);
	known->untold[number] = true;
	if (hop->recognise != RECOGNISE_PORT)
		return 0;
	if (*behind)
		return check_fail(check, node, key, EINVAL,
			"expected a port that one chain is recognised by, found %s, which chain %s "
			"has",
			port->name, known->config->chains[*behind - 1].name);
	*behind = chain;
	return 0;
}

// A port where an NF is plugged in: `key` of an instance.
static int check_arm(struct check *check, struct known *known, uint16_t chain,
	const struct config_hop *hop, const struct node *instance, const char *key)
{
	static const uint8_t none[6];
	const struct node *node = node_find(instance, key);
	if (!node)
		return 0;
	const struct config_port *port = names_find(&known->ports, node->text);
	if (!port)
		return check_fail(check, node, key, EINVAL, "expected a port that exists, found %s",
			node->text);
	if (port->kind != PORT_KIND_VHOST_USER)
		return check_fail(check, node, key, ENOTSUP,
			"expected a VM's port, found a dpdk one, which is not supported yet");
	if (port->ngroups)
		return check_fail(check, node, key, EINVAL,
			"expected a port without groups, found %s, which has some", port->name);
	bool has_mac = memcmp(port->addresses.mac, none, sizeof(none)) != 0;
	if (hop->mode == HOP_ROUTED && !has_mac)
		return check_fail(check, node, key, EINVAL,
			"expected a port with addresses.mac, where a routed NF gets its packets, "
			"found %s without",
			port->name);
	if (hop->recognise == RECOGNISE_NSH && !has_mac)
		return check_fail(check, node, key, EINVAL,
			"expected a port with addresses.mac, where an NF gets its frames of NSH, "
			"found %s without",
			port->name);
	uint16_t *chain_of = &known->chain_of[port - known->config->ports];
	if (*chain_of == chain)
		return check_fail(check, node, key, EINVAL,
			"expected each port once in a chain, found %s again", port->name);
	*chain_of = chain;
	int rc = check_recognised(check, known, chain, hop, node, key, port);
	if (rc)
		return rc;
	rc = check_bridge(check, node, key, port, known->bridge_of[chain]);
	known->bridge_of[chain] = port->bridge;
	return rc;
}

// Behind a tag, or in an NSH, a frame is of its port's own VLAN: it would come back in another one.
static int check_vlans(struct check *check, const struct known *known, const struct config_hop *hop,
	const struct node *instance)
{
	const struct node *left = node_find(instance, "left"),
			  *right = node_find(instance, "right");
	if (!left || !right ||
		(hop->recognise != RECOGNISE_VLAN && hop->recognise != RECOGNISE_NSH))
		return 0;
	const struct config_port *one = names_find(&known->ports, left->text),
				 *other = names_find(&known->ports, right->text);
	if (one->vlan.access == other->vlan.access)
		return 0;
	return check_fail(check, right, "right", EINVAL,
		"expected a port of the VLAN that %s is of, beside recognise-by: %s, found %s",
		one->name, told_word(hop->recognise), other->name);
}

static int check_instances(struct check *check, struct known *known, uint16_t chain,
	const struct config_hop *hop, const struct node *instances)
{
	static const char *const keys[] = {"port", "left", "right"};
	size_t mark = check_push(check, "instances");
	int rc = 0;
	for (size_t i = 0; i < instances->count && rc == 0; i++) {
		size_t inner = push_number(check, i + 1);
		for (size_t k = 0; k < 3 && rc == 0; k++)
			rc = check_arm(check, known, chain, hop, instances->items[i], keys[k]);
		if (rc == 0)
			rc = check_vlans(check, known, hop, instances->items[i]);
		check_pop(check, inner);
	}
	check_pop(check, mark);
	return rc;
}

static int check_hop_groups(
	struct check *check, const struct known *known, const struct node *groups)
{
	for (size_t i = 0; i < list_count(groups); i++) {
		const struct node *item = list_item(groups, i);
		if (!names_find(&known->groups, item->text))
			return check_fail(check, item, "groups", EINVAL,
				"expected a group that exists, found %s", item->text);
	}
	return 0;
}

static int check_hops(
	struct check *check, struct known *known, uint16_t chain, const struct node *hops)
{
	const struct config_hop *config = known->config->chains[chain - 1].hops;
	size_t mark = check_push(check, "hops");
	int rc = 0;
	for (size_t i = 0; i < hops->count && rc == 0; i++) {
		const struct node *instances = node_find(hops->items[i], "instances");
		size_t inner = push_number(check, i + 1);
		rc = instances
			     ? check_instances(check, known, chain, &config[i], instances)
			     : check_hop_groups(check, known, node_find(hops->items[i], "groups"));
		check_pop(check, inner);
	}
	check_pop(check, mark);
	return rc;
}

static int check_end(struct check *check, const struct known *known, uint16_t chain,
	const struct node *match, const char *key, const struct config_chain_end *end)
{
	const struct node *node = node_find(match, key);
	if (end->kind == CHAIN_END_GROUP && !names_find(&known->groups, end->name))
		return check_fail(check, node, key, EINVAL,
			"expected a group that exists, found %s", end->name);
	if (end->kind != CHAIN_END_PORT)
		return 0;
	const struct config_port *port = names_find(&known->ports, end->name);
	if (!port)
		return check_fail(check, node, key, EINVAL, "expected a port that exists, found %s",
			end->name);
	if (port->nf || known->chain_of[port - known->config->ports])
		return check_fail(check, node, key, EINVAL,
			"expected a port that is no chain's NF, found %s", port->name);
	return check_bridge(check, node, key, port, known->bridge_of[chain]);
}

static int check_each(struct check *check, struct known *known, const struct node *chains)
{
	const struct config *config = known->config;
	int rc = 0;
	for (uint16_t i = 0; i < config->nchains && rc == 0; i++) {
		size_t mark = check_push(check, config->chains[i].name);
		rc = check_hops(check, known, i + 1, node_find(chains->items[i], "hops"));
		check_pop(check, mark);
	}
	// Behind all hops, since any chain's NF is meant.
	for (uint16_t i = 0; i < config->nchains && rc == 0; i++) {
		const struct config_chain *chain = &config->chains[i];
		const struct node *match = node_find(chains->items[i], "match");
		size_t mark = check_push(check, chain->name);
		check_push(check, "match");
		rc = check_end(check, known, i + 1, match, "from", &chain->from);
		if (rc == 0)
			rc = check_end(check, known, i + 1, match, "to", &chain->to);
		check_pop(check, mark);
	}
	return rc;
}

int check_chains(struct check *check, const struct node *root, const struct config *config)
{
	struct known known = {.config = config};
	int rc = -ENOMEM;
	bool made = names_make(&known.ports, config->ports, config->nports, sizeof(*config->ports));
	made &= names_make(&known.groups, config->groups, config->ngroups, sizeof(*config->groups));
	size_t mark = check_push(check, "chains");
	if (made)
		rc = check_each(check, &known, node_find(root, "chains"));
	else
		error_set(check->err, ENOMEM, "no memory for the configuration");
	check_pop(check, mark);
	names_free(&known.ports);
	names_free(&known.groups);
	return rc;
}

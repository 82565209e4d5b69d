// SPDX-License-Identifier: BSD-3-Clause
// What a rate's keys mean together, and which ports may share one.
#include <errno.h>
#include <string.h>

#include "ctl/schema/check.h"

// check.c writes a named item's name to its first bytes.
_Static_assert(offsetof(struct config_shared, name) == 0, "the name comes first");
_Static_assert(offsetof(struct config_shared_member, port) == 0, "the name comes first");

int finish_rate(struct check *check, const struct node *node, void *base)
{
	const struct config_rate *rate = base;
	if (!config_rate_is_set(rate))
		return check_fail(
			check, node, NULL, EINVAL, "expected bits or packets, found neither");
	if (rate->police && !rate->bits)
		return check_fail(check, node_find(node, "police"), "police", EINVAL,
			"expected bits beside it, found none");
	if (rate->police && rate->packets)
		return check_fail(check, node_find(node, "packets"), "packets", EINVAL,
			"expected bits alone beside police, found packets too");
	if (rate->target_ns > rate->interval_ns)
		return check_fail(check, node_find(node, "target"), "target", EINVAL,
			"expected at most the interval, found more");
	return 0;
}

int finish_shared(struct check *check, const struct node *node, void *base)
{
	struct config_shared *shared = base;
	return finish_rate(check, node, &shared->rate);
}

static const struct config_port *find_port(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nports; i++) {
		if (!strcmp(config->ports[i].name, name))
			return &config->ports[i];
	}
	return NULL;
}

static int check_member(struct check *check, const struct config *config, const struct node *number,
	uint8_t *shares)
{
	const struct config_port *port = find_port(config, number->key);
	if (!port)
		return check_fail(check, number, number->key, EINVAL,
			"expected a port that exists, found %s", number->key);
	if (port->kind != PORT_KIND_VHOST_USER)
		return check_fail(check, number, number->key, EINVAL,
			"expected a VM's port, found a dpdk one, which has no rates");
	if (++shares[port - config->ports] > PORT_SHARED_MAX)
		return check_fail(check, number, number->key, EINVAL,
			"expected at most %d shared rates of a port, found more", PORT_SHARED_MAX);
	return 0;
}

static int check_members(
	struct check *check, const struct config *config, const struct node *ports, uint8_t *shares)
{
	size_t mark = check_push(check, "ports");
	int rc = 0;
	for (size_t i = 0; i < ports->count && rc == 0; i++)
		rc = check_member(check, config, ports->items[i], shares);
	check_pop(check, mark);
	return rc;
}

int check_shared(struct check *check, const struct node *root, const struct config *config)
{
	const struct node *rates = node_find(root, "rates");
	uint8_t shares[PORTS_MAX] = {0};
	size_t mark = check_push(check, "rates");
	int rc = 0;
	for (size_t i = 0; i < config->nshared && rc == 0; i++) {
		size_t named = check_push(check, config->shared[i].name);
		rc = check_members(check, config, node_find(rates->items[i], "ports"), shares);
		check_pop(check, named);
	}
	check_pop(check, mark);
	return rc;
}

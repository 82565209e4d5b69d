// SPDX-License-Identifier: BSD-3-Clause
// What holds between security groups, their rules and the ports that are in them.
#include <errno.h>
#include <string.h>

#include "conntrack/state.h"
#include "ctl/schema/key.h"

// check.c writes a named item's name to its first bytes.
_Static_assert(offsetof(struct config_group, name) == 0, "the name comes first");
_Static_assert((int)CONN_STATE_COUNT <= CONN_STATES_ROOM, "a time-out for each state");

void land_port_groups(const struct node *node, void *base)
{
	struct config_port *port = base;
	for (size_t i = 0; i < list_count(node); i++)
		strcpy(port->groups[port->ngroups++], list_item(node, i)->text);
}

static int check_ports(struct check *check, const struct node *ports, const struct config *config,
	const struct names *names)
{
	for (size_t i = 0; i < config->nports; i++) {
		const struct config_port *port = &config->ports[i];
		for (uint16_t k = 0; k < port->ngroups; k++) {
			char path[NAME_SIZE + 20];
			if (names_find(names, port->groups[k]))
				continue;
			snprintf(path, sizeof(path), "ports.%s.groups", port->name);
			return check_fail(check, list_item(node_find(ports->items[i], "groups"), k),
				path, EINVAL, "expected a group that exists, found %s",
				port->groups[k]);
		}
	}
	return 0;
}

static int check_rules(struct check *check, const struct node *group, const char *direction,
	const struct config_rule *rules, size_t count, const struct names *names)
{
	const struct node *list = node_find(group, direction);
	const char *peer = strcmp(direction, "to-vm") ? "to" : "from";
	for (size_t i = 0; i < count; i++) {
		char path[NAME_SIZE + 60];
		if (rules[i].peer_kind != PEER_GROUP || names_find(names, rules[i].group))
			continue;
		snprintf(path, sizeof(path), "groups.%s.%s.%zu.%s", group->key, direction, i + 1,
			peer);
		return check_fail(check, node_find(list->items[i], peer), path, EINVAL,
			"expected a group that exists, found %s", rules[i].group);
	}
	return 0;
}

static int check_each(struct check *check, const struct node *root, const struct config *config,
	const struct names *names)
{
	const struct node *groups = node_find(root, "groups");
	size_t total = 0;
	int rc = 0;
	for (size_t i = 0; i < config->ngroups && rc == 0; i++) {
		const struct config_group *group = &config->groups[i];
		const struct node *node = groups->items[i];
		total += group->nto_vm + group->nfrom_vm;
		if (total > RULES_MAX)
			return check_fail(check, node, "groups", EINVAL,
				"expected at most %d rules in all groups, found more", RULES_MAX);
		rc = check_rules(check, node, "to-vm", group->to_vm, group->nto_vm, names);
		if (rc == 0)
			rc = check_rules(
				check, node, "from-vm", group->from_vm, group->nfrom_vm, names);
	}
	return rc < 0 ? rc : check_ports(check, node_find(root, "ports"), config, names);
}

int check_groups(struct check *check, const struct node *root, const struct config *config)
{
	struct names names;
	if (!names_make(&names, config->groups, config->ngroups, sizeof(*config->groups)))
		return check_fail(check, root, NULL, ENOMEM, "no memory for the configuration");
	int rc = check_each(check, root, config, &names);
	names_free(&names);
	return rc;
}

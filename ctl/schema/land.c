// SPDX-License-Identifier: BSD-3-Clause
// What one key's row of the table cannot say: values that land in more than one field, and rules
// between keys.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ctl/schema/key.h"

// check.c writes a named item's name to its first bytes.
static_assert(offsetof(struct config_bridge, name) == 0, "the name comes first");
static_assert(offsetof(struct config_port, name) == 0, "the name comes first");

static void add_vlan(struct config_vlan *vlan, unsigned id)
{
	vlan->members[id / 64] |= 1ull << id % 64;
}

void land_workers(const struct node *node, void *base)
{
	struct config_switch *sw = base;
	for (size_t i = 0; i < node->count; i++) {
		uint64_t cpu = 0;
		node_integer(node->items[i], &cpu);
		sw->workers[sw->nworkers++] = cpu;
	}
}

void land_trunk(const struct node *node, void *base)
{
	struct config_vlan *vlan = base;
	vlan->kind = VLAN_TRUNK;
	for (unsigned id = 1; id < VLAN_COUNT - 1 && node->type == NODE_SCALAR; id++)
		add_vlan(vlan, id);
	for (size_t i = 0; i < node->count; i++) {
		uint64_t id = 0;
		node_integer(node->items[i], &id);
		add_vlan(vlan, id);
	}
}

void land_members(const struct node *node, void *base)
{
	struct config_dpdk *dpdk = base;
	for (size_t i = 0; i < node->count; i++)
		strcpy(dpdk->members[dpdk->nmembers++], node->items[i]->text);
}

void land_ips(const struct node *node, void *base)
{
	struct config_addresses *addresses = base;
	for (size_t i = 0; i < node->count; i++)
		prefix_parse(node->items[i]->text, &addresses->ips[addresses->nips++]);
}

int finish_vlan(struct check *check, const struct node *node, void *base)
{
	struct config_vlan *vlan = base;
	if (vlan->access && vlan->kind == VLAN_TRUNK)
		return check_fail(check, node_find(node, "access"), "access", EINVAL,
			"expected either access or trunk, found both");
	if (vlan->native && vlan->kind != VLAN_TRUNK)
		return check_fail(check, node_find(node, "native"), "native", EINVAL,
			"expected trunk beside native, found none");
	if (vlan->access) {
		vlan->kind = VLAN_ACCESS;
		add_vlan(vlan, vlan->access);
	}
	if (vlan->native)
		add_vlan(vlan, vlan->native);
	return 0;
}

int finish_port(struct check *check, const struct node *node, void *base)
{
	struct config_port *port = base;
	const struct node *vm = node_find(node, "vhost-user"), *nic = node_find(node, "dpdk");
	if (!vm && !nic)
		return check_fail(check, node, NULL, EINVAL,
			"expected what the port is, vhost-user or dpdk, found nothing");
	if (vm && nic)
		return check_fail(check, nic, "dpdk", EINVAL,
			"expected either vhost-user or dpdk, found both");
	if (nic && node_find(node, "rate"))
		return check_fail(check, node_find(node, "rate"), "rate", EINVAL,
			"expected vhost-user beside it, found dpdk, which has no rates");
	if (port->nf && (nic || port->ngroups))
		return check_fail(check, node_find(node, "nf"), "nf", EINVAL,
			"expected a VM's port without groups, found %s", nic ? "dpdk" : "groups");
	port->kind = vm ? PORT_KIND_VHOST_USER : PORT_KIND_DPDK;
	if (port->vlan.kind == VLAN_UNTAGGED)
		add_vlan(&port->vlan, 0);
	return 0;
}

static bool has_bridge(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nbridges; i++) {
		if (!strcmp(config->bridges[i].name, name))
			return true;
	}
	return false;
}

static const char *skip_idle(const char *path)
{
	for (;;) {
		if (*path == '/')
			path++;
		else if (*path == '.' && (path[1] == '/' || !path[1]))
			path++;
		else
			return path;
	}
}

// Equal but for "//" and "/./".
static bool same_path(const char *a, const char *b)
{
	if ((*a == '/') != (*b == '/'))
		return false;
	for (;;) {
		a = skip_idle(a);
		b = skip_idle(b);
		while (*a && *a != '/' && *a == *b) {
			a++;
			b++;
		}
		if ((*a && *a != '/') || (*b && *b != '/'))
			return false;
		if (!*a || !*b)
			return !*skip_idle(a) && !*skip_idle(b);
	}
}

// A device's arguments do not tell it from another.
static bool same_device(const char *a, const char *b)
{
	size_t len = strcspn(a, ",");
	return len == strcspn(b, ",") && !strncmp(a, b, len);
}

static bool has_device(const struct config_port *port, const char *device)
{
	if (port->kind != PORT_KIND_DPDK)
		return false;
	bool has = same_device(port->dpdk.device, device);
	for (uint16_t i = 0; i < port->dpdk.nmembers; i++)
		has |= same_device(port->dpdk.members[i], device);
	return has;
}

// Whether each device that a bond names as its slave is a member that is made for it: another
// port's would be taken from under it.
static bool owns_slaves(const struct config_dpdk *dpdk)
{
	static const char key[] = ",slave=";
	for (const char *at = strstr(dpdk->device, key); at; at = strstr(at, key)) {
		at += sizeof(key) - 1;
		bool own = false;
		for (uint16_t i = 0; i < dpdk->nmembers && !own; i++)
			own = same_device(dpdk->members[i], at);
		if (!own)
			return false;
	}
	return true;
}

static bool is_listed_twice(const struct config_dpdk *dpdk)
{
	for (uint16_t i = 0; i < dpdk->nmembers; i++) {
		if (same_device(dpdk->members[i], dpdk->device))
			return true;
		for (uint16_t k = 0; k < i; k++)
			if (same_device(dpdk->members[i], dpdk->members[k]))
				return true;
	}
	return false;
}

static int check_devices(
	struct check *check, const struct config *config, const struct node *node, size_t index)
{
	const struct config_port *port = &config->ports[index];
	const struct node *dpdk = node_find(node, "dpdk");
	char path[NAME_SIZE + 40];
	snprintf(path, sizeof(path), "ports.%s.dpdk.members", port->name);
	if (is_listed_twice(&port->dpdk))
		return check_fail(check, node_find(dpdk, "members"), path, EINVAL,
			"expected each device once, found one twice");
	if (!owns_slaves(&port->dpdk)) {
		snprintf(path, sizeof(path), "ports.%s.dpdk.device", port->name);
		return check_fail(check, node_find(dpdk, "device"), path, EINVAL,
			"expected each slave= to be one of members, found another device");
	}
	for (size_t i = 0; i < index && port->kind == PORT_KIND_DPDK; i++) {
		const struct config_port *other = &config->ports[i];
		if (has_device(other, port->dpdk.device)) {
			snprintf(path, sizeof(path), "ports.%s.dpdk.device", port->name);
			return check_fail(check, node_find(dpdk, "device"), path, EINVAL,
				"expected a device of its own, found that of port %s", other->name);
		}
		for (uint16_t m = 0; m < port->dpdk.nmembers; m++) {
			if (!has_device(other, port->dpdk.members[m]))
				continue;
			snprintf(path, sizeof(path), "ports.%s.dpdk.members", port->name);
			return check_fail(check, node_find(dpdk, "members"), path, EINVAL,
				"expected devices of its own, found one of port %s", other->name);
		}
	}
	return 0;
}

static int check_port(
	struct check *check, const struct config *config, const struct node *ports, size_t index)
{
	const struct config_port *port = &config->ports[index];
	const struct node *node = ports->items[index];
	char path[NAME_SIZE + 40];
	if (!has_bridge(config, port->bridge)) {
		snprintf(path, sizeof(path), "ports.%s.bridge", port->name);
		return check_fail(check, node_find(node, "bridge"), path, EINVAL,
			"expected a bridge that exists, found %s", port->bridge);
	}
	for (size_t i = 0; i < index && port->kind == PORT_KIND_VHOST_USER; i++) {
		if (config->ports[i].kind != port->kind ||
			!same_path(config->ports[i].vhost_user.socket, port->vhost_user.socket))
			continue;
		snprintf(path, sizeof(path), "ports.%s.vhost-user.socket", port->name);
		const struct node *socket = node_find(node_find(node, "vhost-user"), "socket");
		return check_fail(check, socket, path, EINVAL,
			"expected a socket of its own, found that of port %s",
			config->ports[i].name);
	}
	return check_devices(check, config, node, index);
}

int finish_config(struct check *check, const struct node *node, void *base)
{
	const struct config *config = base;
	const struct node *ports = node_find(node, "ports");
	int rc = 0;
	for (size_t i = 0; i < config->nports && rc == 0; i++)
		rc = check_port(check, config, ports, i);
	if (rc == 0)
		rc = check_shared(check, node, config);
	if (rc == 0)
		rc = check_chains(check, node, config);
	return rc < 0 ? rc : check_groups(check, node, config);
}

// SPDX-License-Identifier: BSD-3-Clause
// One object of members (switch/rules.h) for each VLAN that ports are in by themselves, found by
// halving, and one for each trunk, which are few and are asked in turn. Immutable once it is made.
#include "switch/zones.h"

#include <stdlib.h>
#include <string.h>

#include "switch/snapshot.h"

struct zone {
	uint32_t zone;
	struct members *members;
};

struct trunk {
	uint32_t zone; // of its bridge and VLAN 0
	uint64_t vlans[VLAN_COUNT / 64];
	struct members *members;
};

struct zones {
	size_t nzones, ntrunks;
	struct zone *of; // sorted
	struct trunk *trunks;
};

static bool is_member(const struct port *port, bool trunk)
{
	return port->config.ngroups && port->config.addresses.nips &&
	       (port->config.vlan.kind == VLAN_TRUNK) == trunk;
}

static uint32_t zone_of_port(const struct port *port)
{
	return zone_of(port->bridge->number, port->config.vlan.access);
}

static int by_zone(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;
	return x->zone < y->zone ? -1 : x->zone > y->zone;
}

static void list_zones(struct zones *zones, struct port *const *ports, size_t nports)
{
	size_t n = 0;
	for (size_t i = 0; i < nports; i++)
		if (is_member(ports[i], false))
			zones->of[n++].zone = zone_of_port(ports[i]);
	qsort(zones->of, n, sizeof(zones->of[0]), by_zone);
	for (size_t i = 0; i < n; i++)
		if (!zones->nzones || zones->of[zones->nzones - 1].zone != zones->of[i].zone)
			zones->of[zones->nzones++].zone = zones->of[i].zone;
}

static bool fill_zone(struct zone *zone, const struct rules *rules, struct port *const *ports,
	size_t nports, struct config_port **configs)
{
	size_t n = 0;
	for (size_t i = 0; i < nports; i++)
		if (is_member(ports[i], false) && zone_of_port(ports[i]) == zone->zone)
			configs[n++] = &ports[i]->config;
	zone->members = members_new(rules, configs, n);
	return zone->members;
}

static bool add_trunk(struct zones *zones, const struct rules *rules, struct port *port)
{
	struct trunk *trunk = &zones->trunks[zones->ntrunks++];
	struct config_port *config = &port->config;
	trunk->zone = zone_of(port->bridge->number, 0);
	memcpy(trunk->vlans, config->vlan.members, sizeof(trunk->vlans));
	trunk->members = members_new(rules, &config, 1);
	return trunk->members;
}

struct zones *zones_new(const struct rules *rules, struct port *const *ports, size_t nports)
{
	struct zones *zones = calloc(1, sizeof(*zones));
	struct config_port **configs = calloc(nports + 1, sizeof(configs[0]));
	bool done = zones && configs;
	size_t ntrunks = 0;
	for (size_t i = 0; i < nports; i++)
		ntrunks += is_member(ports[i], true);
	if (done) {
		zones->of = calloc(nports + 1, sizeof(zones->of[0]));
		zones->trunks = calloc(ntrunks + 1, sizeof(zones->trunks[0]));
		done = zones->of && zones->trunks;
	}
	if (done)
		list_zones(zones, ports, nports);
	for (size_t z = 0; done && z < zones->nzones; z++)
		done = fill_zone(&zones->of[z], rules, ports, nports, configs);
	for (size_t i = 0; done && i < nports; i++)
		done = !is_member(ports[i], true) || add_trunk(zones, rules, ports[i]);
	free(configs);
	if (done)
		return zones;
	zones_free(zones);
	return NULL;
}

void zones_free(struct zones *zones)
{
	if (!zones)
		return;
	for (size_t z = 0; z < zones->nzones; z++)
		members_free(zones->of[z].members);
	for (size_t t = 0; t < zones->ntrunks; t++)
		members_free(zones->trunks[t].members);
	free(zones->of);
	free(zones->trunks);
	free(zones);
}

static const struct members *members_in(const struct zones *zones, uint32_t zone)
{
	size_t at = 0;
	for (size_t n = zones->nzones; n > 1;) {
		size_t half = n / 2;
		if (zones->of[at + half].zone <= zone)
			at += half;
		n -= half;
	}
	return zones->nzones && zones->of[at].zone == zone ? zones->of[at].members : NULL;
}

void zones_find(const struct zones *zones, uint32_t zone, enum conn_family family,
	const uint8_t *address, struct group_list *list)
{
	const struct members *members = members_in(zones, zone);
	uint32_t vlan = zone % VLAN_COUNT;
	unsigned longest = 0;
	list->count = 0;
	if (members)
		longest = members_find(members, family, address, list);
	for (size_t t = 0; t < zones->ntrunks; t++) {
		const struct trunk *trunk = &zones->trunks[t];
		struct group_list found;
		if (trunk->zone != zone - vlan || !(trunk->vlans[vlan / 64] >> (vlan % 64) & 1))
			continue;
		unsigned reached = members_find(trunk->members, family, address, &found);
		if (reached > longest)
			*list = found;
		else if (reached && reached == longest)
			group_list_add(list, &found);
		longest = reached > longest ? reached : longest;
	}
}

// SPDX-License-Identifier: BSD-3-Clause
// Who has an address, where ports of access VLANs and trunks have it between them.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/schema.h"
#include "switch/snapshot.h"
#include "switch/zones.h"
#include "tests/unit/kit_rules.h"
#include "tests/unit/kit_schema.h"

enum {
	BRIDGE = 3
};

static struct port *ports[16];
static struct bridge bridge = {.number = BRIDGE};

static struct zones *zones_of(const struct config *config, const struct rules *rules)
{
	for (size_t i = 0; i < config->nports; i++) {
		ports[i] = calloc(1, sizeof(*ports[i]));
		ports[i]->config = config->ports[i];
		ports[i]->bridge = &bridge;
	}
	struct zones *zones = zones_new(rules, ports, config->nports);
	cr_assert(zones);
	return zones;
}

static void finds(const struct zones *zones, uint32_t vlan, const char *text, const char *expected)
{
	uint8_t address[4];
	char found[128] = "";
	struct group_list list;
	cr_assert_eq(inet_pton(AF_INET, text, address), 1);
	zones_find(zones, zone_of(BRIDGE, (uint16_t)vlan), CONN_IPV4, address, &list);
	for (uint16_t i = 0; i < list.count; i++)
		sprintf(found + strlen(found), " %u", list.of[i]);
	cr_expect_str_eq(found, expected, "%s in VLAN %u:%s", text, vlan, found);
}

Test(zones, the_longest_network_counts_whoever_has_it)
{
	struct config *config = check(
		"groups: {g0: , g1: , g2: , g3: }\n"
		"ports:\n"
		"  a: {vhost-user: {socket: a}, groups: g0, vlan: {access: 10}, "
		"addresses: {ip: [10.0.0.0/24]}}\n"
		"  b: {vhost-user: {socket: b}, groups: g1, vlan: {trunk: [10, 20]}, "
		"addresses: {ip: [10.0.0.7, 10.0.0.0/16, 10.2.0.0/24]}}\n"
		"  c: {vhost-user: {socket: c}, groups: g2, vlan: {trunk: [10]}, "
		"addresses: {ip: [10.0.0.0/24, 10.2.0.0/25]}}\n"
		"  d: {vhost-user: {socket: d}, groups: g3, vlan: {trunk: [20]}, "
		"addresses: {ip: [10.0.0.8]}}\n");
	struct rules *rules = rules_of(config, NULL);
	struct zones *zones = zones_of(config, rules);
	finds(zones, 10, "10.0.0.7", " 1");
	finds(zones, 10, "10.0.0.8", " 0 2");
	finds(zones, 10, "10.0.1.1", " 1");
	finds(zones, 10, "10.2.0.1", " 2");
	finds(zones, 10, "10.2.0.200", " 1");
	finds(zones, 10, "10.3.0.1", "");
	finds(zones, 20, "10.0.0.8", " 3");
	finds(zones, 20, "10.0.0.9", " 1");
	finds(zones, 30, "10.0.0.7", "");
	zones_free(zones);
	rules_free(rules);
	for (size_t i = 0; i < config->nports; i++)
		free(ports[i]);
	config_free(config);
}

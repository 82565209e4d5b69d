// SPDX-License-Identifier: BSD-3-Clause
// Who has an address, beside a plain search for the longest network.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/schema.h"
#include "tests/unit/kit_rules.h"
#include "tests/unit/kit_schema.h"

static struct members *members_of(const struct config *config, const struct rules *rules)
{
	struct config_port **ports = calloc(config->nports + 1, sizeof(*ports));
	for (size_t i = 0; i < config->nports; i++)
		ports[i] = &config->ports[i];
	struct members *members = members_new(rules, ports, config->nports);
	cr_assert(members);
	free(ports);
	return members;
}

static void finds(const struct members *members, const char *text, const char *expected)
{
	uint8_t address[16];
	char found[128] = "";
	struct group_list list;
	bool v6 = strchr(text, ':');
	cr_assert_eq(inet_pton(v6 ? AF_INET6 : AF_INET, text, address), 1);
	unsigned reached = members_find(members, v6 ? CONN_IPV6 : CONN_IPV4, address, &list);
	cr_expect_eq(!reached, !list.count, "%s: %u", text, reached);
	for (uint16_t i = 0; i < list.count; i++)
		sprintf(found + strlen(found), " %u", list.of[i]);
	cr_expect_str_eq(found, expected, "%s:%s", text, found);
}

Test(members, the_longest_network_has_the_address)
{
	struct config *config = check(
		"groups: {g0: , g1: , g2: , g3: , g4: }\n"
		"ports:\n"
		"  a: {vhost-user: {socket: a}, groups: [g1, g0], addresses: {ip: [10.0.0.1, "
		"'fd00::1']}}\n"
		"  b: {vhost-user: {socket: b}, groups: g2, addresses: {ip: [10.0.0.0/24, "
		"'fd00::/16']}}\n"
		"  c: {vhost-user: {socket: c}, addresses: {ip: [10.0.0.2]}}\n"
		"  d: {vhost-user: {socket: d}, groups: g3}\n"
		"  e: {vhost-user: {socket: e}, groups: [g0, g4], addresses: {ip: [10.0.0.1]}}\n"
		"  f: {vhost-user: {socket: f}, groups: g4, addresses: {ip: [255.255.255.255, "
		"0.0.0.0, '::/128', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']}}\n");
	struct rules *rules = rules_of(config, NULL);
	struct members *members = members_of(config, rules);
	finds(members, "10.0.0.1", " 1 0 4");
	finds(members, "10.0.0.0", " 2");
	finds(members, "10.0.0.2", " 2");
	finds(members, "10.0.0.255", " 2");
	finds(members, "10.0.1.0", "");
	finds(members, "9.255.255.255", "");
	finds(members, "0.0.0.0", " 4");
	finds(members, "0.0.0.1", "");
	finds(members, "255.255.255.255", " 4");
	finds(members, "fd00::1", " 1 0");
	finds(members, "fd00::2", " 2");
	finds(members, "fd01::", "");
	finds(members, "::", " 4");
	finds(members, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", " 4");
	finds(members, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "");
	members_free(members);
	rules_free(rules);
	config_free(config);
}

Test(members, nobody_has_an_address_where_no_port_has_groups)
{
	struct config *config = check(PORT "    addresses: {ip: [0.0.0.0/0, '::/0']}");
	struct rules *rules = rules_of(config, NULL);
	struct members *members = members_of(config, rules);
	finds(members, "10.0.0.1", "");
	finds(members, "::1", "");
	members_free(members);
	members_free(NULL);
	rules_free(rules);
	config_free(config);
}

// --- random ------------------------------------------------------------------------------------

static bool contains(
	const struct config_prefix *prefix, enum conn_family family, const uint8_t *address)
{
	if ((prefix->family == AF_INET) != (family == CONN_IPV4))
		return false;
	for (unsigned bit = 0; bit < prefix->length; bit++)
		if ((prefix->address[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static int longest(const struct config_port *port, enum conn_family family, const uint8_t *address)
{
	int length = -1;
	for (uint16_t i = 0; i < port->addresses.nips; i++)
		if (contains(&port->addresses.ips[i], family, address) &&
			port->addresses.ips[i].length > length)
			length = port->addresses.ips[i].length;
	return length;
}

// The groups, as bits, of all ports whose network around the address is the longest.
static uint32_t search(const struct config *config, enum conn_family family, const uint8_t *address)
{
	int most = 0;
	uint32_t groups = 0;
	for (size_t i = 0; i < config->nports; i++) {
		const struct config_port *port = &config->ports[i];
		int length = port->ngroups ? longest(port, family, address) : -1;
		if (length > most)
			groups = 0;
		if (length < 0 || length < most)
			continue;
		most = length;
		for (uint16_t k = 0; k < port->ngroups; k++)
			groups |= 1u << atoi(port->groups[k] + 1);
	}
	return groups;
}

// Few bits differ, so that networks lie inside each other and equal ones are met.
static void some_address(uint8_t *address, uint64_t *seed, bool v6)
{
	memset(address, 0, 16);
	for (unsigned i = 0; i < (v6 ? 16 : 4); i++)
		address[i] = rules_below(seed, 2) ? 0 : (uint8_t)(0xff << rules_below(seed, 9));
}

static void some_prefix(struct config_prefix *prefix, uint64_t *seed)
{
	bool v6 = rules_below(seed, 2);
	unsigned bits = v6 ? 128 : 32;
	prefix->family = v6 ? AF_INET6 : AF_INET;
	prefix->length = (uint8_t)rules_below(seed, bits + 1);
	some_address(prefix->address, seed, v6);
	for (unsigned i = prefix->length; i < bits; i++)
		prefix->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static struct config *some_ports(uint64_t *seed, size_t nports)
{
	struct config *config = rules_config(seed, 16, 0);
	config->ports = calloc(nports, sizeof(*config->ports));
	config->nports = nports;
	for (size_t i = 0; i < nports; i++) {
		struct config_port *port = &config->ports[i];
		port->ngroups = (uint16_t)rules_below(seed, 3);
		for (uint16_t k = 0; k < port->ngroups; k++)
			snprintf(port->groups[k], NAME_SIZE, "g%u", rules_below(seed, 8) + 8u * k);
		port->addresses.nips = (uint16_t)rules_below(seed, ADDRESSES_MAX + 1);
		for (uint16_t k = 0; k < port->addresses.nips; k++)
			some_prefix(&port->addresses.ips[k], seed);
	}
	return config;
}

Test(members, random_networks_are_found_as_by_a_search)
{
	uint64_t seed = rules_seed();
	for (unsigned round = 0; round < 40; round++) {
		uint64_t began = seed;
		struct config *config = some_ports(&seed, 1 + rules_below(&seed, 40));
		struct rules *rules = rules_of(config, NULL);
		struct members *members = members_of(config, rules);
		for (unsigned i = 0; i < 3000; i++) {
			uint8_t address[16];
			struct group_list list;
			enum conn_family family = (enum conn_family)rules_below(&seed, 2);
			uint32_t found = 0;
			some_address(address, &seed, family == CONN_IPV6);
			members_find(members, family, address, &list);
			for (uint16_t k = 0; k < list.count; k++)
				found |= 1u << list.of[k];
			cr_assert_eq(found, search(config, family, address), "seed %#lx", began);
		}
		members_free(members);
		rules_free(rules);
		config_free(config);
	}
}

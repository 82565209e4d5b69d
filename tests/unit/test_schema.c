// SPDX-License-Identifier: BSD-3-Clause
// The schema: what a document means.
#include <arpa/inet.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_schema.h"

static size_t vlan_count(const struct config_vlan *vlan)
{
	size_t count = 0;
	for (size_t i = 0; i < VLAN_COUNT / 64; i++)
		count += __builtin_popcountll(vlan->members[i]);
	return count;
}

static bool has_vlan(const struct config_vlan *vlan, unsigned id)
{
	return vlan->members[id / 64] >> id % 64 & 1;
}

Test(schema, the_empty_document_is_all_defaults)
{
	struct config *config = check("");
	cr_expect_eq(config->sw.nworkers, 1);
	cr_expect_eq(config->sw.workers[0], 1);
	cr_expect_eq(config->sw.poll, POLL_ADAPTIVE);
	cr_expect_eq(config->sw.memory_bytes, 256ull << 20);
	cr_expect_eq(config->sw.hugepages, HUGEPAGES_AUTO);
	cr_expect_eq(config->nports, 0);
	cr_assert_eq(config->nbridges, 1);
	cr_expect_str_eq(config->bridges[0].name, "default");
	cr_expect_eq(config->bridges[0].ageing_s, 300);
	config_free(config);
}

Test(schema, everything_that_is_built_lands)
{
	struct config *config = check(
		"switch: {workers: [3, 1, 0], poll: busy, memory: 1.5GiB, hugepages: required}\n"
		"bridges: {b1: {ageing: 2min}, b2: }\n"
		"ports:\n"
		"  vm1:\n"
		"    vhost-user: {socket: /run/x.sock, listens: switch, owner: _a.b-c, group: "
		"'7',\n"
		"      mode: 0640, queues: 16}\n"
		"    bridge: b1\n"
		"    mtu: 9216\n"
		"    vlan: {access: 4094}\n"
		"    addresses: {mac: '52:54:00:00:0a:FE', ip: [10.0.0.1, 10.1.0.0/16, "
		"'fd00::1']}\n"
		"    limits: {macs: 0, broadcast: 1kpps, multicast: 2kpps, unknown: 100Mpps}\n");
	const struct config_switch *sw = &config->sw;
	cr_assert_eq(sw->nworkers, 3);
	cr_expect(sw->workers[0] == 3 && sw->workers[1] == 1 && sw->workers[2] == 0);
	cr_expect(sw->poll == POLL_BUSY && sw->hugepages == HUGEPAGES_REQUIRED);
	cr_expect_eq(sw->memory_bytes, 3ull << 29);

	cr_assert_eq(config->nbridges, 3);
	cr_expect_str_eq(config->bridges[0].name, "b1");
	cr_expect_eq(config->bridges[0].ageing_s, 120);
	cr_expect_eq(config->bridges[1].ageing_s, 300);
	cr_expect_str_eq(config->bridges[2].name, "default");

	cr_assert_eq(config->nports, 1);
	const struct config_port *port = &config->ports[0];
	cr_expect_str_eq(port->name, "vm1");
	cr_expect_eq(port->kind, PORT_KIND_VHOST_USER);
	cr_expect_str_eq(port->vhost_user.socket, "/run/x.sock");
	cr_expect_eq(port->vhost_user.listens, LISTENS_SWITCH);
	cr_expect_str_eq(port->vhost_user.owner, "_a.b-c");
	cr_expect_str_eq(port->vhost_user.group, "7");
	cr_expect_eq(port->vhost_user.mode, 0640);
	cr_expect_eq(port->vhost_user.queues, 16);
	cr_expect_str_eq(port->bridge, "b1");
	cr_expect_eq(port->mtu, 9216);
	cr_expect_eq(port->limits.macs, 0);
	cr_expect_eq(port->limits.broadcast_pps, 1000);
	cr_expect_eq(port->limits.multicast_pps, 2000);
	cr_expect_eq(port->limits.unknown_pps, 100000000);
	const struct config_addresses *addresses = &port->addresses;
	cr_expect_arr_eq(addresses->mac, "\x52\x54\0\0\x0a\xfe", 6);
	cr_assert_eq(addresses->nips, 3);
	const struct config_prefix *ip = addresses->ips;
	cr_expect(ip[0].family == AF_INET && ip[0].length == 32);
	cr_expect_arr_eq(ip[0].address, "\x0a\0\0\1", 4);
	cr_expect(ip[1].family == AF_INET && ip[1].length == 16);
	cr_expect_arr_eq(ip[1].address, "\x0a\1\0\0", 4);
	cr_expect(ip[2].family == AF_INET6 && ip[2].length == 128);
	cr_expect_arr_eq(ip[2].address, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	config_free(config);
}

Test(schema, a_port_has_defaults)
{
	struct config *config = check("ports: {vm1: {vhost-user: {socket: vm1.sock}}}");
	const struct config_port *port = &config->ports[0];
	cr_expect_eq(port->vhost_user.listens, LISTENS_VMM);
	cr_expect_str_eq(port->vhost_user.owner, "");
	cr_expect_str_eq(port->vhost_user.group, "");
	cr_expect_eq(port->vhost_user.mode, 0660);
	cr_expect_eq(port->vhost_user.queues, 1);
	cr_expect_str_eq(port->bridge, "default");
	cr_expect_eq(port->mtu, 1500);
	cr_expect_eq(port->limits.macs, 1024);
	cr_expect(!port->limits.broadcast_pps && !port->limits.unknown_pps);
	cr_expect(!port->addresses.mac[0] && !port->addresses.nips);
	cr_expect_eq(port->vlan.kind, VLAN_UNTAGGED);
	config_free(config);
}

Test(schema, vlans_become_members)
{
	static const struct {
		const char *text;
		enum config_vlan_kind kind;
		uint16_t access;
		uint16_t native;
		size_t count;
		unsigned member;
	} cases[] = {
		{"", VLAN_UNTAGGED, 0, 0, 1, 0},
		{", vlan: {}", VLAN_UNTAGGED, 0, 0, 1, 0},
		{", vlan: ", VLAN_UNTAGGED, 0, 0, 1, 0},
		{", vlan: {access: 10}", VLAN_ACCESS, 10, 0, 1, 10},
		{", vlan: {trunk: [10, 4094]}", VLAN_TRUNK, 0, 0, 2, 4094},
		{", vlan: {native: 1, trunk: [10, 20]}", VLAN_TRUNK, 0, 1, 3, 1},
		{", vlan: {trunk: [10, 20], native: 10}", VLAN_TRUNK, 0, 10, 2, 20},
		{", vlan: {trunk: all}", VLAN_TRUNK, 0, 0, 4094, 1},
		{", vlan: {trunk: 'all', native: 7}", VLAN_TRUNK, 0, 7, 4094, 4094},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[128];
		snprintf(text, sizeof(text), "ports: {a: {vhost-user: {socket: a}%s}}",
			cases[i].text);
		struct config *config = check(text);
		const struct config_vlan *vlan = &config->ports[0].vlan;
		cr_expect_eq(vlan->kind, cases[i].kind, "%s", text);
		cr_expect_eq(vlan->access, cases[i].access, "%s", text);
		cr_expect_eq(vlan->native, cases[i].native, "%s", text);
		cr_expect_eq(vlan_count(vlan), cases[i].count, "%s", text);
		cr_expect(has_vlan(vlan, cases[i].member), "%s", text);
		cr_expect(!has_vlan(vlan, 4095), "%s", text);
		config_free(config);
	}
}

Test(schema, names_need_not_look_like_texts)
{
	struct config *config = check("bridges: {10: {}, on: {}}\n"
				      "ports: {1: {vhost-user: {socket: 5}, bridge: 10},"
				      " yes: {vhost-user: {socket: 'yes'}, bridge: 'on'}}\n");
	cr_expect_str_eq(config->ports[0].name, "1");
	cr_expect_str_eq(config->ports[0].bridge, "10");
	cr_expect_str_eq(config->ports[1].bridge, "on");
	config_free(config);
}

// SPDX-License-Identifier: BSD-3-Clause
// The schema: what a document means, what it must not say and in which words that is told, and
// what differs between two.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/key.h"
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

// --- what a document means ---------------------------------------------------------------------

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

// --- what it must not say ----------------------------------------------------------------------

Test(schema, refuses_unknown_keys)
{
	REFUSES(EINVAL,
		{"prots: {}", "weir.yaml:1: prots: unknown key; the nearest known one is ports"},
		{"switch:\n  wokrers: [1]", "weir.yaml:2: switch.wokrers: unknown key; the nearest "
					    "known one is workers"},
		{PORT "    vhost_user: {}",
			"weir.yaml:4: ports.vm1.vhost_user: unknown key; the nearest known one is "
			"vhost-user"},
		{PORT "    sockets: x",
			"weir.yaml:4: ports.vm1.sockets: unknown key; known here are vhost-user, "
			"dpdk, bridge, mtu, vlan, addresses, groups, rate, limits"},
		{"? \"a\\nb \\x9b\"\n: 1",
			"weir.yaml:1: a?b ?: unknown key; known here are switch, bridges, ports, "
			"groups, gateways, nat, chains, rates"},
		{"'': 1", "weir.yaml:1: \"\": unknown key; known here are switch, bridges, ports, "
			  "groups, "
			  "gateways, nat, chains, rates"}, );
}

Test(schema, refuses_what_is_not_built_yet)
{
	REFUSES(ENOTSUP, {PORT "    rate: {}", "weir.yaml:4: ports.vm1.rate: not supported yet"},
		{"nat: []", "weir.yaml:1: nat: not supported yet"},
		{"chains: {}", "weir.yaml:1: chains: not supported yet"},
		{"rates: {}", "weir.yaml:1: rates: not supported yet"},
		{"gateways: {}", "weir.yaml:1: gateways: not supported yet"}, );
}

Test(schema, refuses_wrong_quantities)
{
	REFUSES(EINVAL,
		{"bridges:\n  b:\n    ageing: 300", "weir.yaml:3: bridges.b.ageing: expected a "
						    "duration such as 300s, found 300"},
		{"bridges: {b: {ageing: 300 s}}", "weir.yaml:1: bridges.b.ageing: expected a "
						  "duration such as 300s, found 300 s"},
		{"bridges: {b: {ageing: -1s}}", "weir.yaml:1: bridges.b.ageing: expected a "
						"duration such as 300s, found -1s"},
		{"bridges: {b: {ageing: 99999999999999999999s}}",
			"weir.yaml:1: bridges.b.ageing: expected a duration such as 300s, found "
			"99999999999999999999s"},
		{"bridges: {b: {ageing: 1000001s}}",
			"weir.yaml:1: bridges.b.ageing: expected a duration from 0s to 1000000s, "
			"found 1000001s"},
		{"bridges: {b: {ageing: 1500ms}}",
			"weir.yaml:1: bridges.b.ageing: expected a duration that is a multiple of "
			"1s, found 1500ms"},
		{"bridges: {b: {ageing: }}",
			"weir.yaml:1: bridges.b.ageing: expected a duration such as 300s, found "
			"nothing"},
		{"bridges: {b: {ageing: {s: 1}}}", "weir.yaml:1: bridges.b.ageing: expected a "
						   "duration such as 300s, found a map"},
		{"switch: {memory: 256M}",
			"weir.yaml:1: switch.memory: expected a size such as 256MiB, found 256M"},
		{"switch: {memory: 1MiB}", "weir.yaml:1: switch.memory: expected a size from 32MiB "
					   "to 1TiB, found 1MiB"}, );
}

Test(schema, refuses_wrong_values)
{
	REFUSES(EINVAL,
		{PORT "    mtu: 67", "weir.yaml:4: ports.vm1.mtu: expected an integer from 68 to "
				     "9216, found 67"},
		{PORT "    mtu: '1500'", "weir.yaml:4: ports.vm1.mtu: expected an integer from 68 "
					 "to 9216, found \"1500\""},
		{PORT "    mtu: 01500",
			"weir.yaml:4: ports.vm1.mtu: expected an integer from 68 to "
			"9216, found 01500"},
		{PORT "    mtu: 18446744073709553116",
			"weir.yaml:4: ports.vm1.mtu: expected an integer from 68 to 9216, found "
			"18446744073709553116"},
		{PORT "    mtu:\n      [1500]",
			"weir.yaml:4: ports.vm1.mtu: expected an integer from 68 to 9216, found a "
			"list of 1"},
		{"switch: {poll: fast}",
			"weir.yaml:1: switch.poll: expected adaptive or busy, found fast"},
		{"switch: {hugepages: no}",
			"weir.yaml:1: switch.hugepages: expected auto, off or required, found no"},
		{"switch: {workers: 1}", "weir.yaml:1: switch.workers: expected a list of 1 to 64 "
					 "integers from 0 to 1023, found 1"},
		{"switch: {workers: []}", "weir.yaml:1: switch.workers: expected a list of 1 to 64 "
					  "integers from 0 to 1023, found an empty list"},
		{"switch: {workers: [1, 2, 1]}",
			"weir.yaml:1: switch.workers: expected each number once, found 1"},
		{"switch: {workers: [1, 1024]}", "weir.yaml:1: switch.workers: expected integers "
						 "from 0 to 1023, found 1024"},
		{"switch: 1", "weir.yaml:1: switch: expected a map of keys, found 1"},
		{"ports: [vm1]", "weir.yaml:1: ports: expected a map of names, found a list of 1"},
		{"ports: {vm1: yes}",
			"weir.yaml:1: ports.vm1: expected a map of keys, found yes"}, );
}

Test(schema, refuses_wrong_names)
{
	REFUSES(EINVAL,
		{"bridges: {a.b: {}}", "weir.yaml:1: bridges.a.b: expected a name of at most 31 "
				       "letters, digits, _ and -"},
		{"bridges: {-a: {}}", "weir.yaml:1: bridges.-a: expected a name of at most 31 "
				      "letters, digits, _ and -"},
		{"bridges: {a1234567890123456789012345678901: {}}",
			"weir.yaml:1: bridges.a1234567890123456789012345678901: expected a name of "
			"at most 31 letters, digits, _ and -"},
		{PORT "    bridge: a b",
			"weir.yaml:4: ports.vm1.bridge: expected a name of at most "
			"31 letters, digits, _ and -, found a b"},
		{PORT "    bridge: b7", "weir.yaml:4: ports.vm1.bridge: expected a bridge that "
					"exists, found b7"}, );
}

#define SOCKET_ERROR \
	"weir.yaml:1: ports.a.vhost-user.socket: expected the path of a socket, absolute or " \
	"below " \
	"RUN_DIR/vm, at most 107 bytes, found "
#define LONG_PATH \
	"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"a" \
	"aaaaaaaaaaaaaaaaaaa"

Test(schema, refuses_wrong_sockets)
{
	REFUSES(EINVAL, {"ports: {a: {vhost-user: {socket: ../a}}}", SOCKET_ERROR "../a"},
		{"ports: {a: {vhost-user: {socket: b/../../a}}}", SOCKET_ERROR "b/../../a"},
		{"ports: {a: {vhost-user: {socket: b/..}}}", SOCKET_ERROR "b/.."},
		{"ports: {a: {vhost-user: {socket: b/}}}", SOCKET_ERROR "b/"},
		{"ports: {a: {vhost-user: {socket: ''}}}", SOCKET_ERROR "\"\""},
		{"ports: {a: {vhost-user: {socket: \"a\\n\"}}}", SOCKET_ERROR "\"a?\""},
		{"ports: {a: {vhost-user: {socket: " LONG_PATH "}}}", SOCKET_ERROR
			"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."},
		{"ports: {a: {vhost-user: }}", SOCKET_ERROR "nothing"},
		{"ports: {a: {vhost-user: {queues: 1}}}", SOCKET_ERROR "nothing"}, );
	config_free(check("ports: {a: {vhost-user: {socket: /b/../a}}, b: {vhost-user: {socket: "
			  "..a/b..}}}"));
}

Test(schema, refuses_wrong_ports)
{
	REFUSES(EINVAL,
		{"ports:\n  a: {}", "weir.yaml:2: ports.a: expected what the port is, vhost-user "
				    "or dpdk, found nothing"},
		{PORT "    dpdk: {device: net_tap0}",
			"weir.yaml:4: ports.vm1.dpdk: expected either vhost-user or dpdk, found "
			"both"}, );
}

#define NIC "ports:\n  up:\n    dpdk: {device: 'net_tap0,iface=a'}\n"

Test(schema, refuses_wrong_devices)
{
	REFUSES(EINVAL,
		{"ports:\n  a: {dpdk: {}}",
			"weir.yaml:2: ports.a.dpdk.device: expected a device of DPDK such as "
			"0000:03:00.0 or net_tap0,iface=weir0, at most 127 bytes, found nothing"},
		{"ports:\n  a: {dpdk: {device: net tap}}",
			"weir.yaml:2: ports.a.dpdk.device: expected a device of DPDK such as "
			"0000:03:00.0 or net_tap0,iface=weir0, at most 127 bytes, found net tap"},
		{"ports:\n  a: {dpdk: {device: net_tap0, queues: 0}}",
			"weir.yaml:2: ports.a.dpdk.queues: expected an integer from 1 to 16, found "
			"0"},
		{"ports:\n  a: {dpdk: {device: net_tap0, members: []}}",
			"weir.yaml:2: ports.a.dpdk.members: expected a list of 1 to 8 devices of "
			"DPDK, found an empty list"},
		{NIC "  b: {dpdk: {device: 'net_tap0,iface=b'}}",
			"weir.yaml:4: ports.b.dpdk.device: expected a device of its own, found "
			"that "
			"of port up"},
		{"ports:\n  b: {dpdk: {device: net_bonding0, members: [net_tap1, "
		 "'net_tap1,iface=x']}}",
			"weir.yaml:2: ports.b.dpdk.members: expected each device once, found one "
			"twice"},
		{NIC "  b: {dpdk: {device: 'net_bonding0,mode=1,slave=net_tap0'}}",
			"weir.yaml:4: ports.b.dpdk.device: expected each slave= to be one of "
			"members, "
			"found another device"},
		{NIC "  b:\n    dpdk: {device: net_bonding0, members: [net_tap1, net_tap0]}",
			"weir.yaml:5: ports.b.dpdk.members: expected devices of its own, found one "
			"of port up"}, );
}

Test(schema, devices_land)
{
	struct config *config = check(NIC "    mtu: 9000\n  bond:\n    dpdk: {device: "
					  "net_bonding0, queues: 4, members: [net_tap1, a:b.c]}\n"
					  "  vm: {vhost-user: {socket: x}}");
	cr_expect_eq(config->ports[0].kind, PORT_KIND_DPDK);
	cr_expect_str_eq(config->ports[0].dpdk.device, "net_tap0,iface=a");
	cr_expect_eq(config->ports[0].dpdk.queues, 1);
	cr_expect_eq(config->ports[1].dpdk.queues, 4);
	cr_expect_eq(config->ports[1].dpdk.nmembers, 2);
	cr_expect_str_eq(config->ports[1].dpdk.members[1], "a:b.c");
	cr_expect_eq(config->ports[2].kind, PORT_KIND_VHOST_USER);
	config_free(config);
}

Test(schema, refuses_wrong_socket_modes)
{
	REFUSES(EINVAL,
		{"ports: {a: {vhost-user: {socket: x, mode: 660}}}",
			"weir.yaml:1: ports.a.vhost-user.mode: expected permission bits in octal "
			"such as 0660, found 660"},
		{"ports: {a: {vhost-user: {socket: x, mode: 01777}}}",
			"weir.yaml:1: ports.a.vhost-user.mode: expected permission bits in octal "
			"such as 0660, found 01777"},
		{"ports: {a: {vhost-user: {socket: x, owner: a b}}}",
			"weir.yaml:1: ports.a.vhost-user.owner: expected the name of a user or "
			"group, found a b"},
		{"ports: {a: {vhost-user: {socket: x, queues: 17}}}",
			"weir.yaml:1: ports.a.vhost-user.queues: expected an integer from 1 to 16, "
			"found 17"}, );
}

Test(schema, refuses_wrong_vlans)
{
	REFUSES(EINVAL,
		{PORT "    vlan:\n      access: 10\n      trunk: [10]",
			"weir.yaml:5: ports.vm1.vlan.access: expected either access or trunk, "
			"found "
			"both"},
		{PORT "    vlan:\n      access: 10\n      native: 5",
			"weir.yaml:6: ports.vm1.vlan.native: expected trunk beside native, found "
			"none"},
		{PORT "    vlan: {access: 4095}",
			"weir.yaml:4: ports.vm1.vlan.access: expected an integer from 1 to 4094, "
			"found 4095"},
		{PORT "    vlan: {trunk: some}",
			"weir.yaml:4: ports.vm1.vlan.trunk: expected all or a list of 1 to 4094 "
			"integers from 1 to 4094, found some"},
		{PORT "    vlan: {trunk: [0]}", "weir.yaml:4: ports.vm1.vlan.trunk: expected "
						"integers from 1 to 4094, found "
						"0"},
		{PORT "    vlan: {trunk: all, native: 0}",
			"weir.yaml:4: ports.vm1.vlan.native: expected an integer from 1 to 4094, "
			"found 0"},
		{PORT "    vlan: 10",
			"weir.yaml:4: ports.vm1.vlan: expected a map of keys, found 10"}, );
}

#define MAC_ERROR \
	"weir.yaml:5: ports.vm1.addresses.mac: expected a MAC address of one device such as " \
	"52:54:00:00:00:01, found "
#define IP_ERROR \
	"weir.yaml:5: ports.vm1.addresses.ip: expected an IP address or a network such as " \
	"10.0.0.1, 10.0.0.0/24 or fd00::1, found "
#define ADDRESSES PORT "    addresses:\n      "

Test(schema, refuses_wrong_addresses)
{
	REFUSES(EINVAL, {ADDRESSES "mac: 52:54:00:00:00", MAC_ERROR "52:54:00:00:00"},
		{ADDRESSES "mac: 52:54:00:00:00:1", MAC_ERROR "52:54:00:00:00:1"},
		{ADDRESSES "mac: 52:54:00:00:00:011", MAC_ERROR "52:54:00:00:00:011"},
		{ADDRESSES "mac: 52-54-00-00-00-01", MAC_ERROR "52-54-00-00-00-01"},
		{ADDRESSES "mac: 53:54:00:00:00:01", MAC_ERROR "53:54:00:00:00:01"},
		{ADDRESSES "mac: 00:00:00:00:00:00", MAC_ERROR "00:00:00:00:00:00"},
		{ADDRESSES "mac: [a]", MAC_ERROR "a list of 1"},
		{ADDRESSES "ip: [10.0.0]", IP_ERROR "10.0.0"},
		{ADDRESSES "ip: [10.0.0.1, 10.0.0.1/24]", IP_ERROR "10.0.0.1/24"},
		{ADDRESSES "ip: [10.0.0.0/33]", IP_ERROR "10.0.0.0/33"},
		{ADDRESSES "ip: [10.0.0.0/]", IP_ERROR "10.0.0.0/"},
		{ADDRESSES "ip: [10.0.0.0/08]", IP_ERROR "10.0.0.0/08"},
		{ADDRESSES "ip: ['fd00::1/64']", IP_ERROR "\"fd00::1/64\""},
		{ADDRESSES "ip: ['fe80::1%eth0']", IP_ERROR "\"fe80::1%eth0\""},
		{ADDRESSES "ip: [{a: 1}]", IP_ERROR "a map"},
		{ADDRESSES "ip: [10.0.0.1, 10.0.0.1/32]",
			"weir.yaml:5: ports.vm1.addresses.ip: expected each address once, found "
			"10.0.0.1/32"},
		{ADDRESSES "ip: 10.0.0.1",
			"weir.yaml:5: ports.vm1.addresses.ip: expected a list of 1 to 32 IP "
			"addresses or networks, found 10.0.0.1"},
		{PORT "    limits: {unknown: 10}",
			"weir.yaml:4: ports.vm1.limits.unknown: expected a packet rate such as "
			"100kpps, found 10"},
		{PORT "    limits: {multicast: 0pps}",
			"weir.yaml:4: ports.vm1.limits.multicast: expected a packet rate from 1pps "
			"to 100Mpps, found 0pps"}, );
	config_free(check(ADDRESSES "ip: [0.0.0.0/0, '::/0', 'fe80::/10']"));
}

Test(schema, refuses_two_ports_with_one_socket)
{
	REFUSES(EINVAL,
		{PORT "  vm2:\n    vhost-user: {socket: vm1.sock}",
			"weir.yaml:5: ports.vm2.vhost-user.socket: expected a socket of its own, "
			"found that of port vm1"},
		{"ports: {a: {vhost-user: {socket: x//y}}, b: {vhost-user: {socket: ./x/./y}}}",
			"weir.yaml:1: ports.b.vhost-user.socket: expected a socket of its own, "
			"found that of port a"}, );
	config_free(check("ports: {a: {vhost-user: {socket: x/y}}, b: {vhost-user: {socket: xy}},"
			  " c: {vhost-user: {socket: /x/y}}, d: {vhost-user: {socket: x/y/z}},"
			  " e: {vhost-user: {socket: x/y.}}, f: {vhost-user: {socket: x}}}"));
}

Test(schema, refuses_too_many_names)
{
	char text[BRIDGES_MAX * 16] = "bridges:\n";
	size_t len = strlen(text);
	for (int i = 0; i < BRIDGES_MAX; i++)
		len += sprintf(text + len, "  b%d:\n", i);
	// With `default` there is one more than may be.
	refuses(text, EINVAL, "weir.yaml:1: bridges: expected at most 256 names, found 257");
}

Test(schema, errors_of_edits_name_no_line)
{
	struct error err = {0};
	struct doc *doc = parse(PORT);
	cr_expect(!doc_set(doc, "ports.vm1.mtu", "20", &err));
	cr_expect_eq(doc_check(doc, NULL, &err), -EINVAL);
	cr_expect_str_eq(err.text, "ports.vm1.mtu: expected an integer from 68 to 9216, found 20");
	cr_expect(!doc_set(doc, "ports.vm1.mtu", "2000", &err));
	cr_expect(!doc_check(doc, NULL, &err), "%s", err.text);
	doc_free(doc);
}

Test(schema, errors_of_wild_input_stay_readable)
{
	char text[400] = "switch: {poll: \"";
	for (size_t i = 0; i < 60; i++)
		strcat(text, "\u00e9");
	strcat(text, "\"}");
	struct error err = {0};
	struct doc *doc = parse(text);
	cr_expect_eq(doc_check(doc, NULL, &err), -EINVAL);
	// Cut between two characters, never inside one.
	char expected[256] = "weir.yaml:1: switch.poll: expected adaptive or busy, found \"";
	for (size_t i = 0; i < 30; i++)
		strcat(expected, "\u00e9");
	strcat(expected, "...\"");
	cr_expect_str_eq(err.text, expected);
	doc_free(doc);
}

// --- differences -------------------------------------------------------------------------------

Test(schema, documents_that_mean_the_same_do_not_differ)
{
	differ("", "{switch: , bridges: {default: {}}, ports: {}}", 0, "");
	differ("", "{switch: {workers: [1], poll: adaptive, memory: 0.25GiB}}", 0, "");
	differ("", "bridges: {default: {ageing: 5min}}", 0, "");
	differ("bridges: {b: }", "bridges: {b: {ageing: 300s}}", 0, "");
	differ(PORT, PORT "    mtu: 1500\n    bridge: 'default'\n    vlan: {}\n    limits:\n", 0,
		"");
	differ(PORT "    vlan: {trunk: [1], native: 2}", PORT "    vlan: {native: 2, trunk: [1]}",
		0, "");
	differ("{ports: {a: {vhost-user: {socket: 1, mode: 0o640}}}}",
		"{ports: {a: {vhost-user: {socket: '1', mode: 0640}}}}", 0, "");
	differ("{a: 1, b: 2}", "{b: 2, a: 1}", 0, "");
}

Test(schema, differences_have_path_values_and_effect)
{
	differ("switch: {workers: [1], poll: busy}",
		"switch: {workers: [1, 2], memory: 512MiB, hugepages: off}", 4,
		"switch.workers: - > [1, 2], restart\n"
		"switch.poll: busy > -, live\n"
		"switch.memory: - > 512MiB, restart\n"
		"switch.hugepages: - > \"off\", restart\n");
	differ("bridges: {b1: {ageing: 10s}}", "bridges: {b2: , default: {ageing: 1min}}", 3,
		"bridges.b1: {ageing: 10s} > -, live\n"
		"bridges.b2: - > null, live\n"
		"bridges.default.ageing: - > 1min, live\n");
	differ("ports: {a: {vhost-user: {socket: a}}, b: {vhost-user: {socket: b}}}",
		"ports: {b: {vhost-user: {socket: b2, queues: 2}, mtu: 9000, bridge: x,"
		" vlan: {access: 10}, limits: {macs: 5}}, c: {vhost-user: {socket: c}}}",
		8,
		"ports.a: {vhost-user: {socket: a}} > -, live\n"
		"ports.b.vhost-user.socket: b > b2, reopens the port\n"
		"ports.b.vhost-user.queues: - > 2, reopens the port\n"
		"ports.b.bridge: - > x, reopens the port\n"
		"ports.b.mtu: - > 9000, live\n"
		"ports.b.vlan.access: - > 10, live\n"
		"ports.b.limits.macs: - > 5, live\n"
		"ports.c: - > {vhost-user: {socket: c}}, live\n");
	differ(PORT "    vlan: {access: 1}", PORT "    vlan: {trunk: all, native: 1}", 3,
		"ports.vm1.vlan.access: 1 > -, live\n"
		"ports.vm1.vlan.trunk: - > all, live\n"
		"ports.vm1.vlan.native: - > 1, live\n");
}

Test(schema, addresses_differ_by_what_they_mean)
{
	differ(PORT "    addresses: {mac: 52:54:00:00:00:AA, ip: [10.0.0.1]}",
		PORT "    addresses: {mac: '52:54:00:00:00:aa', ip: ['10.0.0.1']}", 0, "");
	differ(PORT, PORT "    addresses: {mac: 52:54:00:00:00:01, ip: [10.0.0.1, 'fd00::/64']}", 2,
		"ports.vm1.addresses.mac: - > \"52:54:00:00:00:01\", live\n"
		"ports.vm1.addresses.ip: - > [10.0.0.1, \"fd00::/64\"], live\n");
	differ(PORT "    limits: {broadcast: 1kpps}", PORT "    limits: {broadcast: 1000pps}", 0,
		"");
}

Test(schema, documents_that_nobody_has_checked_can_be_compared)
{
	differ("{ports: 1, x: [1], rates: {a: 1}}", "{ports: {a: }, x: [2], y: , bridges: []}", 5,
		"bridges: - > [], live\n"
		"ports: 1 > {a: null}, live\n"
		"rates: {a: 1} > -, live\n"
		"x: [1] > [2], live\n"
		"y: - > null, live\n");
	differ("ports: {a: {vlan: 1, z: 1}, b: 5}", "ports: {a: {vlan: {access: 1}, z: 2}, b: 5}",
		2,
		"ports.a.vlan: 1 > {access: 1}, live\n"
		"ports.a.z: 1 > 2, live\n");
}

Test(schema, printing_with_defaults_changes_nothing)
{
	struct doc *doc = parse(PORT "bridges: {b: }");
	char *text = doc_print(doc, true);
	cr_expect_str_eq(text,
		"switch:\n"
		"  workers: [1]\n"
		"  poll: adaptive\n"
		"  memory: 256MiB\n"
		"  hugepages: auto\n"
		"  connections: 262144\n"
		"  built-in-rules: [arp, nd, ra, dhcp, dhcpv6]\n"
		"  tcp-pickup: \"no\"\n"
		"  timeouts:\n"
		"    tcp-syn-sent: 120s\n"
		"    tcp-syn-received: 60s\n"
		"    tcp-established: 86400s\n"
		"    tcp-fin-wait: 120s\n"
		"    tcp-close-wait: 3600s\n"
		"    tcp-last-ack: 30s\n"
		"    tcp-time-wait: 120s\n"
		"    tcp-closed: 10s\n"
		"    udp-unanswered: 30s\n"
		"    udp-answered: 120s\n"
		"    icmp-unanswered: 30s\n"
		"    icmp-answered: 30s\n"
		"    sctp-handshake: 10s\n"
		"    sctp-established: 210s\n"
		"    sctp-shutdown: 10s\n"
		"    sctp-closed: 10s\n"
		"    other-unanswered: 60s\n"
		"    other-answered: 600s\n"
		"bridges:\n"
		"  b:\n"
		"    ageing: 300s\n"
		"  default:\n"
		"    ageing: 300s\n"
		"ports:\n"
		"  vm1:\n"
		"    vhost-user: {socket: vm1.sock, listens: vmm, mode: 0660, queues: "
		"1}\n"
		"    bridge: default\n"
		"    mtu: 1500\n"
		"    limits: {macs: 1024, connections: 0}\n");
	struct doc *again = parse(text);
	cr_expect_eq(doc_diff(doc, again, NULL, NULL), 0);
	cr_expect(!doc_check(again, NULL, NULL));
	free(text);
	doc_free(again);
	doc_free(doc);
}

// --- the table ---------------------------------------------------------------------------------

static void key_is_whole(const struct key *key, const struct key *parent)
{
	char expected[EXPECTED_SIZE] = "";
	const struct node *culprit;
	struct value value;
	size_t about = strlen(key->about);
	cr_expect(about && key->about[about - 1] == '.', "%s", key->name);
	cr_expect_eq(key_find(parent->keys, key->name), key, "%s stands twice", key->name);
	cr_expect_leq(key->min, key->max, "%s", key->name);
	if (key->fallback) {
		struct node *node = key_default(key);
		cr_expect(type_is_list(key->type) ? list_parse(key, node, &culprit, expected)
						  : value_parse(key, node, &value, expected),
			"%s: expected %s", key->name, expected);
		cr_expect(!key->required, "%s", key->name);
		node_free(node);
	}
	if (key->type >= TYPE_MAP)
		cr_expect(key->keys, "%s", key->name);
	if (type_is_list(key->type) && key->type != TYPE_WORDS)
		cr_expect(key->land, "%s", key->name);
	if (key->type == TYPE_PREFIXES)
		cr_expect(key->land && key->count == ADDRESSES_MAX, "%s", key->name);
	if (key->type == TYPE_INTS)
		cr_expect(key->land && key->max < 4096 && key->count, "%s", key->name);
	for (const struct key *inner = key->keys; inner && inner->name; inner++)
		key_is_whole(inner, key);
}

Test(schema, the_table_is_whole)
{
	for (const struct key *key = schema_root.keys; key->name; key++)
		key_is_whole(key, &schema_root);
}

static void on_key(void *ctx, const char *key, const char *type, const char *default_value,
	const char *about, enum schema_effect effect, bool supported)
{
	cr_expect(about && *about);
	add_line(ctx, "%s (%s) %s, %s%s\n", key, type, default_value ? default_value : "-",
		schema_effect_name(effect), supported ? "" : ", later");
}

static void lists(const char *path, const char *expected)
{
	struct lines lines = {0};
	cr_expect_eq(schema_keys(path, on_key, &lines), 0);
	cr_expect_str_eq(lines.text, expected);
}

Test(schema, keys_are_listed_for_completion)
{
	lists("switch", "workers (a list of 1 to 64 integers from 0 to 1023) [1], restart\n"
			"poll (adaptive | busy) adaptive, live\n"
			"memory (size from 32MiB to 1TiB) 256MiB, restart\n"
			"hugepages (auto | off | required) auto, restart\n"
			"connections (an integer from 1024 to 16777216) 262144, restart\n"
			"built-in-rules (a list of some of arp, nd, ra, dhcp and dhcpv6) "
			"[arp, nd, ra, dhcp, dhcpv6], live\n"
			"tcp-pickup (no | yes) no, live\n"
			"timeouts (map) -, live\n");
	lists("groups.web", "to-vm (a list of at most 65536 maps) -, live\n"
			    "from-vm (a list of at most 65536 maps) -, live\n");
	lists("groups.*.to-vm", "* (map) -, live\n");
	lists("ports", "* (map) -, live\n");
	lists("ports.vm1.vlan",
		"access (an integer from 1 to 4094) -, live\n"
		"trunk (all or a list of 1 to 4094 integers from 1 to 4094) -, live\n"
		"native (an integer from 1 to 4094) -, live\n");
	lists("bridges.*", "ageing (duration from 0s to 1000000s) 300s, live\n");
	lists("ports.*.mtu", "");
	struct lines lines = {0};
	cr_expect_eq(schema_keys("", on_key, &lines), 0);
	static const char *const wrong[] = {"x", "ports..", "ports.a b", "ports.a.x",
		"switch.poll.x", ".",
		"switch.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_expect_eq(schema_keys(wrong[i], on_key, &lines), -ENOENT, "%s", wrong[i]);
}

Test(schema, quantities)
{
	static const struct {
		enum key_type type;
		const char *text;
		bool valid;
		uint64_t value;
		const char *printed;
	} cases[] = {
		{TYPE_DURATION, "300s", true, 300000000000, "5min"},
		{TYPE_DURATION, "100ms", true, 100000000, "100ms"},
		{TYPE_DURATION, "0d", true, 0, "0s"},
		{TYPE_DURATION, "1.5ns", false, 0, NULL},
		{TYPE_DURATION, "1.50us", true, 1500, "1500ns"},
		{TYPE_DURATION, "1M", false, 0, NULL},
		{TYPE_SIZE, "64KiB", true, 65536, "64KiB"},
		{TYPE_SIZE, "0.5KiB", true, 512, "512B"},
		{TYPE_SIZE, "16777215.999999TiB", false, 0, NULL},
		{TYPE_SIZE, "16777216TiB", false, 0, NULL},
		{TYPE_SIZE, "18446744073709551615B", true, UINT64_MAX, "18446744073709551615B"},
		{TYPE_SIZE, "18446744073709551616B", false, 0, NULL},
		{TYPE_SIZE, "64KB", false, 0, NULL},
		{TYPE_SIZE, "64", false, 0, NULL},
		{TYPE_BITS, "1.5Gbit", true, 1500000000, "1500Mbit"},
		{TYPE_BITS, "200Mbit", true, 200000000, "200Mbit"},
		{TYPE_BITS, "1gbit", false, 0, NULL},
		{TYPE_BITS, ".5Gbit", false, 0, NULL},
		{TYPE_BITS, "5.Gbit", false, 0, NULL},
		{TYPE_BITS, "1.2.3Gbit", false, 0, NULL},
		{TYPE_PACKETS, "100kpps", true, 100000, "100kpps"},
		{TYPE_PACKETS, "14.88Mpps", true, 14880000, "14880kpps"},
		{TYPE_CONNS, "1.5kcps", true, 1500, "1500cps"},
		{TYPE_CONNS, "2Mcps", true, 2000000, "2Mcps"},
		{TYPE_CONNS, "5", false, 0, NULL},
		{TYPE_PACKETS, "", false, 0, NULL},
		{TYPE_PACKETS, "+1pps", false, 0, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char printed[64];
		uint64_t value = 0;
		bool valid = quantity_parse(cases[i].type, cases[i].text, &value);
		cr_expect_eq(valid, cases[i].valid, "%s", cases[i].text);
		if (!valid || !cases[i].valid)
			continue;
		cr_expect_eq(value, cases[i].value, "%s is %lu", cases[i].text, value);
		quantity_print(cases[i].type, value, printed, sizeof(printed));
		cr_expect_str_eq(printed, cases[i].printed);
	}
}

// --- files that are made from the schema, or must fit it
// ------------------------------------------

// A file of the source tree, found from where this file was compiled.
static char *read_source(const char *name)
{
	char path[4096];
	const char *file = __FILE__;
	int root = strlen(file) - strlen("tests/unit/test_schema.c");
	snprintf(path, sizeof(path), "%.*s%s", root, file, name);
	FILE *in = fopen(path, "r");
	cr_assert(in, "%s: %s", path, strerror(errno));
	char *text = calloc(1, 1 << 20);
	cr_assert(text);
	cr_assert(fread(text, 1, (1 << 20) - 1, in) > 0);
	fclose(in);
	return text;
}

Test(schema, the_reference_page_is_up_to_date)
{
	char *page = read_source("docs/weir.yaml.md");
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	schema_write_reference(out);
	fclose(out);
	cr_expect_str_eq(page, text);
	free(page);
	free(text);
}

// Does what the example says about its last part: takes the first character of each line away.
static void uncomment(char *text)
{
	char *part = strstr(text, "\n#ports:\n");
	cr_assert(part);
	for (char *hash = part; hash; hash = strstr(hash, "\n#"))
		memmove(hash + 1, hash + 2, strlen(hash + 2) + 1);
}

Test(schema, the_example_is_valid)
{
	char *text = read_source("examples/weir.yaml");
	struct config *config = check(text);
	cr_expect_eq(config->nports, 0);
	config_free(config);
	uncomment(text);
	config = check(text);
	cr_expect_eq(config->nports, 3);
	config_free(config);
	free(text);
}

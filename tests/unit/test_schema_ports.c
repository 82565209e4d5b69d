// SPDX-License-Identifier: BSD-3-Clause
// What an entry of a port must not say: sockets, devices, VLANs, addresses.
#include <errno.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_schema.h"

#define SOCKET_ERROR \
	"weir.yaml:1: ports.a.vhost-user.socket: expected the path of a socket, absolute or " \
	"below " \
	"RUN_DIR/vm, at most 107 bytes, found "
#define LONG_PATH \
	"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"a" \
	"aaaaaaaaaaaaaaaaaaa"

Test(schema_ports, refuses_wrong_sockets)
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

Test(schema_ports, refuses_wrong_ports)
{
	REFUSES(EINVAL,
		{"ports:\n  a: {}", "weir.yaml:2: ports.a: expected what the port is, vhost-user "
				    "or dpdk, found nothing"},
		{PORT "    dpdk: {device: net_tap0}",
			"weir.yaml:4: ports.vm1.dpdk: expected either vhost-user or dpdk, found "
			"both"}, );
}

#define NIC "ports:\n  up:\n    dpdk: {device: 'net_tap0,iface=a'}\n"

Test(schema_ports, refuses_wrong_devices)
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

Test(schema_ports, devices_land)
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

Test(schema_ports, refuses_wrong_socket_modes)
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

Test(schema_ports, refuses_wrong_vlans)
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

Test(schema_ports, refuses_wrong_addresses)
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

Test(schema_ports, refuses_two_ports_with_one_socket)
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

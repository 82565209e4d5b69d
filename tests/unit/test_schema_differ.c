// SPDX-License-Identifier: BSD-3-Clause
// What differs between two documents, and a document printed with its defaults.
#include <stdlib.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_schema.h"

Test(schema_differ, documents_that_mean_the_same_do_not_differ)
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

Test(schema_differ, differences_have_path_values_and_effect)
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

Test(schema_differ, addresses_differ_by_what_they_mean)
{
	differ(PORT "    addresses: {mac: 52:54:00:00:00:AA, ip: [10.0.0.1]}",
		PORT "    addresses: {mac: '52:54:00:00:00:aa', ip: ['10.0.0.1']}", 0, "");
	differ(PORT, PORT "    addresses: {mac: 52:54:00:00:00:01, ip: [10.0.0.1, 'fd00::/64']}", 2,
		"ports.vm1.addresses.mac: - > \"52:54:00:00:00:01\", live\n"
		"ports.vm1.addresses.ip: - > [10.0.0.1, \"fd00::/64\"], live\n");
	differ(PORT "    limits: {broadcast: 1kpps}", PORT "    limits: {broadcast: 1000pps}", 0,
		"");
}

Test(schema_differ, documents_that_nobody_has_checked_can_be_compared)
{
	differ("{ports: 1, x: [1], nat: {a: 1}}", "{ports: {a: }, x: [2], y: , bridges: []}", 5,
		"bridges: - > [], live\n"
		"ports: 1 > {a: null}, live\n"
		"nat: {a: 1} > -, live\n"
		"x: [1] > [2], live\n"
		"y: - > null, live\n");
	differ("ports: {a: {vlan: 1, z: 1}, b: 5}", "ports: {a: {vlan: {access: 1}, z: 2}, b: 5}",
		2,
		"ports.a.vlan: 1 > {access: 1}, live\n"
		"ports.a.z: 1 > 2, live\n");
}

Test(schema_differ, printing_with_defaults_changes_nothing)
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
		"    limits: {macs: 1024, connections: 0}\n"
		"    nf: false\n");
	same_again(doc, text);
	free(text);
	doc_free(doc);
}

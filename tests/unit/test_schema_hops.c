// SPDX-License-Identifier: BSD-3-Clause
// The schema of a hop: how it is probed, whether its NFs route, and by what their packets tell the
// chain.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_chains.h"

Test(schema_hops, probes_have_defaults_where_they_are_wanted)
{
	struct config *config = check(TOWN ONE NF_A
		"      - {nf: g, instances: [{port: b}], probe: {}}\n"
		"      - {nf: h, instances: [{port: d}], probe: {interval: 1s, failures: "
		"5}}\n");
	const struct config_hop *hop = config->chains->hops;
	cr_expect(!hop[0].probe.interval_ns && !hop[0].probe.failures);
	cr_expect(hop[1].probe.interval_ns == 200000000 && hop[1].probe.failures == 3);
	cr_expect(hop[2].probe.interval_ns == 1000000000 && hop[2].probe.failures == 5);
	config_free(config);
}

Test(schema_hops, refuses_wrong_probes)
{
	REFUSES(EINVAL,
		{HOP("instances: [{port: a}], probe: {interval: 50ms}"),
			"weir.yaml:17: chains.x.hops.1.probe.interval: expected a duration from "
			"100ms "
			"to 10s, found 50ms"},
		{HOP("instances: [{port: a}], probe: {failures: 17}"),
			"weir.yaml:17: chains.x.hops.1.probe.failures: expected an integer from 1 "
			"to 16, found 17"},
		{HOP("instances: [{port: a}], probe: 1s"),
			"weir.yaml:17: chains.x.hops.1.probe: expected a map of keys, found 1s"},
		{TOWN ONE "      - {nf: weir-firewall, groups: web, probe: {}}",
			"weir.yaml:17: chains.x.hops.1.probe: expected instances beside it, found "
			"weir-firewall"}, );
}

#define ROUTED(probe) HOP("instances: [{port: a}], mode: routed, probe: {" probe "}")
#define AT_PROBE      "weir.yaml:17: chains.x.hops.1.probe"

Test(schema_hops, a_router_is_probed_between_two_addresses)
{
	struct config *config = check(
		"ports:\n"
		"  a: {vhost-user: {socket: a}, addresses: {mac: '52:54:00:00:00:01'}}\n"
		"  b: {vhost-user: {socket: b}, addresses: {mac: '52:54:00:00:00:02'}}\n"
		"chains:\n" ONE "      - {nf: f, instances: [{port: a}], mode: routed,"
		" probe: {from: 10.0.0.1, to: 10.9.0.2}}\n"
		"      - {nf: g, instances: [{port: b}], mode: routed,"
		" probe: {from: 'fd00::1', to: 'fd09::2', failures: 2}}\n");
	const struct config_hop *hop = config->chains->hops;
	cr_expect(hop[0].probe.from.family == AF_INET && hop[0].probe.to.family == AF_INET);
	cr_expect_arr_eq(hop[0].probe.from.address, "\x0a\0\0\1", 4);
	cr_expect_arr_eq(hop[0].probe.to.address, "\x0a\x09\0\2", 4);
	cr_expect(hop[1].probe.from.family == AF_INET6 && hop[1].probe.to.address[15] == 2);
	cr_expect(hop[1].probe.interval_ns == 200000000 && hop[1].probe.failures == 2);
	config_free(config);
}

Test(schema_hops, refuses_probes_that_a_router_would_not_forward)
{
	REFUSES(EINVAL,
		{ROUTED(""), AT_PROBE ": expected from and to, addresses between which the NF "
				      "routes, found neither"},
		{ROUTED("from: 10.0.0.1"),
			AT_PROBE ": expected from and to, addresses between which the NF routes, "
				 "found from alone"},
		{ROUTED("to: 10.0.0.1"),
			AT_PROBE ": expected from and to, addresses between which the NF routes, "
				 "found to alone"},
		{ROUTED("from: 10.0.0.1, to: 'fd00::1'"),
			AT_PROBE ": expected from and to of one version of IP, found both"},
		{ROUTED("from: 10.0.0.1, to: 10.0.0.1"),
			AT_PROBE ": expected from and to of two hosts, found one"},
		{HOP("instances: [{port: a}], probe: {from: 10.0.0.1, to: 10.0.0.2}"), AT_PROBE
			": expected mode: routed beside from and to, found transparent"}, );
	static const char *const others[] = {"10.0.0.0/24", "127.0.0.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "fe80::1",
		"ff02::1", "fd00::/64", "vm1"};
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		char text[1024], expected[256];
		snprintf(text, sizeof(text), ROUTED("from: 10.0.0.1, to: '%s'"), others[i]);
		snprintf(expected, sizeof(expected),
			AT_PROBE ".to: expected an IP address that is routed, such as 10.0.0.1 or "
				 "fd00::1, found \"%s\"",
			others[i]);
		refuses(text, EINVAL, expected);
	}
}

#define ROUTERS \
	"ports:\n" \
	"  a: {vhost-user: {socket: a}, addresses: {mac: '52:54:00:00:00:0a'}}\n" \
	"  b: {vhost-user: {socket: b}, addresses: {mac: '52:54:00:00:00:0b'}}\n" VM( \
		"c") "chains:\n" ONE "      - {nf: f, mode: routed, "

Test(schema_hops, a_routed_hop_needs_the_addresses_of_its_ports)
{
	struct config *config = check(ROUTERS "instances: [{left: a, right: b}]}");
	cr_expect_eq(config->chains[0].hops[0].mode, HOP_ROUTED);
	config_free(config);
	REFUSES(EINVAL,
		{ROUTERS "instances: [{left: a, right: c}]}",
			"weir.yaml:9: chains.x.hops.1.instances.1.right: expected a port with "
			"addresses.mac, where a routed NF gets its packets, found c without"},
		{ROUTERS "instances: [{port: a}, {port: c}]}",
			"weir.yaml:9: chains.x.hops.1.instances.2.port: expected a port with "
			"addresses.mac, where a routed NF gets its packets, found c without"},
		{TOWN ONE "      - {nf: weir-firewall, groups: web, mode: routed}",
			"weir.yaml:17: chains.x.hops.1.mode: expected transparent beside groups, "
			"found routed"}, );
}

Test(schema_hops, a_hop_that_is_recognised_by_its_port_is_routed_and_has_it_alone)
{
	struct config *config = check(ROUTERS "recognise-by: port, instances: [{port: a}]}\n"
					      "  y: {match: {}, hops: [{nf: f, instances: [{port: "
					      "a}]}]}\n");
	cr_expect_eq(config->chains[0].hops[0].recognise, RECOGNISE_PORT);
	cr_expect_eq(config->chains[1].hops[0].recognise, RECOGNISE_CONNECTION);
	config_free(config);
	REFUSES(EINVAL,
		{HOP("recognise-by: port, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.recognise-by: expected mode: routed beside "
			"port, found transparent"},
		{HOP("recognise-by: colour, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.recognise-by: expected connection, port, "
			"vlan or nsh, found colour"},
		{ROUTERS "recognise-by: port, instances: [{left: a, right: b}]}\n"
			 "  y: {match: {}, hops: [{nf: g, mode: routed, recognise-by: port, "
			 "instances: [{port: b}]}]}\n",
			"weir.yaml:10: chains.y.hops.1.instances.1.port: expected a port that one "
			"chain is recognised by, found b, which chain x has"}, );
}

#define TAGGED(tag, port) \
	"{match: {}, hops: [{nf: f, recognise-by: vlan, tag: " tag ", instances: [{port: " port \
	"}]}]}\n"
#define IN_VLAN(name, vlan) \
	"ports:\n  a: {vhost-user: {socket: a}, vlan: {" vlan \
	"}}\n" VM("b") "chains:\n  x: " TAGGED(name, "a")

#define IN_VLANS(left, right, by) \
	"ports:\n  a: {vhost-user: {socket: a}, vlan: {" left \
	"}}\n  b: {vhost-user: {socket: b}, " \
	"vlan: {" right "}}\nchains:\n  x: {match: {}, hops: [{nf: f, " by \
	"instances: [{left: a, right: b}]}]}\n"

Test(schema_hops, what_tells_a_chain_leaves_it_in_one_vlan)
{
	config_free(check(IN_VLANS("access: 10", "access: 10", "recognise-by: vlan, tag: 100, ")));
	config_free(check(IN_VLANS("access: 10", "access: 20", "")));
	REFUSES(EINVAL,
		{IN_VLANS("access: 10", "access: 20", "recognise-by: vlan, tag: 100, "),
			"weir.yaml:5: chains.x.hops.1.instances.1.right: expected a port "
			"of the VLAN that a is of, beside recognise-by: vlan, found b"}, );
}

Test(schema_hops, tags_tell_the_chains_of_a_port)
{
	struct config *config = check(TOWN "  x: " TAGGED("100", "a") "  y: " TAGGED("200", "a"));
	cr_expect_eq(config->chains[1].hops[0].recognise, RECOGNISE_VLAN);
	cr_expect_eq(config->chains[1].hops[0].tag, 200);
	config_free(config);
	config_free(check(TOWN "  x: " TAGGED("100", "a") "  y: " TAGGED("100", "b")));
	config_free(check(IN_VLAN("100", "access: 10")));
	REFUSES(EINVAL,
		{HOP("recognise-by: vlan, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.tag: expected the tag that frames carry, "
			"found none"},
		{HOP("tag: 100, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.tag: expected recognise-by: vlan beside it, "
			"found another"},
		{TOWN "  x: {match: {}, hops: [{nf: weir-firewall, groups: g, recognise-by: vlan, "
		      "tag: 9}]}\n",
			"weir.yaml:14: chains.x.hops.1.recognise-by: expected instances beside it, "
			"found weir-firewall"},
		{HOP("recognise-by: vlan, tag: 4095, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.tag: expected an integer from 1 to 4094, "
			"found 4095"},
		{TOWN "  x: " TAGGED("100", "a") "  y: " TAGGED("100", "a"),
			"weir.yaml:15: chains.y.hops.1.instances.1.port: expected another tag for "
			"each chain, found 100, which chain x has at a"},
		{TOWN "  x: " TAGGED("100", "a") "  y: {match: {}, hops: [{nf: f, instances: "
						 "[{port: a}]}]}\n",
			"weir.yaml:15: chains.y.hops.1.instances.1.port: expected recognise-by: "
			"vlan, as a has it in other chains, found another"},
		{TOWN ONE NF_A "  y: " TAGGED("100", "a"),
			"weir.yaml:18: chains.y.hops.1.instances.1.port: expected a port that has "
			"recognise-by: vlan in all its chains, found a"},
		{IN_VLAN("100", "trunk: [10, 20]"),
			"weir.yaml:5: chains.x.hops.1.instances.1.port: expected a port that is no "
			"trunk, beside recognise-by: vlan, found a"},
		{IN_VLAN("10", "access: 10"),
			"weir.yaml:5: chains.x.hops.1.instances.1.port: expected another tag than "
			"the VLAN of a, found 10"}, );
}

#define ON_PATH(path, port) \
	"{match: {}, hops: [{nf: f, recognise-by: nsh, path: " path ", instances: [{port: " port \
	"}]}]}\n"
#define WITH_MAC "ports:\n  a: {vhost-user: {socket: a}, addresses: {mac: '52:54:00:00:00:01'}"

Test(schema_hops, service_paths_tell_the_chains_of_a_port)
{
	struct config *config = check(
		WITH_MAC "}\nchains:\n  x: " ON_PATH("1", "a") "  y: " ON_PATH("16777215", "a"));
	cr_expect_eq(config->chains[1].hops[0].recognise, RECOGNISE_NSH);
	cr_expect_eq(config->chains[1].hops[0].path, 16777215);
	config_free(config);
	config_free(check(WITH_MAC ", vlan: {access: 10}}\nchains:\n  x: " ON_PATH("10", "a")));
	REFUSES(EINVAL,
		{HOP("recognise-by: nsh, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.path: expected the service path that frames "
			"are on, found none"},
		{HOP("recognise-by: vlan, tag: 1, path: 100, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.path: expected recognise-by: nsh beside it, "
			"found another"},
		{HOP("recognise-by: nsh, path: 0, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.path: expected an integer from 1 to "
			"16777215, found 0"},
		{HOP("recognise-by: nsh, path: 16777216, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.path: expected an integer from 1 to "
			"16777215, found 16777216"},
		{TOWN "  x: " ON_PATH("1", "a"),
			"weir.yaml:14: chains.x.hops.1.instances.1.port: expected a port with "
			"addresses.mac, where an NF gets its frames of NSH, found a without"},
		{WITH_MAC "}\nchains:\n  x: " ON_PATH("9", "a") "  y: " ON_PATH("9", "a"),
			"weir.yaml:5: chains.y.hops.1.instances.1.port: expected another path for "
			"each chain, found 9, which chain x has at a"},
		{WITH_MAC "}\nchains:\n  x: " ON_PATH("9", "a") "  y: " TAGGED("9", "a"),
			"weir.yaml:5: chains.y.hops.1.instances.1.port: expected recognise-by: "
			"nsh, "
			"as a has it in other chains, found another"},
		{WITH_MAC "}\nchains:\n  x: " TAGGED("9", "a") "  y: " ON_PATH("9", "a"),
			"weir.yaml:5: chains.y.hops.1.instances.1.port: expected recognise-by: "
			"vlan, as a has it in other chains, found another"},
		{WITH_MAC "}\nchains:\n  x: {match: {}, hops: [{nf: f, instances: [{port: a}]}]}\n"
			  "  y: " ON_PATH("9", "a"),
			"weir.yaml:5: chains.y.hops.1.instances.1.port: expected a port that has "
			"recognise-by: nsh in all its chains, found a"},
		{WITH_MAC ", vlan: {trunk: all}}\nchains:\n  x: " ON_PATH("9", "a"),
			"weir.yaml:4: chains.x.hops.1.instances.1.port: expected a port that is no "
			"trunk, beside recognise-by: nsh, found a"}, );
}

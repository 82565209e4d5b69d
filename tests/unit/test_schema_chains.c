// SPDX-License-Identifier: BSD-3-Clause
// The schema of chains: what they match, their hops, and where a network function is plugged in.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_schema.h"

#define VM(name) "  " name ": {vhost-user: {socket: " name "}}\n"
// 13 lines; what is added begins in the 14th.
#define TOWN \
	"groups:\n" \
	"  web: {to-vm: [{allow: any}]}\n" \
	"ports:\n" \
	"  client: {vhost-user: {socket: c}, groups: web}\n" \
	"  server: {vhost-user: {socket: s}}\n" \
	"  uplink: {dpdk: {device: net_null0}}\n" VM("a") VM("b") VM("c1") VM("c2") VM("d") \
		VM("e") "chains:\n"
#define ONE  "  x:\n    match: {}\n    hops:\n"
#define NF_A "      - {nf: f, instances: [{port: a}]}\n"

// --- what a document means ---------------------------------------------------------------------

Test(schema_chains, everything_lands)
{
	struct config *config = check(TOWN
		"  inspect:\n"
		"    match: {from: {port: client}, to: {cidr: 10.0.0.0/24}, proto: tcp,"
		" dport: [80, 1000-2000]}\n"
		"    hops:\n"
		"      - {nf: firewall, instances: [{left: a, right: b}], on-failure: closed}\n"
		"      - {nf: ids, instances: [{port: c1}, {port: c2}], on-failure: open,"
		" mode: transparent}\n");
	cr_assert_eq(config->nchains, 1);
	const struct config_chain *chain = config->chains;
	cr_expect_str_eq(chain->name, "inspect");
	cr_expect_eq(chain->from.kind, CHAIN_END_PORT);
	cr_expect_str_eq(chain->from.name, "client");
	cr_expect_eq(chain->to.kind, CHAIN_END_CIDR);
	cr_expect(chain->to.cidr.family == AF_INET && chain->to.cidr.length == 24);
	cr_expect_eq(chain->to.cidr.address[0], 10);
	cr_expect(chain->protocol == IPPROTO_TCP && chain->ndports == 2);
	cr_expect(chain->dports[1].first == 1000 && chain->dports[1].last == 2000);
	cr_assert_eq(chain->nhops, 2);
	const struct config_hop *hop = chain->hops;
	cr_expect_str_eq(hop[0].nf, "firewall");
	cr_expect(hop[0].on_failure == HOP_CLOSED && hop[1].on_failure == HOP_OPEN);
	cr_assert(hop[0].ninstances == 1 && hop[1].ninstances == 2);
	cr_expect_str_eq(hop[0].instances[0].left, "a");
	cr_expect_str_eq(hop[0].instances[0].right, "b");
	cr_expect_str_eq(hop[1].instances[1].left, "c2");
	cr_expect_str_eq(hop[1].instances[1].right, "c2");
	config_free(config);
}

Test(schema_chains, what_is_left_out_matches_all_and_fails_closed)
{
	struct config *config = check(TOWN ONE NF_A);
	const struct config_chain *chain = config->chains;
	cr_expect(chain->from.kind == CHAIN_END_ANY && chain->to.kind == CHAIN_END_ANY);
	cr_expect(chain->protocol == RULE_ANY_PROTOCOL && !chain->ndports);
	cr_expect_eq(chain->hops[0].on_failure, HOP_CLOSED);
	cr_expect(chain->hops[0].mode == HOP_TRANSPARENT && !chain->hops[0].ngroups);
	config_free(config);
}

Test(schema_chains, probes_have_defaults_where_they_are_wanted)
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

Test(schema_chains, ends_are_any_a_port_a_group_or_a_network)
{
	struct config *config = check(
		TOWN "  x: {match: {from: any, to: {group: web}}, hops: [{nf: f, instances:"
		     " [{port: a}]}]}\n"
		     "  w: {match: {from: {cidr: 'fd00::1'}, to: {port: uplink}, proto: 47}, hops:"
		     " [{nf: f, instances: [{port: b}]}]}\n");
	const struct config_chain *chain = config->chains;
	cr_expect_eq(chain[0].from.kind, CHAIN_END_ANY);
	cr_expect_eq(chain[0].to.kind, CHAIN_END_GROUP);
	cr_expect_str_eq(chain[0].to.name, "web");
	cr_expect_eq(chain[1].from.kind, CHAIN_END_CIDR);
	cr_expect(chain[1].from.cidr.family == AF_INET6 && chain[1].from.cidr.length == 128);
	cr_expect_str_eq(chain[1].to.name, "uplink");
	cr_expect_eq(chain[1].protocol, 47);
	config_free(config);
}

Test(schema_chains, stand_in_the_order_of_the_document)
{
	struct config *config = check(
		TOWN "  z: {match: {}, hops: [{nf: f, instances: [{port: a}]}]}\n"
		     "  a: {match: {}, hops: [{nf: f, instances: [{port: b}]}]}\n");
	cr_expect_str_eq(config->chains[0].name, "z");
	cr_expect_str_eq(config->chains[1].name, "a");
	config_free(config);
}

// An NF may serve several chains.
Test(schema_chains, a_port_may_stand_in_several)
{
	struct config *config = check(
		TOWN "  x: {match: {}, hops: [{nf: f, instances: [{port: a}]}]}\n"
		     "  w: {match: {}, hops: [{nf: f, instances: [{left: b, right: a}]}]}\n");
	cr_expect_eq(config->nchains, 2);
	config_free(config);
}

// --- what is refused ---------------------------------------------------------------------------

Test(schema_chains, refuses_chains_without_match_or_hops)
{
	REFUSES(EINVAL,
		{TOWN "  x: {hops: [{nf: f, instances: [{port: a}]}]}",
			"weir.yaml:14: chains.x.match: expected a map of keys, found nothing"},
		{TOWN "  x: {match: {}}",
			"weir.yaml:14: chains.x.hops: expected a list of maps, found nothing"},
		{TOWN "  x: {match: {}, hops: []}",
			"weir.yaml:14: chains.x.hops: expected 1 to 8 hops, found none"},
		{TOWN ONE NF_A NF_A NF_A NF_A NF_A NF_A NF_A NF_A NF_A,
			"weir.yaml:16: chains.x.hops: expected at most 8 items, found 9"},
		{TOWN "  x: {match: any, hops: []}",
			"weir.yaml:14: chains.x.match: expected a map of keys, found any"},
		{TOWN "  x: {match: {}, hops: {nf: f}}",
			"weir.yaml:14: chains.x.hops: expected a list of maps, found a map"}, );
}

#define MATCH(text) TOWN "  x:\n    match: {" text "}\n    hops:\n" NF_A
#define ENDS        "expected any, {port: NAME}, {group: NAME} or {cidr: NETWORK}, found "

Test(schema_chains, refuses_wrong_matches)
{
	REFUSES(EINVAL,
		{MATCH("from: client"), "weir.yaml:15: chains.x.match.from: " ENDS "client"},
		{MATCH("from: {port: client, group: web}"),
			"weir.yaml:15: chains.x.match.from: " ENDS "a map"},
		{MATCH("to: {mac: 1}"), "weir.yaml:15: chains.x.match.to: " ENDS "a map"},
		{MATCH("to: {port: a b}"), "weir.yaml:15: chains.x.match.to: " ENDS "a map"},
		{MATCH("to: {port: [a]}"), "weir.yaml:15: chains.x.match.to: " ENDS "a map"},
		{MATCH("to: [{port: a}]"), "weir.yaml:15: chains.x.match.to: " ENDS "a list of 1"},
		{MATCH("to: {cidr: 10.0.0.1/24}"),
			"weir.yaml:15: chains.x.match.to: " ENDS "a map"},
		{MATCH("from: {port: nobody}"),
			"weir.yaml:15: chains.x.match.from: expected a port that exists, found "
			"nobody"},
		{MATCH("to: {group: nobody}"),
			"weir.yaml:15: chains.x.match.to: expected a group that exists, found "
			"nobody"},
		{MATCH("to: {port: a}"),
			"weir.yaml:15: chains.x.match.to: expected a port that is no chain's NF, "
			"found a"},
		{MATCH("proto: icmp, dport: 80"),
			"weir.yaml:15: chains.x.match.dport: expected tcp, udp or sctp beside it, "
			"found another protocol"},
		{MATCH("dport: 80"),
			"weir.yaml:15: chains.x.match.dport: expected tcp, udp or sctp beside it, "
			"found another protocol"},
		{MATCH("proto: tcp, dport: 9-8"),
			"weir.yaml:15: chains.x.match.dport: expected an L4 port from 0 to 65535 "
			"or a range such as 1000-2000, found 9-8"}, );
	// Of a chain that stands behind, too.
	refuses(TOWN "  x: {match: {to: {port: b}}, hops: [{nf: f, instances: [{port: a}]}]}\n"
		     "  w: {match: {}, hops: [{nf: f, instances: [{port: b}]}]}\n",
		EINVAL,
		"weir.yaml:14: chains.x.match.to: expected a port that is no chain's NF, found b");
}

#define HOP(text)      TOWN ONE "      - {nf: f, " text "}\n"
#define INSTANCE(text) HOP("instances: [" text "]")

Test(schema_chains, refuses_wrong_instances)
{
	REFUSES(EINVAL,
		{TOWN ONE "      - {nf: f}",
			"weir.yaml:17: chains.x.hops.1.instances: expected 1 to 16 instances, "
			"found none"},
		{HOP("instances: []"),
			"weir.yaml:17: chains.x.hops.1.instances: expected 1 to 16 instances, "
			"found none"},
		{TOWN ONE "      - {instances: [{port: a}]}",
			"weir.yaml:17: chains.x.hops.1.nf: expected a name of at most 31 letters, "
			"digits, _ and -, found nothing"},
		{INSTANCE("a"), "weir.yaml:17: chains.x.hops.1.instances.1: expected a map of "
				"keys, found a"},
		{INSTANCE("{}"), "weir.yaml:17: chains.x.hops.1.instances.1: expected port, or "
				 "left and right, found nothing"},
		{INSTANCE("{left: a}"),
			"weir.yaml:17: chains.x.hops.1.instances.1: expected port, or left and "
			"right, found left alone"},
		{INSTANCE("{right: a}"),
			"weir.yaml:17: chains.x.hops.1.instances.1: expected port, or left and "
			"right, found right alone"},
		{INSTANCE("{port: a, right: b}"),
			"weir.yaml:17: chains.x.hops.1.instances.1.port: expected either port or "
			"left and right, found both"},
		{HOP("on-failure: ajar, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.on-failure: expected open or closed, found "
			"ajar"}, );
}

Test(schema_chains, refuses_wrong_probes)
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

Test(schema_chains, a_port_is_said_to_be_an_nfs)
{
	struct config *config = check("ports:\n"
				      "  a: {vhost-user: {socket: a}, nf: true}\n"
				      "  b: {vhost-user: {socket: b}}\n"
				      "chains:\n" ONE NF_A);
	cr_expect(config->ports[0].nf && !config->ports[1].nf);
	config_free(config);
	REFUSES(EINVAL,
		{"ports:\n  a: {vhost-user: {socket: a}, groups: web, nf: true}\n",
			"weir.yaml:2: ports.a.nf: expected a VM's port without groups, found "
			"groups"},
		{"ports:\n  a: {dpdk: {device: net_null0}, nf: true}\n",
			"weir.yaml:2: ports.a.nf: expected a VM's port without groups, found dpdk"},
		{"ports:\n"
		 "  a: {vhost-user: {socket: a}}\n"
		 "  b: {vhost-user: {socket: b}, nf: true}\n"
		 "chains:\n"
		 "  x: {match: {to: {port: b}}, hops: [{nf: f, instances: [{port: a}]}]}\n",
			"weir.yaml:5: chains.x.match.to: expected a port that is no chain's NF, "
			"found b"}, );
}

#define ROUTED(probe) HOP("instances: [{port: a}], mode: routed, probe: {" probe "}")
#define AT_PROBE      "weir.yaml:17: chains.x.hops.1.probe"

Test(schema_chains, a_router_is_probed_between_two_addresses)
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

Test(schema_chains, refuses_probes_that_a_router_would_not_forward)
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
		{HOP("instances: [{port: a}], probe: {from: 10.0.0.1, to: 10.0.0.2}"), AT_PROBE
			": expected mode: routed beside from and to, found transparent"}, );
	static const char *const others[] = {"10.0.0.0/24", "127.0.0.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "::", "::1", "fe80::1", "ff02::1", "fd00::/64", "vm1"};
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

Test(schema_chains, refuses_ports_that_cannot_be_an_nf)
{
	REFUSES(EINVAL,
		{INSTANCE("{left: a, right: nobody}"),
			"weir.yaml:17: chains.x.hops.1.instances.1.right: expected a port that "
			"exists, found nobody"},
		{INSTANCE("{port: a}, {port: client}"),
			"weir.yaml:17: chains.x.hops.1.instances.2.port: expected a port without "
			"groups, found client, which has some"},
		{INSTANCE("{left: a, right: a}"),
			"weir.yaml:17: chains.x.hops.1.instances.1.right: expected each port once "
			"in a chain, found a again"},
		{INSTANCE("{port: a}, {left: b, right: a}"),
			"weir.yaml:17: chains.x.hops.1.instances.2.right: expected each port once "
			"in a chain, found a again"},
		{TOWN ONE NF_A "      - {nf: m, instances: [{left: b, right: a}]}",
			"weir.yaml:18: chains.x.hops.2.instances.1.right: expected each port once "
			"in a chain, found a again"}, );
	refuses(INSTANCE("{port: uplink}"), ENOTSUP,
		"weir.yaml:17: chains.x.hops.1.instances.1.port: expected a VM's port, found a "
		"dpdk one, which is not supported yet");
}

#define BRIDGES \
	"bridges: {lab: }\n" \
	"ports:\n" \
	"  far: {vhost-user: {socket: f}, bridge: lab}\n" VM("a") VM("b") "chains:\n" ONE

Test(schema_chains, refuses_ports_of_different_bridges)
{
	REFUSES(EINVAL,
		{BRIDGES "      - {nf: f, instances: [{left: a, right: far}]}",
			"weir.yaml:10: chains.x.hops.1.instances.1.right: expected a port of "
			"bridge "
			"default, where the chain's first NF is, found one of lab"},
		{BRIDGES "      - {nf: f, instances: [{port: far}]}\n" NF_A,
			"weir.yaml:11: chains.x.hops.2.instances.1.port: expected a port of bridge "
			"lab, where the chain's first NF is, found one of default"},
		{BRIDGES NF_A
			"  y: {match: {to: {port: b}}, hops: [{nf: f, instances: [{port: far}]}]}",
			"weir.yaml:11: chains.y.match.to: expected a port of bridge lab, where the "
			"chain's first NF is, found one of default"}, );
	// Each chain has its own.
	config_free(check(BRIDGES NF_A "  y: {match: {from: {cidr: 10.0.0.1}}, hops: [{nf: f, "
				       "instances: [{port: far}]}]}"));
}

#define ROUTERS \
	"ports:\n" \
	"  a: {vhost-user: {socket: a}, addresses: {mac: '52:54:00:00:00:0a'}}\n" \
	"  b: {vhost-user: {socket: b}, addresses: {mac: '52:54:00:00:00:0b'}}\n" VM( \
		"c") "chains:\n" ONE "      - {nf: f, mode: routed, "

Test(schema_chains, a_routed_hop_needs_the_addresses_of_its_ports)
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

Test(schema_chains, a_hop_that_is_recognised_by_its_port_is_routed_and_has_it_alone)
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

Test(schema_chains, what_tells_a_chain_leaves_it_in_one_vlan)
{
	config_free(check(IN_VLANS("access: 10", "access: 10", "recognise-by: vlan, tag: 100, ")));
	config_free(check(IN_VLANS("access: 10", "access: 20", "")));
	REFUSES(EINVAL,
		{IN_VLANS("access: 10", "access: 20", "recognise-by: vlan, tag: 100, "),
			"weir.yaml:5: chains.x.hops.1.instances.1.right: expected a port "
			"of the VLAN that a is of, beside recognise-by: vlan, found b"}, );
}

Test(schema_chains, tags_tell_the_chains_of_a_port)
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

Test(schema_chains, service_paths_tell_the_chains_of_a_port)
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

Test(schema_chains, refuses_groups_where_they_are_none)
{
	REFUSES(EINVAL,
		{TOWN ONE "      - {nf: weir-firewall, groups: [nobody]}",
			"weir.yaml:17: chains.x.hops.1.groups: expected a group that exists, found "
			"nobody"},
		{TOWN ONE "      - {nf: weir-firewall, instances: [{port: a}]}",
			"weir.yaml:17: chains.x.hops.1.groups: expected the groups that "
			"weir-firewall asks, found none"},
		{HOP("groups: web"), "weir.yaml:17: chains.x.hops.1.groups: expected nf: "
				     "weir-firewall beside it, found f"},
		{HOP("groups: web, instances: [{port: a}]"),
			"weir.yaml:17: chains.x.hops.1.groups: expected either instances or "
			"groups, found both"}, );
}

Test(schema_chains, refuses_too_many)
{
	size_t room = 64 * (CHAINS_MAX + 1) + 1024;
	char *text = calloc(1, room);
	cr_assert(text);
	strcpy(text, TOWN);
	size_t used = strlen(text);
	for (unsigned i = 0; i <= CHAINS_MAX; i++)
		used += (size_t)snprintf(text + used, room - used,
			"  x%u: {match: {}, hops: [{nf: f, instances: [{port: a}]}]}\n", i);
	refuses(text, EINVAL, "weir.yaml:13: chains: expected at most 256 names, found 257");
	free(text);
}

// --- differences -------------------------------------------------------------------------------

#define CHAIN(name, port) \
	"  " name ": {match: {}, hops: [{nf: f, instances: [{port: " port "}]}]}\n"

Test(schema_chains, differ_by_what_they_mean)
{
	differ(TOWN ONE NF_A,
		TOWN "  x:\n    match: {from: any, proto: any}\n    hops:\n"
		     "      - {nf: f, instances: [{port: a}], on-failure: closed, mode: "
		     "transparent}\n",
		0, "");
	differ(MATCH("from: {cidr: 10.0.0.1}, proto: tcp, dport: 80"),
		MATCH("from: {cidr: 10.0.0.1/32}, proto: 6, dport: [80-80]"), 0, "");
	differ(MATCH("from: {port: client}"), MATCH("from: {group: web}, proto: udp"), 2,
		"chains.x.match.from: {port: client} > {group: web}, live\n"
		"chains.x.match.proto: - > udp, live\n");
	differ(TOWN ONE NF_A "      - {nf: m, instances: [{port: b}]}",
		TOWN ONE NF_A "      - {nf: m, instances: [{port: b}, {port: d}]}", 1,
		"chains.x.hops.2: {nf: m, instances: [{port: b}]} > "
		"{nf: m, instances: [{port: b}, {port: d}]}, live\n");
	differ(TOWN, TOWN CHAIN("x", "a"), 1,
		"chains.x: - > {match: {}, hops: [{nf: f, instances: [{port: a}]}]}, live\n");
}

Test(schema_chains, differ_by_their_order)
{
	differ(TOWN CHAIN("x", "a") CHAIN("w", "b") CHAIN("z", "d"),
		TOWN CHAIN("x", "a") CHAIN("z", "d") CHAIN("w", "b"), 1,
		"chains: [x, w, z] > [x, z, w], live\n");
	// One that comes at the end changes no order, nor does one that goes.
	differ_forward(TOWN CHAIN("x", "a") CHAIN("w", "b"), TOWN CHAIN("w", "b") CHAIN("z", "d"),
		2,
		"chains.x: {match: {}, hops: [{nf: f, instances: [{port: a}]}]} > -, live\n"
		"chains.z: - > {match: {}, hops: [{nf: f, instances: [{port: d}]}]}, live\n");
	differ_forward(TOWN CHAIN("x", "a"), TOWN CHAIN("w", "b") CHAIN("x", "a"), 2,
		"chains.w: - > {match: {}, hops: [{nf: f, instances: [{port: b}]}]}, live\n"
		"chains: [x, w] > [w, x], live\n");
	// Where the order means nothing it is none.
	differ("bridges: {a: , b: }", "bridges: {b: , a: }", 0, "");
}

Test(schema_chains, documents_are_equal_in_the_same_order_only)
{
	struct doc *xy = parse(TOWN CHAIN("x", "a") CHAIN("w", "b"));
	struct doc *same = parse(TOWN CHAIN("x", "a") CHAIN("w", "b"));
	struct doc *yx = parse(TOWN CHAIN("w", "b") CHAIN("x", "a"));
	cr_expect(doc_equal(xy, same));
	cr_expect(!doc_equal(xy, yx));
	doc_free(xy);
	doc_free(same);
	doc_free(yx);
}

Test(schema_chains, are_printed_and_read_back)
{
	struct doc *doc = parse(TOWN
		"  x: {hops: [{on-failure: open, instances: [{right: b, left: "
		"a}, {port: d}], nf: f}], match: {to: {cidr: 'fd00::/64'}}}\n" CHAIN("a", "b"));
	char *text = doc_print(doc, false);
	cr_expect_str_eq(strstr(text, "chains:"),
		"chains:\n"
		"  x:\n"
		"    match: {to: {cidr: \"fd00::/64\"}}\n"
		"    hops:\n"
		"    - nf: f\n"
		"      instances:\n"
		"      - {left: a, right: b}\n"
		"      - {port: d}\n"
		"      on-failure: open\n"
		"  a:\n"
		"    match: {}\n"
		"    hops:\n"
		"    - nf: f\n"
		"      instances:\n"
		"      - {port: b}\n",
		"%s", text);
	struct doc *again = parse(text);
	cr_expect(doc_equal(doc, again));
	free(text);
	text = doc_print(doc, true);
	struct doc *full = parse(text);
	cr_expect_eq(doc_diff(doc, full, NULL, NULL), 0);
	cr_expect(!doc_check(full, NULL, NULL));
	free(text);
	doc_free(doc);
	doc_free(again);
	doc_free(full);
}

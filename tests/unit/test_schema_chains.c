// SPDX-License-Identifier: BSD-3-Clause
// The schema of chains: what they match, their hops, and where a network function is plugged in.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_chains.h"

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
			"weir.yaml:15: chains.x.match.to: expected an IP address or a network "
			"without host bits such as 10.0.0.0/24, found 10.0.0.1/24"},
		{MATCH("from: {cidr: 10.0.0.0/8}, to: {cidr: fd00::/8}"),
			"weir.yaml:15: chains.x.match.to: expected from and to of one version of "
			"IP, found both"},
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

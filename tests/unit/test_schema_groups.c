// SPDX-License-Identifier: BSD-3-Clause
// The schema of connections and security groups.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "conntrack/state.h"
#include "ctl/schema/key.h"
#include "tests/unit/kit_schema.h"

// --- what a document means ---------------------------------------------------------------------

Test(schema_groups, the_empty_document_tracks_by_defaults)
{
	struct config *config = check("");
	const struct config_switch *sw = &config->sw;
	cr_expect_eq(sw->connections, 262144);
	cr_expect_eq(sw->built_in, (1u << BUILT_IN_COUNT) - 1);
	cr_expect_eq(sw->tcp_pickup, 0);
#define X(id, name, timeout_s, class) cr_expect_eq(sw->timeouts_s[CONN_##id], timeout_s, name);
	CONN_STATES(X)
#undef X
	cr_expect_eq(config->ngroups, 0);
	config_free(config);
}

Test(schema_groups, settings_of_the_switch_land)
{
	struct config *config = check("switch: {connections: 16777216, built-in-rules: [dhcp, arp],"
				      " tcp-pickup: yes,"
				      " timeouts: {tcp-established: 2h, other-answered: 1s}}");
	const struct config_switch *sw = &config->sw;
	cr_expect_eq(sw->connections, 16u << 20);
	cr_expect_eq(sw->built_in, 1u << BUILT_IN_ARP | 1u << BUILT_IN_DHCP);
	cr_expect_eq(sw->tcp_pickup, 1);
	cr_expect_eq(sw->timeouts_s[CONN_TCP_ESTABLISHED], 7200);
	cr_expect_eq(sw->timeouts_s[CONN_OTHER_ANSWERED], 1);
	cr_expect_eq(sw->timeouts_s[CONN_TCP_SYN_SENT], 120);
	config_free(config);
	config = check("switch: {built-in-rules: []}");
	cr_expect_eq(config->sw.built_in, 0);
	config_free(config);
}

Test(schema_groups, a_port_has_groups_and_limits)
{
	struct config *config = check(
		PORT "    groups: [web, db]\n"
		     "    limits: {connections: 10000, new-connections: 1.5kcps}\n"
		     "  vm2: {vhost-user: {socket: b}, groups: db}\n"
		     "  vm3: {vhost-user: {socket: c}}\n"
		     "groups: {db: , web: {to-vm: []}}\n");
	const struct config_port *ports = config->ports;
	cr_assert_eq(ports[0].ngroups, 2);
	cr_expect_str_eq(ports[0].groups[0], "web");
	cr_expect_str_eq(ports[0].groups[1], "db");
	cr_expect_eq(ports[0].limits.connections, 10000);
	cr_expect_eq(ports[0].limits.new_connections_cps, 1500);
	cr_assert_eq(ports[1].ngroups, 1);
	cr_expect_str_eq(ports[1].groups[0], "db");
	cr_expect_eq(ports[2].ngroups, 0);
	cr_expect_eq(ports[2].limits.connections, 0);
	cr_expect_eq(ports[2].limits.new_connections_cps, 0);
	cr_assert_eq(config->ngroups, 2);
	cr_expect_str_eq(config->groups[0].name, "db");
	cr_expect(!config->groups[0].nto_vm && !config->groups[1].nto_vm);
	config_free(config);
}

static void expect_ranges(const struct config_range *ranges, uint16_t count, uint16_t first,
	uint16_t last, uint16_t at)
{
	cr_assert_gt(count, at);
	cr_expect_eq(ranges[at].first, first);
	cr_expect_eq(ranges[at].last, last);
}

Test(schema_groups, rules_land)
{
	struct config *config = check(
		"groups:\n"
		"  web:\n"
		"    to-vm:\n"
		"      - {allow: tcp, dport: [80, 443, '1000-2000']}\n"
		"      - {allow: icmp, type: 8, code: 0, from: 10.0.0.0/8}\n"
		"      - {allow: any, from: {group: web}}\n"
		"      - {deny: 0}\n"
		"    from-vm:\n"
		"      - {deny: udp, sport: 0-65535, dport: 53, to: 'fd00::1'}\n"
		"      - {allow: icmpv6, type: 0, to: any}\n");
	cr_assert_eq(config->ngroups, 1);
	const struct config_group *group = config->groups;
	cr_assert(group->nto_vm == 4 && group->nfrom_vm == 2);
	const struct config_rule *rule = group->to_vm;
	cr_expect(rule[0].allow && rule[0].protocol == IPPROTO_TCP);
	cr_expect(rule[0].peer_kind == PEER_ANY && rule[0].nsports == 0);
	cr_expect(rule[0].icmp_type == -1 && rule[0].icmp_code == -1);
	cr_expect_eq(rule[0].ndports, 3);
	expect_ranges(rule[0].dports, rule[0].ndports, 80, 80, 0);
	expect_ranges(rule[0].dports, rule[0].ndports, 1000, 2000, 2);
	cr_expect(rule[1].allow && rule[1].protocol == IPPROTO_ICMP);
	cr_expect(rule[1].icmp_type == 8 && rule[1].icmp_code == 0);
	cr_expect_eq(rule[1].peer_kind, PEER_NETWORK);
	cr_expect(rule[1].network.family == AF_INET && rule[1].network.length == 8);
	cr_expect(rule[2].allow && rule[2].protocol == RULE_ANY_PROTOCOL);
	cr_expect_eq(rule[2].peer_kind, PEER_GROUP);
	cr_expect_str_eq(rule[2].group, "web");
	cr_expect(!rule[3].allow && rule[3].protocol == 0);
	rule = group->from_vm;
	cr_expect(!rule[0].allow && rule[0].protocol == IPPROTO_UDP);
	expect_ranges(rule[0].sports, rule[0].nsports, 0, 65535, 0);
	expect_ranges(rule[0].dports, rule[0].ndports, 53, 53, 0);
	cr_expect(rule[0].network.family == AF_INET6 && rule[0].network.length == 128);
	cr_expect(rule[1].allow && rule[1].protocol == IPPROTO_ICMPV6);
	cr_expect(rule[1].icmp_type == 0 && rule[1].icmp_code == -1);
	cr_expect_eq(rule[1].peer_kind, PEER_ANY);
	config_free(config);
}

// --- what it must not say ----------------------------------------------------------------------

Test(schema_groups, refuses_wrong_settings)
{
	REFUSES(EINVAL,
		{"switch: {connections: 1023}",
			"weir.yaml:1: switch.connections: expected an integer from 1024 to "
			"16777216, found 1023"},
		{"switch: {built-in-rules: [arp, dns]}",
			"weir.yaml:1: switch.built-in-rules: expected arp, nd, ra, dhcp or dhcpv6, "
			"found dns"},
		{"switch: {built-in-rules: [arp, nd, arp]}",
			"weir.yaml:1: switch.built-in-rules: expected each word once, found arp"},
		{"switch: {built-in-rules: arp}",
			"weir.yaml:1: switch.built-in-rules: expected a list of some of arp, nd, "
			"ra, dhcp and dhcpv6, found arp"},
		{"switch: {tcp-pickup: true}",
			"weir.yaml:1: switch.tcp-pickup: expected no or yes, found true"},
		{"switch:\n  timeouts:\n    tcp-established: 0s",
			"weir.yaml:3: switch.timeouts.tcp-established: expected a duration from 1s "
			"to 1000000s, found 0s"},
		{"switch: {timeouts: {tcp-closed: 1500ms}}",
			"weir.yaml:1: switch.timeouts.tcp-closed: expected a duration that is a "
			"multiple of 1s, found 1500ms"},
		{"switch: {timeouts: {tcp-establishd: 1s}}",
			"weir.yaml:1: switch.timeouts.tcp-establishd: unknown key; the nearest "
			"known one is tcp-established"},
		{PORT "    limits: {connections: 10k}",
			"weir.yaml:4: ports.vm1.limits.connections: expected an integer from 0 to "
			"16777216, found 10k"},
		{PORT "    limits: {new-connections: 10kpps}",
			"weir.yaml:4: ports.vm1.limits.new-connections: expected a connection rate "
			"such as 5kcps, found 10kpps"}, );
}

Test(schema_groups, refuses_wrong_groups_of_ports)
{
	REFUSES(EINVAL,
		{PORT "    groups: [webb]\ngroups: {web: }",
			"weir.yaml:4: ports.vm1.groups: expected a group that exists, found webb"},
		{PORT "    groups:\n    - web\n    - web\ngroups: {web: }",
			"weir.yaml:6: ports.vm1.groups: expected each name once, found web"},
		{PORT "    groups: []",
			"weir.yaml:4: ports.vm1.groups: expected a name or a list of 1 to 16 "
			"names, found an empty list"},
		{PORT "    groups: {web: }",
			"weir.yaml:4: ports.vm1.groups: expected a name or a list of 1 to 16 "
			"names, found a map"},
		{PORT "    groups: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]",
			"weir.yaml:4: ports.vm1.groups: expected a name or a list of 1 to 16 "
			"names, found a list of 17"},
		{"groups: {a b: }", "weir.yaml:1: groups.a b: expected a name of at most 31 "
				    "letters, digits, _ and -"}, );
}

#define RULE "groups:\n  web:\n    to-vm:\n      - {allow: any}\n      - "
#define AT   "weir.yaml:5: groups.web.to-vm.2"

Test(schema_groups, refuses_wrong_rules)
{
	REFUSES(EINVAL,
		{RULE "{from: any}",
			AT ": expected what the rule does, allow or deny, found nothing"},
		{RULE "{allow: tcp, deny: tcp}",
			AT ".deny: expected either allow or deny, found both"},
		{RULE "{allow: tcpp}",
			AT ".allow: expected any, tcp, udp, icmp, icmpv6, sctp or a protocol "
			   "number from 0 to 255, found tcpp"},
		{RULE "{deny: 256}", AT ".deny: expected any, tcp, udp, icmp, icmpv6, sctp or a "
					"protocol number from 0 to 255, found 256"},
		{RULE "{allow: any, dport: 80}",
			AT ".dport: expected tcp, udp or sctp beside it, found another protocol"},
		{RULE "{allow: icmp, sport: 80}",
			AT ".sport: expected tcp, udp or sctp beside it, found another protocol"},
		{RULE "{allow: tcp, type: 8}",
			AT ".type: expected icmp or icmpv6 beside it, found another protocol"},
		{RULE "{allow: icmp, code: 8}", AT ".code: expected type beside code, found none"},
		{RULE "{allow: icmp, type: 256}",
			AT ".type: expected an integer from 0 to 255, found 256"},
		{RULE "{allow: tcp, dport: 65536}",
			AT ".dport: expected an L4 port from 0 to 65535 or a range such as "
			   "1000-2000, found 65536"},
		{RULE "{allow: tcp, dport: [1, 20-10]}",
			AT ".dport: expected an L4 port from 0 to 65535 or a range such as "
			   "1000-2000, found 20-10"},
		{RULE "{allow: tcp, dport: []}",
			AT ".dport: expected an L4 port, a range such as 1000-2000, or a list of 1 "
			   "to 16 of them, found an empty list"},
		{RULE "{allow: tcp, from: web}",
			AT ".from: expected any, an IP address, a network or {group: NAME}, found "
			   "web"},
		{RULE "{allow: tcp, from: 10.0.0.1/8}",
			AT ".from: expected any, an IP address, a network or {group: NAME}, found "
			   "10.0.0.1/8"},
		{RULE "{allow: tcp, from: {group: web, port: a}}",
			AT ".from: expected any, an IP address, a network or {group: NAME}, found "
			   "a map"},
		{RULE "{allow: tcp, from: {group: webb}}",
			AT ".from: expected a group that exists, found webb"},
		{RULE "{allow: tcp, to: any}",
			AT ".to: unknown key; known here are allow, deny, sport, dport, type, "
			   "code, from"},
		{RULE "allow", AT ": expected a map of keys, found allow"},
		{"groups:\n  web:\n    from-vm: {allow: tcp}",
			"weir.yaml:3: groups.web.from-vm: expected a list of maps, found a map"}, );
}

// --- differences, printing ---------------------------------------------------------------------

Test(schema_groups, rules_that_mean_the_same_do_not_differ)
{
	differ("groups: {g: }", "groups: {g: {to-vm: [], from-vm: []}}", 0, "");
	differ("groups: {g: {to-vm: [{allow: tcp, dport: 80}, {allow: 17, from: 10.0.0.1}]}}",
		"groups: {g: {to-vm: [{allow: 6, dport: [80-80], from: any}, "
		"{from: 10.0.0.1/32, allow: udp}]}}",
		0, "");
	differ(PORT "    groups: web", PORT "    groups: [web]", 0, "");
	differ("switch: {built-in-rules: [dhcp, arp]}", "switch: {built-in-rules: [arp, dhcp]}", 0,
		"");
	differ("", "switch: {built-in-rules: [dhcp, arp, nd, ra, dhcpv6]}", 0, "");
}

Test(schema_groups, rules_differ_by_the_rule)
{
	differ("groups: {g: {to-vm: [{allow: tcp}, {allow: udp}, {deny: any}]}}",
		"groups: {g: {to-vm: [{allow: tcp}, {allow: sctp}, {allow: udp}, {deny: any}]}}", 1,
		"groups.g.to-vm.2: - > {allow: sctp}, live\n");
	differ("groups: {g: {from-vm: [{deny: tcp, to: {group: g}}, {deny: udp}]}}",
		"groups: {g: {from-vm: [{deny: udp}]}}", 1,
		"groups.g.from-vm.1: {deny: tcp, to: {group: g}} > -, live\n");
	differ("groups: {g: {to-vm: [{allow: tcp}, {allow: udp}]}}",
		"groups: {g: {to-vm: [{allow: tcp, dport: 1-2}, {allow: udp}]}}", 1,
		"groups.g.to-vm.1: {allow: tcp} > {allow: tcp, dport: \"1-2\"}, live\n");
	differ("groups: {g: {to-vm: {a: 1}}}", "groups: {g: {to-vm: [1, {allow: 1}]}}", 1,
		"groups.g.to-vm: {a: 1} > [1, {allow: 1}], live\n");
	differ(PORT "    groups: [a, b]", PORT "    groups: [b, a]", 1,
		"ports.vm1.groups: [a, b] > [b, a], live\n");
}

Test(schema_groups, a_rule_is_a_line)
{
	struct doc *doc = parse("groups: {g: {to-vm: [{dport: [1-2, 3], allow: tcp}, "
				"{from: {group: g}, allow: 6}], from-vm: []}}");
	char *text = doc_print(doc, false);
	cr_expect_str_eq(text, "groups:\n"
			       "  g:\n"
			       "    to-vm:\n"
			       "    - {allow: tcp, dport: [\"1-2\", 3]}\n"
			       "    - {allow: 6, from: {group: g}}\n"
			       "    from-vm: []\n");
	free(text);
	text = doc_print(doc, true);
	cr_expect(strstr(text, "    - {allow: tcp, dport: [\"1-2\", 3], from: any}\n"), "%s", text);
	same_again(doc, text);
	free(text);
	doc_free(doc);
}

// --- many --------------------------------------------------------------------------------------

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// `groups` groups of `rules` rules, each of which names the group before. The caller frees it.
static char *many(unsigned groups, unsigned rules)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	fputs("groups:\n", out);
	for (unsigned g = 0; g < groups; g++) {
		fprintf(out, "  g%u:\n    to-vm:\n", g);
		for (unsigned r = 0; r < rules; r++)
			fprintf(out, "      - {allow: tcp, dport: %u, from: {group: g%u}}\n", r,
				g ? g - 1 : 0);
	}
	fclose(out);
	return text;
}

enum {
	QUICK_S = 5 // with sanitizers; a walk per rule over all rules takes far longer there
};

static void is_quick(unsigned groups, unsigned rules)
{
	char *text = many(groups, rules);
	double start = seconds();
	struct config *config = check(text);
	cr_expect_eq(config->ngroups, groups);
	cr_expect_lt(seconds() - start, QUICK_S);
	config_free(config);

	struct doc *doc = parse(text), *fewer = parse(text);
	char last[40];
	snprintf(last, sizeof(last), "groups.g%u.to-vm", groups - 1);
	cr_assert(!doc_set(fewer, last, "[{allow: any}]", NULL));
	start = seconds();
	cr_expect_eq(doc_diff(doc, fewer, NULL, NULL), rules);
	cr_expect_eq(doc_diff(doc, doc, NULL, NULL), 0);
	cr_expect_lt(seconds() - start, QUICK_S);
	doc_free(doc);
	doc_free(fewer);
	free(text);
}

Test(schema_groups, many_rules_are_quick)
{
	is_quick(1, 10000);
}

Test(schema_groups, many_groups_are_quick)
{
	is_quick(1000, 10);
}

Test(schema_groups, the_last_of_many_rules_is_refused_by_its_line)
{
	char *text = many(20, 100);
	memcpy(text + strlen(text) - strlen("g18}}\n"), "g1x", 3);
	refuses(text, EINVAL,
		"weir.yaml:2041: groups.g19.to-vm.100.from: expected a group that exists, found "
		"g1x");
	free(text);
}

Test(schema_groups, refuses_too_many_rules)
{
	char *text = many(7, 10000);
	refuses(text, EINVAL,
		"weir.yaml:60014: groups: expected at most 65536 rules in all groups, found more");
	free(text);
}

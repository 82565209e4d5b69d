// SPDX-License-Identifier: BSD-3-Clause
// What a document must not say, and in which words that is told.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_schema.h"

Test(schema_refused, refuses_unknown_keys)
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
			"dpdk, bridge, mtu, vlan, addresses, groups, rate, limits, nf"},
		{"? \"a\\nb \\x9b\"\n: 1",
			"weir.yaml:1: a?b ?: unknown key; known here are switch, bridges, ports, "
			"groups, gateways, nat, chains, rates"},
		{"'': 1", "weir.yaml:1: \"\": unknown key; known here are switch, bridges, ports, "
			  "groups, "
			  "gateways, nat, chains, rates"}, );
}

Test(schema_refused, refuses_what_is_not_built_yet)
{
	REFUSES(ENOTSUP, {"nat: []", "weir.yaml:1: nat: not supported yet"},
		{"gateways: {}", "weir.yaml:1: gateways: not supported yet"}, );
}

Test(schema_refused, refuses_wrong_quantities)
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

Test(schema_refused, refuses_wrong_values)
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

Test(schema_refused, refuses_wrong_names)
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

Test(schema_refused, refuses_too_many_names)
{
	char text[BRIDGES_MAX * 16] = "bridges:\n";
	size_t len = strlen(text);
	for (int i = 0; i < BRIDGES_MAX; i++)
		len += sprintf(text + len, "  b%d:\n", i);
	// With `default` there is one more than may be.
	refuses(text, EINVAL, "weir.yaml:1: bridges: expected at most 256 names, found 257");
}

Test(schema_refused, errors_of_edits_name_no_line)
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

Test(schema_refused, errors_of_wild_input_stay_readable)
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

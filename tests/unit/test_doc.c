// SPDX-License-Identifier: BSD-3-Clause
// The document: what is YAML to us and what is not, printing and reading back, edits.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/schema.h"

static struct doc *parse(const char *text)
{
	struct error err = {0};
	struct doc *doc = doc_parse("weir.yaml", text, strlen(text), &err);
	cr_assert(doc, "%s: %s", text, err.text);
	return doc;
}

static void refuses_bytes(const char *text, size_t len, const char *expected)
{
	struct error err = {0};
	struct doc *doc = doc_parse("weir.yaml", text, len, &err);
	cr_expect(!doc, "accepted: %.60s", text);
	cr_expect_str_eq(err.text, expected);
	cr_expect_eq(err.code, EINVAL);
	doc_free(doc);
}

static void prints(const struct doc *doc, const char *expected)
{
	char *text = doc_print(doc, false);
	cr_assert(text);
	cr_expect_str_eq(text, expected);
	free(text);
}

// Reading prints as `expected`, which reads as an equal document that prints the same.
static void becomes(const char *text, const char *expected)
{
	struct doc *doc = parse(text);
	struct doc *again = parse(expected);
	prints(doc, expected);
	prints(again, expected);
	cr_expect(doc_equal(doc, again), "%s", text);
	doc_free(doc);
	doc_free(again);
}

Test(doc, refuses_what_is_no_finite_tree_of_plain_values)
{
	static const struct {
		const char *text;
		const char *expected;
	} cases[] = {
		{"a: &x 1\n", "weir.yaml:1: anchors (&name) are not allowed"},
		{"a: 1\nb: *x\n", "weir.yaml:2: aliases (*name) are not allowed"},
		{"a: 1\n\nb: !!str 1\n", "weir.yaml:3: tags (!name) are not allowed"},
		{"a: !mine {b: 1}\n", "weir.yaml:1: tags (!name) are not allowed"},
		{"a: 1\n---\nb: 2\n", "weir.yaml:2: a second document begins, expected one"},
		{"a: 1\nb: 2\n\"a\": 3\n", "weir.yaml:3: the key a stands twice, first in line 1"},
		{"x:\n  {b: 1, c: 1,\n   b: 2}\n",
			"weir.yaml:3: the key b stands twice, first in line 2"},
		{"- a\n- b\n", "weir.yaml:1: expected a map of keys, found a list"},
		{"# nothing\nhello\n", "weir.yaml:2: expected a map of keys, found a text"},
		{"? [a]\n: 1\n", "weir.yaml:1: expected a key, found a list"},
		{"{{a: 1}: 1}\n", "weir.yaml:1: expected a key, found a map"},
		{"a: [1, 2\nb: 3\n", "weir.yaml:2: not valid YAML: did not find expected ',' or "
				     "']' while parsing a flow sequence"},
		{"a: 1\n\tb: 2\n",
			"weir.yaml:2: not valid YAML: found a tab character that violates "
			"indentation while scanning a plain scalar"},
		{"a: \"\\0\"\n",
			"weir.yaml:1: a text holds the character NUL, which is not allowed"},
		{"a: \"\\ud800\"\n", "weir.yaml:1: not valid YAML: found invalid Unicode character "
				     "escape code while parsing a quoted scalar"},
		{"a: 1\nb: \xc3\x28\n",
			"weir.yaml:2: not valid YAML: invalid trailing UTF-8 octet"},
		{"a: 1\n\nb: \xff\n", "weir.yaml:3: not valid YAML: invalid leading UTF-8 octet"},
		{"a: \x01\n", "weir.yaml:1: not valid YAML: control characters are not allowed"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		refuses_bytes(cases[i].text, strlen(cases[i].text), cases[i].expected);
	refuses_bytes(
		"a: 1\n\0b", 7, "weir.yaml:2: not valid YAML: control characters are not allowed");
}

Test(doc, errors_of_a_text_without_file_name_no_line)
{
	struct error err = {0};
	cr_expect(!doc_parse(NULL, "a: *b", 5, &err));
	cr_expect_str_eq(err.text, "aliases (*name) are not allowed");
}

Test(doc, has_bounds)
{
	enum {
		LEVELS = DOC_DEPTH_MAX
	};
	char text[3 + 2 * LEVELS + 1] = "a: ";
	memset(text + 3, '[', LEVELS - 1);
	memset(text + 3 + LEVELS - 1, ']', LEVELS - 1);
	doc_free(parse(text));
	memset(text + 3, '[', LEVELS);
	memset(text + 3 + LEVELS, ']', LEVELS);
	refuses_bytes(text, 3 + 2 * LEVELS, "weir.yaml:1: more than 64 levels of nesting");

	char *big = malloc(DOC_BYTES_MAX + 1);
	cr_assert(big);
	memset(big, '#', DOC_BYTES_MAX + 1);
	refuses_bytes(big, DOC_BYTES_MAX + 1,
		"weir.yaml:1: expected at most 16777216 bytes, found 16777217");
	memcpy(big, "a: [", 4);
	memset(big + 4, ',', DOC_BYTES_MAX - 4);
	for (size_t i = 4; i < 3 << 20; i += 2)
		big[i] = '1';
	refuses_bytes(big, 3 << 20, "weir.yaml:1: more than 1048576 values");
	free(big);
}

Test(doc, duplicates_among_many_keys_are_found_in_time)
{
	enum {
		KEYS = 100000,
		KEY_SIZE = 12
	};
	char *text = malloc(KEYS * KEY_SIZE + 64);
	cr_assert(text);
	size_t len = 0;
	for (int i = 0; i < KEYS; i++)
		len += sprintf(text + len, "k%d:\n", i);
	len += sprintf(text + len, "k77:\n");
	refuses_bytes(text, len, "weir.yaml:100001: the key k77 stands twice, first in line 78");
	free(text);
}

Test(doc, empty_texts_are_the_empty_document)
{
	static const char *const texts[] = {"", "\n", "# only this\n", "---\n", "--- {}\n...\n",
		"%YAML 1.2\n--- null\n", "\xef\xbb\xbf", "~"};
	struct doc *empty = doc_new();
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct doc *doc = parse(texts[i]);
		cr_expect(doc_equal(doc, empty), "%s", texts[i]);
		prints(doc, "{}\n");
		doc_free(doc);
	}
	doc_free(empty);
}

Test(doc, prints_in_the_schemas_order_and_in_canonical_form)
{
	becomes("ports: {b: {mtu: 1500, 'vhost-user': {listens: vmm, \"socket\": b.sock}},\n"
		"  a: {vlan: {native: 1, trunk: [20, 10]}, bridge: b1}}\n"
		"bridges: {b1: {ageing: 300s}}\n"
		"switch:\n  hugepages: auto\n  workers:\n  - 1\n  - 2\n",
		"switch:\n"
		"  workers: [1, 2]\n"
		"  hugepages: auto\n"
		"bridges:\n"
		"  b1:\n"
		"    ageing: 300s\n"
		"ports:\n"
		"  b:\n"
		"    vhost-user: {socket: b.sock, listens: vmm}\n"
		"    mtu: 1500\n"
		"  a:\n"
		"    bridge: b1\n"
		"    vlan: {trunk: [20, 10], native: 1}\n");
}

Test(doc, prints_unknown_keys_and_json_too)
{
	becomes("{\"groups\": {\"web\": {\"to-vm\": [{\"allow\": \"tcp\", \"dport\": [80, 443]}, "
		"{\"allow\": \"any\"}]}}, \"zzz\": {\"x\": 1}, \"aaa\": null}",
		"groups:\n"
		"  web:\n"
		"    to-vm:\n"
		"    - {allow: tcp, dport: [80, 443]}\n"
		"    - {allow: any}\n"
		"zzz:\n"
		"  x: 1\n"
		"aaa: null\n");
}

Test(doc, quotes_what_an_unquoted_reader_would_take_for_something_else)
{
	becomes("a: ['1', 1, '-1.5', 1e3, '0x1f', 'true', true, 'null', null, '', ~, 'off', 'Yes']",
		"a: [\"1\", 1, \"-1.5\", 1e3, \"0x1f\", \"true\", true, \"null\", null, \"\", "
		"null, "
		"\"off\", \"Yes\"]\n");
	becomes("a: [0660, '0660', 12:30:45, 2001-12-14, 1_000, 0b1, 10.0.0.1, 10.0.0.0/24]",
		"a: [0660, \"0660\", \"12:30:45\", \"2001-12-14\", \"1_000\", \"0b1\", 10.0.0.1, "
		"10.0.0.0/24]\n");
	becomes("a: [off, y, -, '...', '---', ./x, '*x', '#', 'a b', 'a: b', '{', 'x,y', é]",
		"a: [\"off\", \"y\", \"-\", \"...\", \"---\", ./x, \"*x\", \"#\", \"a b\", "
		"\"a: b\", \"{\", \"x,y\", \"é\"]\n");
	becomes("a: |\n  two\n  lines\nb: \"\\t\\x9b\\u2028\\U0001f600\"\n'1': \"'\\\"\"\n",
		"a: \"two\\nlines\\n\"\nb: \"\\t\\x9B\\L\\U0001F600\"\n\"1\": \"'\\\"\"\n");
}

Test(doc, long_keys_and_texts_stay_whole)
{
	char text[5000];
	memset(text, 'k', sizeof(text));
	memcpy(text, "? ", 2);
	memcpy(text + 2000, "\n: \"v v ", 8);
	memcpy(text + sizeof(text) - 4, "v\"\n", 4);
	struct doc *doc = parse(text);
	char *printed = doc_print(doc, false);
	struct doc *again = parse(printed);
	cr_expect(doc_equal(doc, again));
	free(printed);
	doc_free(doc);
	doc_free(again);
}

Test(doc, equality_is_of_values_not_of_writing)
{
	static const struct {
		const char *a;
		const char *b;
		bool equal;
	} cases[] = {
		{"{a: 1, b: 2}", "{b: 2, a: 1}", true},
		{"{a: vm1}", "{a: 'vm1'}", true},
		{"{a: }", "{a: null}", true},
		{"{a: 1}", "{a: '1'}", false},
		{"{a: [1, 2]}", "{a: [2, 1]}", false},
		{"{a: 1}", "{a: 1, b: 1}", false},
		{"{a: 1, b: 1}", "{a: 1, c: 1}", false},
		{"{a: {}}", "{a: []}", false},
		{"{a: 300s}", "{a: 5min}", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct doc *a = parse(cases[i].a);
		struct doc *b = parse(cases[i].b);
		cr_expect_eq(doc_equal(a, b), cases[i].equal, "%s %s", cases[i].a, cases[i].b);
		cr_expect_eq(doc_equal(b, a), cases[i].equal, "%s %s", cases[i].b, cases[i].a);
		doc_free(a);
		doc_free(b);
	}
}

// --- edits -------------------------------------------------------------------------------------

Test(doc, set_makes_replaces_and_leaves_the_rest)
{
	struct doc *doc = doc_new();
	static const char *const edits[][2] = {
		{"ports.vm1.vhost-user.socket", "vm1.sock"},
		{"ports.vm1.mtu", "9000"},
		{"ports.vm1.mtu", "1500"},
		{"ports.vm1.vlan", "{trunk: [10, 20]}"},
		{"ports.vm1.vlan.native", "1"},
		{"switch.workers", "[1, 2]"},
		{"switch.hugepages", "off"},
		{"bridges.b1", ""},
		{"bridges.b1.ageing", "10s"},
	};
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		struct error err = {0};
		cr_expect(!doc_set(doc, edits[i][0], edits[i][1], &err), "%s", err.text);
		cr_expect(doc_has(doc, edits[i][0]), "%s", edits[i][0]);
	}
	prints(doc, "switch:\n"
		    "  workers: [1, 2]\n"
		    "  hugepages: \"off\"\n"
		    "bridges:\n"
		    "  b1:\n"
		    "    ageing: 10s\n"
		    "ports:\n"
		    "  vm1:\n"
		    "    vhost-user: {socket: vm1.sock}\n"
		    "    mtu: 1500\n"
		    "    vlan: {trunk: [10, 20], native: 1}\n");
	doc_free(doc);
}

Test(doc, set_refuses)
{
	static const struct {
		const char *path;
		const char *value;
		const char *expected;
	} cases[] = {
		{"", "1", "expected keys separated by dots, found nothing"},
		{".a", "1", "expected keys separated by dots, found .a"},
		{"a..b", "1", "expected keys separated by dots, found a..b"},
		{"a.", "1", "expected keys separated by dots, found a."},
		{"a b", "1", "expected keys separated by dots, found a b"},
		{"a\nb", "1", "expected keys separated by dots, found a?b"},
		{"ports.vm1.mtu", "[1",
			"ports.vm1.mtu: not valid YAML: did not find expected ',' or ']' while "
			"parsing a flow sequence"},
		{"ports.vm1.mtu", "*x", "ports.vm1.mtu: aliases (*name) are not allowed"},
		{"ports.vm1.mtu.x", "1", "ports.vm1.mtu is not a map, so it has no key x"},
		{"ports.vm1.mtu.x.y.z", "1", "ports.vm1.mtu is not a map, so it has no key x"},
		{"switch.workers.0", "1", "switch.workers is not a map, so it has no key 0"},
	};
	struct doc *doc = parse("ports: {vm1: {mtu: 1500}}\nswitch: {workers: [1]}\n");
	struct doc *before = doc_copy(doc);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = {0};
		int rc = doc_set(doc, cases[i].path, cases[i].value, &err);
		cr_expect_eq(rc, -EINVAL, "%s", cases[i].path);
		cr_expect_str_eq(err.text, cases[i].expected);
	}
	cr_expect(doc_equal(doc, before));
	doc_free(before);
	doc_free(doc);
}

Test(doc, set_keeps_the_depth_bounded)
{
	char path[2 * DOC_DEPTH_MAX + 1];
	for (size_t i = 0; i < DOC_DEPTH_MAX; i++)
		memcpy(path + 2 * i, "a.", 2);
	path[2 * DOC_DEPTH_MAX - 1] = '\0';
	struct doc *doc = doc_new();
	cr_expect(doc_set(doc, path, "[1]", NULL) == -EINVAL);
	cr_expect(!doc_set(doc, path, "1", NULL));
	char *text = doc_print(doc, false);
	doc_free(parse(text));
	free(text);
	doc_free(doc);
}

Test(doc, remove_takes_one_key_away)
{
	struct error err = {0};
	struct doc *doc = parse("ports: {vm1: {mtu: 1500, vlan: {access: 1}}, vm2: {}}\n");
	cr_expect(!doc_remove(doc, "ports.vm1.vlan.access", &err), "%s", err.text);
	cr_expect(!doc_remove(doc, "ports.vm2", &err), "%s", err.text);
	prints(doc, "ports:\n  vm1:\n    mtu: 1500\n    vlan: {}\n");
	cr_expect_eq(doc_remove(doc, "ports.vm2", &err), -ENOENT);
	cr_expect_str_eq(err.text, "ports.vm2: there is no such key");
	cr_expect_eq(doc_remove(doc, "ports.vm1.mtu.x", &err), -ENOENT);
	cr_expect_eq(doc_remove(doc, "..", &err), -EINVAL);
	cr_expect(doc_has(doc, "ports.vm1"));
	cr_expect(!doc_has(doc, "ports.vm2") && !doc_has(doc, "") && !doc_has(doc, "x.y"));
	doc_free(doc);
}

Test(doc, a_copy_is_its_own)
{
	struct doc *doc = parse("ports: {vm1: {mtu: 1500}}\n");
	struct doc *copy = doc_copy(doc);
	cr_expect(doc_equal(doc, copy));
	cr_expect(!doc_set(copy, "ports.vm1.mtu", "9000", NULL));
	cr_expect(!doc_equal(doc, copy));
	doc_free(copy);
	prints(doc, "ports:\n  vm1:\n    mtu: 1500\n");
	doc_free(doc);
}

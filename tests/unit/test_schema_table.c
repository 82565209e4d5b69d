// SPDX-License-Identifier: BSD-3-Clause
// The table of keys, its words, and the files that are made from it or must fit it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/key.h"
#include "tests/unit/kit_schema.h"

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
	cr_expect(!key->ordered || (key->type == TYPE_NAMED && parent == &schema_root), "%s",
		key->name);
	if (type_is_list(key->type) && key->type != TYPE_WORDS)
		cr_expect(key->land, "%s", key->name);
	if (key->type == TYPE_PREFIXES)
		cr_expect(key->land && key->count == ADDRESSES_MAX, "%s", key->name);
	if (key->type == TYPE_INTS)
		cr_expect(key->land && key->max < 4096 && key->count, "%s", key->name);
	if (key->type == TYPE_NUMBERS)
		cr_expect(key->item_size && key->size && key->count, "%s", key->name);
	cr_expect(!key->optional || key->type == TYPE_MAP, "%s", key->name);
	for (const struct key *inner = key->keys; inner && inner->name; inner++)
		key_is_whole(inner, key);
}

Test(schema_table, the_table_is_whole)
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

Test(schema_table, keys_are_listed_for_completion)
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
	lists("chains.*.hops.1.instances.*",
		"port (a name of at most 31 letters, digits, _ and -) -, live\n"
		"left (a name of at most 31 letters, digits, _ and -) -, live\n"
		"right (a name of at most 31 letters, digits, _ and -) -, live\n");
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

Test(schema_table, values_have_words)
{
	static const char *const schedulers[] = {
		[SCHEDULER_FIFO] = "fifo",
		[SCHEDULER_PRIO] = "prio",
		[SCHEDULER_DRR] = "drr",
		[SCHEDULER_FQ_CODEL] = "fq-codel",
	};
	for (unsigned i = 0; i < sizeof(schedulers) / sizeof(*schedulers); i++)
		cr_expect_str_eq(schema_word("ports.*.rate.to-vm.scheduler", i), schedulers[i]);
	cr_expect_str_eq(schema_word("rates.*.layer", LAYER_L2), "l2");
	cr_expect_str_eq(schema_word("rates.*.layer", LAYER_WIRE), "wire");
	cr_expect_null(schema_word("rates.*.layer", LAYER_WIRE + 1));
	cr_expect_null(schema_word("rates.*.layer", UINT32_MAX));
	cr_expect_null(schema_word("ports.*.vlan.trunk", 0));
	cr_expect_null(schema_word("rates.*.bits", 0));
	cr_expect_null(schema_word("rates.*.colour", 0));
}

// --- files that are made from the schema, or must fit it ----------------------------------------

// A file of the source tree, found from where this file was compiled.
static char *read_source(const char *name)
{
	char path[4096];
	const char *file = __FILE__;
	int root = strlen(file) - strlen("tests/unit/test_schema_table.c");
	snprintf(path, sizeof(path), "%.*s%s", root, file, name);
	FILE *in = fopen(path, "r");
	cr_assert(in, "%s: %s", path, strerror(errno));
	char *text = calloc(1, 1 << 20);
	cr_assert(text);
	cr_assert(fread(text, 1, (1 << 20) - 1, in) > 0);
	fclose(in);
	return text;
}

Test(schema_table, the_reference_page_is_up_to_date)
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

Test(schema_table, the_example_is_valid)
{
	char *text = read_source("examples/weir.yaml");
	struct config *config = check(text);
	cr_expect_eq(config->nports, 0);
	config_free(config);
	uncomment(text);
	config = check(text);
	cr_expect_eq(config->nports, 4);
	config_free(config);
	free(text);
}

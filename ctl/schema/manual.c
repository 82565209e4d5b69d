// SPDX-License-Identifier: BSD-3-Clause
// The table as a part of the manual page weir.yaml(5).
#include <stdio.h>

#include "ctl/schema/key.h"
#include "ctl/schema/roff.h"

static void write_key(FILE *out, const struct key *key)
{
	char type[EXPECTED_SIZE];
	key_describe(key, type, sizeof(type));
	fputs(".TP\n\\fB", out);
	roff_write(out, key->name);
	fputs("\\fR: ", out);
	roff_write(out, type);
	fputc('\n', out);
	roff_write(out, key->about);
	fputc('\n', out);
	if (key->fallback) {
		fputs("Default: \\fB", out);
		roff_write(out, key->fallback);
		fputs("\\fR.\n", out);
	} else if (key->required) {
		fputs("Must be given.\n", out);
	}
	if (!key->keys && key->type != TYPE_LATER)
		fprintf(out, "A change: \\fI%s\\fR.\n", schema_effect_name(key->effect));
}

static void write_keys(FILE *out, const struct key *key, const char *path)
{
	fputs(".SS ", out);
	roff_write(out, *path ? path : "Sections");
	fputc('\n', out);
	roff_write(out, key->about);
	fputc('\n', out);
	for (const struct key *inner = key->keys; inner->name; inner++)
		write_key(out, inner);
	for (const struct key *inner = key->keys; inner->name; inner++) {
		char below[128];
		if (!inner->keys)
			continue;
		snprintf(below, sizeof(below), "%s%s%s%s", path, *path ? "." : "", inner->name,
			inner->type == TYPE_NAMED  ? ".NAME"
			: inner->type == TYPE_MAPS ? ".NUMBER"
						   : "");
		write_keys(out, inner, below);
	}
}

void schema_write_manual(FILE *out)
{
	static const enum key_type types[] = {
		TYPE_DURATION, TYPE_SIZE, TYPE_BITS, TYPE_PACKETS, TYPE_CONNS};
	write_keys(out, &schema_root, "");
	fputs(".SS Units\nA number with a unit is written without a space, and may have a decimal "
	      "fraction as long as nothing is rounded.\n",
		out);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		char units[128];
		fputs(".TP\n", out);
		roff_write(out, quantity_noun(types[i]));
		fputc('\n', out);
		roff_write(out, quantity_units(types[i], units, sizeof(units)));
		fputs(", such as \\fB", out);
		roff_write(out, quantity_example(types[i]));
		fputs("\\fR\n", out);
	}
}

// SPDX-License-Identifier: BSD-3-Clause
// The table as people read it: completion, help and the reference page.
#include <errno.h>
#include <string.h>

#include "ctl/schema/key.h"

static void tell(const struct key *key, const char *name, schema_key_fn *fn, void *ctx)
{
	char type[EXPECTED_SIZE];
	key_describe(key, type, sizeof(type));
	fn(ctx, name, type, key->fallback, key->about, key->effect, key->type != TYPE_LATER);
}

// The key at a dotted path; NULL: there is none. *names: the path's next part is one of the user's
// names.
static const struct key *key_at(const char *path, bool *names)
{
	const struct key *key = &schema_root;
	*names = false;
	while (*path) {
		char part[NAME_SIZE];
		size_t len = strcspn(path, ".");
		if (len >= sizeof(part))
			return NULL;
		memcpy(part, path, len);
		part[len] = '\0';
		if (*names) {
			if (strcmp(part, "*") != 0 && !name_is_valid(part))
				return NULL;
			*names = false;
		} else {
			key = key->keys ? key_find(key->keys, part) : NULL;
			if (!key)
				return NULL;
			*names = key->type == TYPE_NAMED || key->type == TYPE_MAPS;
		}
		path += len + (path[len] == '.');
	}
	return key;
}

int schema_words(const char *path, schema_word_fn *fn, void *ctx)
{
	bool names;
	const struct key *key = key_at(path, &names);
	if (!key)
		return -ENOENT;
	for (const char *const *word = key->words; word && *word; word++)
		fn(ctx, *word);
	return 0;
}

const char *schema_word(const char *path, unsigned value)
{
	bool names;
	const struct key *key = key_at(path, &names);
	const char *const *word = key && key->type == TYPE_ENUM ? key->words : NULL;
	while (word && *word && value--)
		word++;
	return word ? *word : NULL;
}

int schema_keys(const char *path, schema_key_fn *fn, void *ctx)
{
	bool names;
	const struct key *key = key_at(path, &names);
	if (!key)
		return -ENOENT;
	if (names) {
		fn(ctx, "*", "map", NULL, key->about, key->effect, true);
		return 0;
	}
	for (const struct key *inner = key->keys; inner && inner->name; inner++)
		tell(inner, inner->name, fn, ctx);
	return 0;
}

// A `|` would end the cell.
static void write_cell(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void write_key(FILE *out, const struct key *key)
{
	char type[EXPECTED_SIZE];
	key_describe(key, type, sizeof(type));
	fprintf(out, "| `%s` | ", key->name);
	write_cell(out, type);
	if (key->fallback)
		fprintf(out, " | `%s`", key->fallback);
	else
		fprintf(out, " | %s", key->required ? "must be given" : "");
	bool inner = key->keys || key->type == TYPE_LATER;
	fprintf(out, " | %s | ", inner ? "" : schema_effect_name(key->effect));
	write_cell(out, key->about);
	fputs(" |\n", out);
}

static void write_keys(FILE *out, const struct key *key, const char *path)
{
	fprintf(out, "\n## %s\n\n%s\n\n", *path ? path : "Sections", key->about);
	fputs("| key | value | default | a change is | meaning |\n", out);
	fputs("| --- | --- | --- | --- | --- |\n", out);
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

static void write_units(FILE *out)
{
	static const enum key_type types[] = {
		TYPE_DURATION, TYPE_SIZE, TYPE_BITS, TYPE_PACKETS, TYPE_CONNS};
	fputs("\n## Units\n\nA number with a unit is written without a space, and may have a "
	      "decimal "
	      "fraction\nas long as nothing is rounded: `1.5Gbit`.\n\n"
	      "| quantity | units | example |\n| --- | --- | --- |\n",
		out);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		char units[128];
		fprintf(out, "| %s | %s | `%s` |\n", quantity_noun(types[i]),
			quantity_units(types[i], units, sizeof(units)), quantity_example(types[i]));
	}
}

void schema_write_reference(FILE *out)
{
	fputs("# weir.yaml\n\n"
	      "The configuration of `weir-switchd`: one YAML document (JSON is YAML) that holds "
	      "the "
	      "whole desired\nstate. `weirctl apply FILE` makes the running switch equal to it. "
	      "Anchors, aliases, tags and a second\ndocument are refused, so is a key that stands "
	      "twice or that nobody knows.\n\n"
	      "A change is *live* (packets go on), *reopens the port* (that port is closed and "
	      "opened "
	      "again), or takes\neffect with the next *restart* of `weir-switchd`. NAME is up to "
	      "31 "
	      "letters, digits, `_` and `-`, with a\nletter or digit first.\n\n"
	      "This page is made from the schema table (`ctl/schema/schema_table.c`).\n",
		out);
	write_keys(out, &schema_root, "");
	write_units(out);
}

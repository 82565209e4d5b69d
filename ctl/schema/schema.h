// SPDX-License-Identifier: BSD-3-Clause
// The configuration's document and its schema. A document is the tree of one YAML file (JSON is
// YAML) with its line numbers. One table of keys (schema_table.c) yields parsing, defaults, bounds,
// live-or-restart, printing back, completion and the reference page; nothing about a key is
// written twice. Linked by weir-switchd and weirctl; no DPDK. Single-threaded: main thread.
#ifndef WEIR_CTL_SCHEMA_SCHEMA_H
#define WEIR_CTL_SCHEMA_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"

struct doc;

enum {
	DOC_BYTES_MAX = 16 << 20,
	DOC_DEPTH_MAX = 64, // maps and lists inside each other
};

// Parses YAML. `file` names it in errors: `weir.yaml:12: …`; NULL: the text comes from elsewhere
// and errors name no line. NULL and *err on a syntax error, a duplicate key, an alias, anchor or
// tag (a document is a finite tree of plain values), a second document, more than DOC_DEPTH_MAX
// levels or DOC_BYTES_MAX bytes. The caller frees it.
struct doc *doc_parse(const char *file, const char *text, size_t len, struct error *err);
struct doc *doc_new(void); // the empty document
struct doc *doc_copy(const struct doc *doc);
void doc_free(struct doc *doc);

// Checks the document against the schema and builds the typed configuration: unknown keys (with the
// nearest known one), wrong types and units, bounds, references (a port's bridge), conflicts (two
// ports with one socket). The first error wins; it names file, line and key path, what was expected
// and what stands there: `weir.yaml:7: ports.vm1.mtu: expected an integer from 68 to 9216, found
// 20`. A key that the design names and no issue has built yet is `weir.yaml:9: nat: not supported
// yet`. What doc_set has put in has no line: `ports.vm1.mtu: expected …`.
// Every default is filled in; the bridge `default` always exists.
// 0 and *out (config_free; out may be NULL), or -EINVAL / -ENOTSUP / -ENOMEM.
int doc_check(const struct doc *doc, struct config **out, struct error *err);
void config_free(struct config *config);

// Edits: path is dotted (`ports.vm1.rate.from-vm.bits`); value is YAML in flow style (`9000`,
// `{access: 10}`, `[1, 2]`). doc_set creates the maps on the way and replaces what stands there.
// Neither checks the schema: doc_check does. -EINVAL, -ENOENT (doc_remove), -ENOMEM; the document
// is then unchanged but for empty maps on the way.
int doc_set(struct doc *doc, const char *path, const char *value, struct error *err);
int doc_remove(struct doc *doc, const char *path, struct error *err);
bool doc_has(const struct doc *doc, const char *path);

// Canonical YAML in the schema's order, names in the order in which they stand, comments lost;
// with_defaults also writes what was left out. Parsing it back gives an equal document, and
// printing that the same text. Works on documents that doc_check refuses too. Allocated; the caller
// frees it. NULL: no memory.
char *doc_print(const struct doc *doc, bool with_defaults);
// Compares the trees, whatever the order of keys but for that of chains; `300s` and `5min` differ
// here, not in doc_diff.
bool doc_equal(const struct doc *a, const struct doc *b);

// What changing a value takes.
enum schema_effect {
	EFFECT_LIVE,    // packets go on
	EFFECT_PORT,    // that port is closed and opened again
	EFFECT_RESTART, // takes effect when weir-switchd is started again
};
const char *schema_effect_name(enum schema_effect effect); // "live", "reopens the port", "restart"

// Calls back for each difference, in the schema's order: path, old and new value in flow style
// (NULL: absent). A port, bridge or group that comes or goes is one difference. So is a rule, by
// its number (`groups.web.to-vm.2`), of those that stand between the equal first and last ones of
// two lists. That chains change their order is one at `chains`, with their names. Values are
// compared as what they mean, and defaults count as absent on both sides, so that a document and
// its doc_print(…, true) do not differ. Returns the number of differences or -ENOMEM. Both
// documents should have passed doc_check, else it may take long.
typedef void doc_diff_fn(void *ctx, const char *path, const char *old_value, const char *new_value,
	enum schema_effect effect);
ssize_t doc_diff(const struct doc *from, const struct doc *to, doc_diff_fn *fn, void *ctx);

// Completion and help: the keys that may stand below a dotted path (empty: at the top), in the
// table's order. Where any name or number may stand (`ports`, `groups.web.to-vm`), the one key is
// `*`, and a path may have a name, a number or `*` there. type is for people (`duration`, `vmm |
// switch`); default_value NULL: none. -ENOENT: no such path.
typedef void schema_key_fn(void *ctx, const char *key, const char *type, const char *default_value,
	const char *about, enum schema_effect effect, bool supported);
int schema_keys(const char *path, schema_key_fn *fn, void *ctx);

// Completion of a value: the words that may stand at the key of a dotted path (`adaptive`, `busy`);
// none where it is no matter of words. -ENOENT: no such key.
typedef void schema_word_fn(void *ctx, const char *word);
int schema_words(const char *path, schema_word_fn *fn, void *ctx);
// The word of a value in struct config, for a key that is one of words: of LAYER_WIRE at
// `rates.*.layer` it is `wire`. NULL: no such key, or no such value of it.
const char *schema_word(const char *path, unsigned value);

// `10.0.0.1`, `fd00::/64`; false also if bits behind the length are set.
bool prefix_parse(const char *text, struct config_prefix *out);

// Writes the reference of all keys as Markdown: the source of docs/weir.yaml.md.
void schema_write_reference(FILE *out);
// The same as a part of the manual page weir.yaml(5), in the macros of man(7).
void schema_write_manual(FILE *out);

#endif

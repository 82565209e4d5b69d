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

#include "base/config.h"
#include "base/error.h"

struct doc;

// Parses YAML. `file` names it in errors: `weir.yaml:12: …`. NULL and *err on a syntax error, a
// duplicate key, an alias or anchor (a document is finite), more than 64 levels or 16 MiB.
// The caller frees it.
struct doc *doc_parse(const char *file, const char *text, size_t len, struct error *err);
struct doc *doc_new(void); // the empty document
struct doc *doc_copy(const struct doc *doc);
void doc_free(struct doc *doc);

// Checks the document against the schema and builds the typed configuration: unknown keys (with the
// nearest known one), wrong types and units, bounds, references (a port's bridge), conflicts (two ports with one socket).
// A key that the design names and no issue has built yet is `… is not supported yet`. Errors name file, line,
// key path, what stands there and what was expected. 0 and *out (config_free), or -EINVAL / -ENOTSUP / -ENOMEM.
int doc_check(const struct doc *doc, struct config **out, struct error *err);
void config_free(struct config *config);

// Edits: path is dotted (`ports.vm1.rate.from-vm.bits`); value is YAML in flow style (`9000`,
// `{access: 10}`, `[1, 2]`). doc_set creates the maps on the way and replaces what stands there. Neither checks
// the schema: doc_check does. -EINVAL, -ENOENT (doc_remove), -ENOMEM.
int doc_set(struct doc *doc, const char *path, const char *value, struct error *err);
int doc_remove(struct doc *doc, const char *path, struct error *err);
bool doc_has(const struct doc *doc, const char *path);

// Canonical YAML in the schema's order, names sorted as they stand; with_defaults also writes what
// was left out. Parsing it back gives an equal document. Allocated; the caller frees it. NULL: no memory.
char *doc_print(const struct doc *doc, bool with_defaults);
bool doc_equal(const struct doc *a, const struct doc *b);

// What changing a value takes.
enum schema_effect {
	EFFECT_LIVE,    // packets go on
	EFFECT_PORT,    // that port is closed and opened again
	EFFECT_RESTART, // takes effect when weir-switchd is started again
};
const char *schema_effect_name(enum schema_effect effect); // "live", "reopens the port", "restart"

// Calls back for each difference in document order: path, old and new value in flow style (NULL: absent).
// Defaults count as absent on both sides. Returns the number of differences.
typedef void doc_diff_fn(void *ctx, const char *path, const char *old_value, const char *new_value,
	enum schema_effect effect);
size_t doc_diff(const struct doc *from, const struct doc *to, doc_diff_fn *fn, void *ctx);

// Completion and help: the keys that may stand below a dotted path (`ports.*` accepts any name).
typedef void schema_key_fn(void *ctx, const char *key, const char *type, const char *default_value,
	const char *about, enum schema_effect effect, bool supported);
int schema_keys(const char *path, schema_key_fn *fn, void *ctx);

// Writes the reference of all keys as Markdown: the source of docs/weir.yaml.md.
void schema_write_reference(FILE *out);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// What the schema table says about a key, and the functions that read the table. Internal to
// ctl/schema.
#ifndef WEIR_CTL_SCHEMA_KEY_H
#define WEIR_CTL_SCHEMA_KEY_H

#include <stdint.h>

#include "ctl/schema/node.h"
#include "ctl/schema/quantity.h"
#include "ctl/schema/schema.h"

struct check;

struct key {
	const char *name; // NULL ends a table
	enum key_type type;
	bool required;
	bool optional;        // TYPE_MAP: left out, it does not stand for its defaults
	const char *fallback; // the default, as YAML; NULL: none
	uint64_t min;
	uint64_t max;
	uint64_t unit; // of a quantity's field; 0: 1
	unsigned count;
	const char *const *words; // ends with NULL
	const struct key *keys;
	const char *always; // TYPE_NAMED: a name that exists even if nobody wrote it
	bool ordered;       // TYPE_NAMED: the order of the names means something
	enum schema_effect effect;
	const char *about; // one sentence; not NULL
	// Where it lands: in the structure of the map around it. TYPE_MAPS, TYPE_NAMED and
	// TYPE_NUMBERS: a pointer to an array of structures of item_size, and their number at
	// count_offset; those with names begin with the name. TYPE_NUMBERS: the integer is a field
	// of them, of size bytes at number_offset.
	size_t offset;
	size_t size;
	size_t count_offset;
	size_t item_size;
	size_t number_offset;
	void (*land)(const struct node *node, void *base);
	// TYPE_MAP, TYPE_MAPS and TYPE_NAMED: what concerns several keys, after each has landed.
	int (*finish)(struct check *check, const struct node *node, void *base);
};

extern const struct key schema_root; // TYPE_MAP over struct config

const struct key *key_find(const struct key *keys, const char *name);
// The known key nearest to a wrong one; NULL if none is near.
const struct key *key_nearest(const struct key *keys, const char *name);
bool name_is_valid(const char *name);

// describe.c: types and bounds in words, for the reference and for completion.
void key_describe(const struct key *key, char *buf, size_t size);
// What should stand there, for errors.
void key_expect(const struct key *key, char *buf, size_t size);
// "from 1 to 10"
void key_range(const struct key *key, char *buf, size_t size);

enum {
	EXPECTED_SIZE = 256
};

// A scalar against its key. On a fault, expected says in words what should stand there.
struct value {
	uint64_t number;  // TYPE_ENUM: the word's index
	const char *text; // the node's own
	struct config_prefix address;
};
bool value_parse(
	const struct key *key, const struct node *node, struct value *value, char *expected);
// A plain integer without sign or leading zero.
bool node_integer(const struct node *node, uint64_t *out);
bool key_word(const struct key *key, const char *text, uint64_t *index);
bool type_is_quantity(enum key_type type);
bool type_is_text(enum key_type type); // value_parse leaves the text as it is

// list.c: what is a list or may be one (TYPE_PEER to TYPE_PREFIXES), likewise. *culprit is the list
// or the item at fault.
bool list_parse(const struct key *key, const struct node *node, const struct node **culprit,
	char *expected);
bool type_is_list(enum key_type type);
// TYPE_WORDS, of what list_parse has accepted.
uint64_t words_bits(const struct key *key, const struct node *node);
// A scalar where a list of one may stand is its only item.
size_t list_count(const struct node *node);
const struct node *list_item(const struct node *node, size_t index);

// equal.c: do both mean the same to the key, as `300s` and `5min` do?
bool value_equal(const struct key *key, const struct node *a, const struct node *b);
// Have both maps the same keys in the same order?
bool order_equal(const struct node *a, const struct node *b);

// address.c: `52:54:00:00:00:01`, of no group and not zero; as it lies in memory, in the low 48
// bits.
bool mac_parse(const char *text, uint64_t *out);
// One address of one host that is neither loopback nor, in IPv6, link-local.
bool address_parse(const char *text, struct config_prefix *out);
// TYPE_PREFIXES, like list_parse.
bool prefixes_parse(const struct key *key, const struct node *node, const struct node **culprit,
	char *expected);

// rule.c: `tcp`, `17`, `any`.
bool protocol_parse(const struct node *node, uint64_t *out);
// `443`, `1000-2000`.
bool range_parse(const struct node *node, struct config_range *out);
// `any`, `10.0.0.0/8`, `{group: web}`. Fills peer_kind, network and group, the rest with zeros.
bool peer_parse(const struct node *node, struct config_rule *out);
// TYPE_PORTS, of what list_parse has accepted. How many.
uint16_t land_ranges(const struct node *node, struct config_range *ranges);
// Whether all keys of a map of a rule or match fit the protocol there. 0 or -EINVAL.
int check_protocol(struct check *check, const struct node *node, uint16_t protocol);

// chain.c: `any`, `{port: vm1}`, `{group: web}`, `{cidr: 10.0.0.0/8}`. Zeros elsewhere.
bool end_parse(const struct node *node, struct config_chain_end *out);

// names.c: looks up items that begin with their names.
struct names {
	size_t count;
	const char **sorted;
};
// Of an array, which must stay. false: no memory.
bool names_make(struct names *names, const void *items, size_t count, size_t item_size);
void names_free(struct names *names);
// The item of that name; NULL: there is none.
const void *names_find(const struct names *names, const char *name);

// canonical.c: puts a map's keys into the table's order; writes every default into it.
int tree_arrange(struct node *map, const struct key *keys);
int tree_complete(struct node *map, const struct key *keys);
struct node *key_default(const struct key *key);

// check.c, for finish functions: says what is wrong with node at the current path, or at one key
// below it. Returns -code.
int check_fail(struct check *check, const struct node *node, const char *key, int code,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

// land.c, rule.c, rate.c, groups.c and chain.c
void land_workers(const struct node *node, void *base);
void land_trunk(const struct node *node, void *base);
void land_members(const struct node *node, void *base);
void land_ips(const struct node *node, void *base);
void land_port_groups(const struct node *node, void *base);
void land_sports(const struct node *node, void *base);
void land_dports(const struct node *node, void *base);
void land_peer(const struct node *node, void *base);
void land_from(const struct node *node, void *base);
void land_to(const struct node *node, void *base);
void land_chain_dports(const struct node *node, void *base);
void land_hop_groups(const struct node *node, void *base);
int finish_rule(struct check *check, const struct node *node, void *base);
int finish_vlan(struct check *check, const struct node *node, void *base);
int finish_port(struct check *check, const struct node *node, void *base);
int finish_rate(struct check *check, const struct node *node, void *base);
int finish_shared(struct check *check, const struct node *node, void *base);
int finish_match(struct check *check, const struct node *node, void *base);
int finish_instance(struct check *check, const struct node *node, void *base);
int finish_hop(struct check *check, const struct node *node, void *base);
int finish_chain(struct check *check, const struct node *node, void *base);
int finish_config(struct check *check, const struct node *node, void *base);
// Whether groups that are named exist, and are not too many rules.
int check_groups(struct check *check, const struct node *root, const struct config *config);
// Whether the ports that share a rate exist and are VMs' ones.
int check_shared(struct check *check, const struct node *root, const struct config *config);
// Whether ports and groups that chains name exist, and may stand where they do.
int check_chains(struct check *check, const struct node *root, const struct config *config);

#endif

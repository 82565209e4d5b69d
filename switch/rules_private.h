// SPDX-License-Identifier: BSD-3-Clause
// The compiled groups from the inside. Internal to switch/rules*.c.
#ifndef WEIR_SWITCH_RULES_PRIVATE_H
#define WEIR_SWITCH_RULES_PRIVATE_H

#include <stdatomic.h>

#include "switch/rules.h"

struct rte_acl_ctx;

enum {
	BUILT_IN_IDS = 1 + RULE_DIRECTIONS * BUILT_IN_COUNT, // those of groups begin here
	// As many again as there can be rules: an id that is free is not given again at once, for
	// connections may still name the rule that had it.
	RULE_IDS = BUILT_IN_IDS + 2 * RULES_MAX,
};

// One rule of a group, where rte_acl's result leads to.
struct rule {
	const struct config_rule *config; // in rules->groups
	uint32_t id;
	uint16_t group;
	uint8_t direction;
	uint8_t allow;
};

// The counts of all ids, by worker; one for all rules that follow one another, so that nothing is
// lost while workers go from one to the next. A worker writes its own row, everyone reads.
struct rule_hits {
	unsigned references; // main thread
	uint16_t nworkers;
	_Atomic uint64_t of[]; // [worker][RULE_IDS]
};

static inline _Atomic uint64_t *rule_hits_at(struct rule_hits *hits, uint16_t worker, uint32_t id)
{
	return &hits->of[(size_t)worker * RULE_IDS + id];
}

// What rte_acl is to be asked for a group in a direction, else it is not.
enum group_flag {
	GROUP_HAS_ANY = 1 << 0,   // rules for any peer
	GROUP_HAS_PEERS = 1 << 1, // rules for a group
	GROUP_HAS_IPV4 = 1 << 2,  // rules for an IPv4 network
	GROUP_HAS_IPV6 = 1 << 3,
};

// A group's rules of one direction: a run of rules->rules, in their order.
struct group_rules {
	uint32_t first, count;
	uint8_t flags; // enum group_flag
};

// The rules of one direction, for rte_acl.
enum acl_kind {
	ACL_PEERS,
	ACL_IPV4,
	ACL_IPV6,
	ACL_KINDS
};
struct rules_acl {
	struct rte_acl_ctx *of[ACL_KINDS]; // NULL: no rules
};

// What rte_acl is asked by, in network byte order.
struct acl_key {
	uint8_t pad[3];
	uint8_t own_low; // the first byte, so that groups part at once
	uint8_t own_high;
	uint8_t protocol;
	uint16_t peer; // a group's number and 1; 0: anyone
	uint16_t ports[2];
	uint8_t address[16];
};

// Beside the group's higher bits: the packet has its L4 header.
enum {
	OWN_HAS_L4 = 0x80
};
_Static_assert(GROUPS_MAX >> 8 < OWN_HAS_L4, "room for the flag");

struct rules {
	uint32_t built_in; // bits
	uint16_t ngroups;
	struct config_group *groups; // a copy
	uint16_t *by_name;           // numbers of groups, sorted by their names
	struct group_rules (*of)[RULE_DIRECTIONS];
	uint32_t nrules;
	struct rule *rules; // by group and direction
	uint32_t *by_id;    // RULE_IDS - BUILT_IN_IDS: index in rules and 1; 0: none
	uint32_t next_id;   // where the search for a free one begins
	struct rules_acl acl[RULE_DIRECTIONS];
	struct rule_hits *hits;
	uint64_t compile_ns;
};

// rules_ids.c: gives rules that were in `before` (or NULL) their ids, and others new ones. -ENOMEM.
int rules_give_ids(struct rules *rules, const struct rules *before, uint16_t nworkers);
void rule_hits_put(struct rule_hits *hits);

// rules_acl.c: fills *acl, all NULL, with the rules of one direction. 0, or -errno with a sentence;
// rules_acl_fini is for both.
int rules_acl_init(struct rules_acl *acl, const struct rules *rules, enum rule_direction direction,
	struct error *err);
void rules_acl_fini(struct rules_acl *acl);

// rules_ask.c: the first rule of a group that matches: its index in rules->rules and 1; 0: none
// does. Worker.
uint32_t rules_ask(const struct rules *rules, uint16_t group, enum rule_direction direction,
	const struct group_list *peer, const struct rule_query *query);

#endif

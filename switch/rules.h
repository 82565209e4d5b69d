// SPDX-License-Identifier: BSD-3-Clause
// Security groups, compiled: what decides a first packet. One object has all groups; it is
// immutable and stays as long as no group and no built-in rule changes, whatever ports come and go,
// so it is compiled anew for changes of rules only. rte_acl does the matching (switch/rules_acl.c).
#ifndef WEIR_SWITCH_RULES_H
#define WEIR_SWITCH_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "base/packet.h"
#include "conntrack/key.h"

struct rules;

// Compiles the groups and built-in rules of a configuration, which has been checked. `before` (or
// NULL) is what they replace: rules that are the same keep their ids and counts. 0 and *out, or
// -errno with a sentence that says what to do. Takes memory of switch.memory, and 10 to 150
// microseconds for each rule, its L4 ranges counted. Main thread.
int rules_compile(struct rules **out, const struct config *config, uint16_t nworkers,
	const struct rules *before, struct error *err);
// After the grace period behind the last snapshot with it. NULL is allowed. Main thread.
void rules_free(struct rules *rules);
// Whether the configuration has other groups or built-in rules than `rules`. Main thread.
bool rules_differ(const struct rules *rules, const struct config *config);
// How long compiling took. Any thread.
uint64_t rules_compile_ns(const struct rules *rules);

// The groups that a port or an address is in, by number, in their order.
struct group_list {
	uint16_t count;
	uint16_t of[PORT_GROUPS_MAX];
};
// By name; -1: there is no such group. Main thread.
int rules_group_number(const struct rules *rules, const char *name);
// Main thread.
void rules_group_list(
	const struct rules *rules, const struct config_port *port, struct group_list *list);

enum rule_direction {
	RULE_TO_VM,
	RULE_FROM_VM,
	RULE_DIRECTIONS
};

// What is asked: a packet on its way, or the first packet of a connection as its entry tells it.
struct rule_query {
	struct conn_tuple tuple;      // of the original direction
	uint8_t icmp_type, icmp_code; // where the protocol is ICMP or ICMPv6
	bool fragment; // one without its L4 header: rules with L4 ports or ICMP types do not match
};

// Whether the groups in `own` allow it in that direction; `peer` are those of the other end (count
// 0: in none). *rule is the id of the rule that decided, 0 if none matched. Built-in rules come
// first, then the groups in their order. A port without groups is not asked about. Worker.
bool rules_allow(const struct rules *rules, enum rule_direction direction,
	const struct group_list *own, const struct group_list *peer, const struct rule_query *query,
	uint32_t *rule);
// Counts a decision of the rule with this id. Worker, with its own index.
void rules_hit(const struct rules *rules, uint16_t worker, uint32_t rule);

// The id of a built-in rule, so that ARP, which is no matter of rules_allow, can be counted too.
static inline uint32_t rules_built_in_id(
	enum config_built_in built_in, enum rule_direction direction)
{
	return 1 + RULE_DIRECTIONS * built_in + direction;
}

// For the control plane; main thread.
struct rule_info {
	const char *group; // "" for a built-in rule
	enum rule_direction direction;
	uint32_t position;              // in its group and direction, from 1
	const struct config_rule *rule; // NULL for a built-in rule
	const char *built_in;           // its name, else NULL
	uint64_t hits;                  // first packets, and packets that belong to no connection
};
// By id; false: no rule has it (now: a connection may still name one that is gone).
bool rules_info(const struct rules *rules, uint32_t id, struct rule_info *info);
// All ids are below this, not in the order of the rules.
uint32_t rules_id_end(const struct rules *rules);
// The id of a group's rule, by its position from 1; 0: there is none.
uint32_t rules_id_of(const struct rules *rules, const char *group, enum rule_direction direction,
	uint32_t position);
// The same by its position from 0 in both directions, to-vm first.
uint32_t rules_id_at(const struct rules *rules, const char *group, size_t position);
// A group's name and numbers of rules, by its position in the order of names; NULL beyond the last.
const char *rules_group_at(
	const struct rules *rules, size_t position, uint32_t counts[RULE_DIRECTIONS]);

// --- who has an address

// The addresses of ports that are in groups (`addresses.ip`), to their groups: for packets that
// come or go through a port that is in none. Of one zone: see switch/zones.h.
struct members;
// NULL: no memory. Main thread.
struct members *members_new(const struct rules *rules, struct config_port *const *ports, size_t n);
// NULL is allowed. Main thread.
void members_free(struct members *members);
// The groups of whoever has the address: of the port with the longest network that it is in, and of
// all ports with that one. Returns the network's length in bits and 1; 0: nobody, and count is 0.
// Worker.
unsigned members_find(const struct members *members, enum conn_family family,
	const uint8_t *address, struct group_list *list);
// Adds those of `from` that are not there yet, as far as there is room. Any thread.
void group_list_add(struct group_list *to, const struct group_list *from);

#endif

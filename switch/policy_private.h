// SPDX-License-Identifier: BSD-3-Clause
// What the two files of the policy stage share. Worker, all of it.
#ifndef WEIR_SWITCH_POLICY_PRIVATE_H
#define WEIR_SWITCH_POLICY_PRIVATE_H

#include "switch/policy.h"

// Both ends of a conversation, in its original direction. NULL: not known.
struct ends {
	const struct port_view *from, *to;
};

// What is asked about a connection: its first packet, by what its key tells.
void policy_query(const struct conn_key *key, unsigned original, struct rule_query *query);

// Drops the packet, counted at the port with this id.
void policy_drop(const struct pass *pass, struct packet *p, enum drop_reason reason, uint16_t port);

// Whether both ends' rules allow what the query asks; if not, the packet is dropped in the name of
// the end that denies. rules: the ids of those that allowed it, from-vm and to-vm.
bool policy_allows(const struct pass *pass, const struct ends *ends, const struct rule_query *query,
	struct packet *p, uint32_t rules[2]);

// Decides a packet that belongs to no connection and can begin none.
void policy_decide_alone(const struct pass *pass, struct packet *p, const struct ends *ends);

#endif

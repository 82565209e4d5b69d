// SPDX-License-Identifier: BSD-3-Clause
// What the files of the policy stage share. Worker, all of it.
#ifndef WEIR_SWITCH_POLICY_PRIVATE_H
#define WEIR_SWITCH_POLICY_PRIVATE_H

#include "switch/policy.h"

// Both ends of a conversation, in its original direction. NULL: not known.
struct ends {
	const struct port_view *from, *to;
};

// Whether no rules concern what goes between them: it may be tracked for a chain, but not be denied
// anything for what was seen of it.
static inline bool policy_is_liberal(const struct ends *ends)
{
	return !ends->from->groups && ends->to && !ends->to->groups;
}

// Nothing allows it: drops the packet as policy_drop does. But one that is flooded from a port
// without groups can be nobody's; then it goes on, and only ports with groups lose it in tx.
void policy_refuse(
	const struct pass *pass, struct packet *p, enum drop_reason reason, uint16_t port);

// What is asked about a packet of that direction, mostly a connection's first: what its key tells.
void policy_query(const struct conn_key *key, unsigned direction, struct rule_query *query);

// The groups of who is behind a port (NULL: not known), or, behind one without groups, of who has
// the address; those are put into *found.
const struct group_list *policy_groups_of(const struct pass *pass, const struct port_view *view,
	const struct conn_tuple *tuple, const uint8_t *address, struct group_list *found);

// What has been found out about a connection: the ids of the rules that allowed it, from-vm and
// to-vm, and the number of the chain that takes it, 0: none.
struct answer {
	uint32_t rules[2];
	uint16_t chain;
};

// Asks which chain takes what the query asks about. The packet is PACKET_CHAINED if one does, and
// not else: before it can be refused, for then it is nobody's no more.
// conn: whose packet it is; NULL: it begins one.
void policy_ask_chain(const struct pass *pass, struct packet *p, const struct conn *conn,
	const struct ends *ends, const struct rule_query *query, struct answer *answer);

// Whether the groups that are hops of that chain allow it, if not, the packet is refused.
bool policy_chain_allows(const struct pass *pass, const struct ends *ends,
	const struct rule_query *query, struct packet *p, const struct answer *answer);

// Whether both ends' rules allow what the query asks; if not, the packet is refused in the name of
// the end that denies.
bool policy_allows(const struct pass *pass, const struct ends *ends, const struct rule_query *query,
	struct packet *p, struct answer *answer);

// Begins a connection by its first packet, or refuses that.
void policy_begin(
	struct pass *pass, struct packet *p, const struct conn_key *key, const struct ends *ends);
// Goes on with a packet of the connection p->conn, or refuses it; it may begin it anew.
void policy_go_on(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct port_view *out);

// To which port a packet of the connection goes that forward sends to `out` (NULL: not known): a
// reply to what has begun behind a network function always goes there.
const struct port_view *policy_receiver(const struct pass *pass, const struct conn_key *key,
	const struct conn *conn, const struct port_view *out);
// The packet's ends in the original direction of its connection; out NULL: not known.
struct ends policy_ends_of(const struct pass *pass, const struct conn_key *key, unsigned original,
	const struct port_view *out);
// Asks chains and rules for a connection in that direction, and fills in those ends that are not
// known. False: denied, and the packet is refused.
bool policy_ask(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct conn *conn, unsigned original, struct ends *ends, struct answer *answer);
// Resolves the connection if it is not for today's policy and these ends, and fills in those that
// are not known. False: denied, and the packet is refused.
bool policy_resolve(struct pass *pass, struct packet *p, const struct conn_key *key,
	struct conn *conn, struct ends *ends);
// Whether a reply goes to the port where its connection began, or would be let in there by itself.
// False: the packet is dropped.
bool policy_reaches_asker(struct pass *pass, struct packet *p, const struct conn_key *key,
	const struct conn *conn, unsigned original, const struct port_view *out);
// Notes under which policy, between which ports and with which answer it was resolved, unless
// another worker has begun it anew since it was that generation.
void policy_note_resolved(const struct pass *pass, struct conn *conn, uint8_t generation,
	unsigned original, const struct ends *ends, const struct answer *answer);
// Notes where the MAC table has both addresses now, so that the next packet finds its way by the
// entry.
void policy_note_places(
	struct pass *pass, const struct packet *p, struct conn *conn, unsigned direction);

// Whether a packet without a key could be one for a chain, which it would get past since its
// headers cannot be told.
bool policy_evades_chain(const struct pass *pass, const struct packet *p, const struct ends *ends);
// Whether a packet to a group address, which goes past chains, is for one IP address, where a chain
// could take it. Its receivers would take it for what it is not (RFC 1122 3.3.6), and answer.
bool policy_bypasses_chain(const struct pass *pass, const struct packet *p);

// Decides a packet that belongs to no connection and can begin none.
void policy_decide_alone(const struct pass *pass, struct packet *p, const struct ends *ends);

#endif

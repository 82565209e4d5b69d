// SPDX-License-Identifier: BSD-3-Clause
// Where a connection's packets enter its chain: they go to its first network function, replies to
// the last one, instead of where forward sends them. Policy has decided, and the connection has
// advanced, as if there were no chain.
//
// What its MAC addresses are here they are again behind the NFs that route.
//
// Behind storm: what is flooded by its sender counts as such, though it goes to one port first;
// what is made a flood of here is charged here.
#include "switch/chain_way.h"
#include "switch/neighbour.h"
#include "switch/policy.h"

#include "base/likely.h"

// To an NF that is a host of this bridge goes what its chain sends there, and what finds
// neighbours.
static void keep_apart(const struct pass *pass, struct packet *p)
{
	const struct port_view *out = pass->snapshot->views[p->out_port];
	if (p->verdict != VERDICT_FORWARD || !out->is_host)
		return;
	// Of several chains' ports the tags are among their VLANs, and none of theirs.
	if (!neighbour_is(p) || (out->marks && p->vlan != out->untagged_vlan)) {
		packet_drop(p, DROP_CHAIN_STRAY);
	} else if (out->marks) {
		p->verdict = VERDICT_FLOOD; // to that port alone, by each of its chains
		storm_charge(pass, p);
	}
}

// False: where forward sends it, behind the last hop.
static bool steer(struct pass *pass, struct packet *p, struct chain_run *run)
{
	struct conn *conn = conn_at(pass->tracker.table, p->conn);
	const struct chain_view *chain = chain_of(pass, conn);
	// Ports without groups would get it past the chain.
	if (p->verdict == VERDICT_FLOOD && p->drop != DROP_NONE) {
		policy_drop(pass, p, p->drop, p->out_port);
		return true;
	}
	// Another worker has found out meanwhile, by a newer configuration or since the connection
	// is gone, that it is in no chain of this snapshot.
	if (unlikely(!chain)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return true;
	}
	unsigned direction = pass->keys[p->key].direction;
	bool reply = direction != conn_original_direction(conn);
	// An error may come from anyone on the way.
	if (unlikely(chain->has_routed) && !(p->flags & PACKET_ICMP_ERROR))
		chain_macs_note(&pass->snapshot->macs[p->conn], direction, p);
	int first = chain_begins_behind(pass, chain, conn) + 1;
	return chain_send(pass, chain, conn, p, reply, reply ? chain->nhops - 1 : first, run);
}

void stage_steer(struct pass *pass)
{
	if (likely(!pass->in->is_chained))
		return;
	struct chain_run run = {.key = 0};
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++)
		if (p->flags & PACKET_CHAINED &&
			(p->verdict == VERDICT_FORWARD || p->verdict == VERDICT_FLOOD) &&
			likely(steer(pass, p, &run)))
			continue;
		else if (unlikely(pass->in->has_hosts) && !(p->flags & PACKET_STEERED))
			keep_apart(pass, p);
	chain_run_count(&run);
}

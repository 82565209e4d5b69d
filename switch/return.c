// SPDX-License-Identifier: BSD-3-Clause
// What comes back from a network function. Its connection is found by the same key as at its ends;
// the port and the direction tell from which hop it comes. It goes on to the next one, and behind
// the last to the connection's end. The connection does not advance, and nothing is learned or
// checked: that was done where the packet entered the chain.
//
// An NF that routes gets packets at its own MAC address, and the whole network is behind Weir's:
// its questions for neighbours are answered here, and what it sends gets the addresses back that it
// had where it entered the chain.
//
// What else belongs to no connection, or to one that does not visit this instance, is lost: a
// bridge in a VM has two sides here, and what it floods would be a loop.
#include "switch/chain_way.h"
#include "switch/fragments.h"
#include "switch/keys.h"
#include "switch/neighbour.h"
#include "switch/probe_way.h"

#include "base/likely.h"

// Where the connection's instance is that this port belongs to, and the packet comes out of it on
// the side that its direction leads to; CHAIN_NO_PLACE: it does not.
static inline uint8_t place_of(const struct pass *pass, const struct chain_view *chain,
	const struct conn *conn, bool reply)
{
	uint8_t place = pass->in->places[chain->number];
	if (unlikely(place == CHAIN_NO_PLACE))
		return CHAIN_NO_PLACE;
	const struct chain_step *step = &chain->steps[place];
	return likely(step->port[reply ? CHAIN_LEFT : CHAIN_RIGHT] == pass->in->id) &&
			       likely(chain->place[conn_instance(conn, place >> 4)] == place)
		       ? place
		       : CHAIN_NO_PLACE;
}

// To the port where the connection's end is; if that is not known, to all that could be it.
static void leave(
	const struct pass *pass, const struct conn *conn, unsigned direction, struct packet *p)
{
	const struct port_view *out = pass->snapshot->views[conn_port(conn, !direction)];
	bool known = likely(out) && likely(out->zone == pass->in->zone) &&
		     likely(view_is_member(out, p->vlan)) && likely(!out->places);
	p->verdict = likely(known) ? VERDICT_FORWARD : VERDICT_FLOOD;
	p->out_port = known ? out->id : 0;
}

static void go_on(struct pass *pass, struct packet *p, uint32_t index, struct chain_run *run)
{
	struct conn *conn = conn_at(pass->tracker.table, index);
	const struct conn_key *key = &pass->keys[p->key];
	const struct chain_view *chain = NULL;
	if (likely(index))
		chain = chain_of(pass, conn);
	if (unlikely(!chain)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	p->conn = index;
	p->flags |= PACKET_CONNECTION | PACKET_CHAINED;
	bool reply = key->direction != conn_original_direction(conn);
	uint8_t place = place_of(pass, chain, conn, reply);
	if (unlikely(place == CHAIN_NO_PLACE)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	struct nf *nf = chain->steps[place].nf;
	if (unlikely(atomic_load_explicit(&nf->timed, memory_order_relaxed) == index))
		nf_time_end(nf, p, reply);
	if (unlikely(chain->steps[place].routed) &&
		unlikely(!chain_macs_restore(&pass->snapshot->macs[index], key->direction, p))) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	int hop = (place >> 4) + (reply ? -1 : 1);
	if (!chain_send(pass, chain, conn, p, reply, hop, run))
		leave(pass, conn, key->direction, p);
}

static bool is_later_fragment(const struct packet *p)
{
	return p->flags & PACKET_LATER_FRAGMENT;
}

// False: its first one was lost, and it is, too.
static bool fragment_goes_on(struct pass *pass, struct packet *p)
{
	return !is_later_fragment(p) || fragment_stays(pass, p, pass->in->zone | p->vlan);
}

// What follows of its datagram is lost with it.
static void note_first_fragment(struct pass *pass, struct packet *p)
{
	if (!is_later_fragment(p) && p->verdict == VERDICT_DROP)
		fragment_refuse(pass, p, pass->in->zone | p->vlan);
}

// What has no key: probes that have gone through it, or the NF's own, such as spanning tree. One
// that routes asks who its neighbours are.
static void end_rest(struct pass *pass)
{
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		if (p->verdict != VERDICT_NONE || probe_came_back(pass, p))
			continue;
		if (pass->in->is_routed && neighbour_answer(p, chain_mac)) {
			p->verdict = VERDICT_FORWARD;
			p->out_port = pass->in->id;
		} else {
			packet_drop(p, DROP_CHAIN_STRAY);
		}
	}
}

void stage_return(struct pass *pass)
{
	struct keyed keyed;
	struct chain_run run = {.key = 0};
	uint32_t found[BURST_MAX];
	keys_make(pass, &keyed);
	keys_find(pass, &keyed, found);
	for (unsigned i = 0; i < keyed.count; i++)
		__builtin_prefetch(&conn_at(pass->tracker.table, found[i])->chain);
	for (unsigned i = 0; i < keyed.count; i++) {
		struct packet *p = keyed.packets[i];
		if (unlikely(p->flags & PACKET_FRAGMENT) && !fragment_goes_on(pass, p))
			continue;
		go_on(pass, p, found[i], &run);
		if (unlikely(p->flags & PACKET_FRAGMENT))
			note_first_fragment(pass, p);
	}
	chain_run_count(&run);
	if (unlikely(keyed.count != pass->burst.count))
		end_rest(pass);
}

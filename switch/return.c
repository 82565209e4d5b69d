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
// One that changes addresses or L4 ports is, on its right side, a host of the bridge. What comes
// from there under no key that is known goes on from here as from a VM: connect, forward, policy,
// steer.
//
// At a port that several chains have a packet tells by a tag or by NSH which of them it is of; that
// is taken off here, and each chain's packets see none of the others' connections.
//
// What else belongs to no connection, or to one that does not visit this instance, is lost: a
// bridge in a VM has two sides here, and what it floods would be a loop.
#include "switch/chain_way.h"
#include "switch/fragments.h"
#include "switch/keys.h"
#include "switch/neighbour.h"
#include "switch/nsh.h"
#include "switch/parse.h"
#include "switch/policy.h"
#include "switch/probe_way.h"

#include <linux/if_ether.h>
#include <string.h>

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

// To the port where the connection's end is; if that is not known, to all that could be it. What
// goes to an NF goes there by its chain, or not at all.
static void leave(
	const struct pass *pass, const struct conn *conn, unsigned direction, struct packet *p)
{
	const struct port_view *out = pass->snapshot->views[conn_port(conn, !direction)];
	bool known = likely(out) && likely(out->zone == pass->in->zone) &&
		     likely(view_is_member(out, p->vlan));
	if (unlikely(known && out->places)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	p->verdict = likely(known) ? VERDICT_FORWARD : VERDICT_FLOOD;
	p->out_port = known ? out->id : 0;
}

// Advances a connection that ends, for who began it, at an NF that changes addresses: by a reply
// that comes from there. False: the packet is dropped.
static bool advance(struct pass *pass, struct packet *p, const struct conn_key *key,
	struct conn *conn, uint32_t index)
{
	if (p->flags & PACKET_ICMP_ERROR)
		return true;
	enum drop_reason reason = track_packet(&pass->tracker, index, conn, key, p);
	if (reason == TRACK_ANEW || reason == TRACK_ANEW_ANSWERED)
		reason = DROP_CHAIN_STRAY;
	if (reason != DROP_NONE)
		packet_drop(p, reason);
	return reason == DROP_NONE;
}

// At a hop of a chain that has recognised ones. What comes out of one as it went in has its state
// from its ends; but an NF that changes a connection is its other end. False: the packet is
// dropped.
static bool pass_recognised(struct pass *pass, struct packet *p, const struct chain_view *chain,
	struct conn *conn, uint32_t index, unsigned hop)
{
	const struct conn_key *key = &pass->keys[p->key];
	bool reply = key->direction != conn_original_direction(conn);
	// Replies end where the connection begins.
	if ((int)hop <= chain_begins_behind(pass, chain, conn)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return false;
	}
	if (!chain->hops[hop].recognised)
		return true;
	if (!reply)
		conn_set_unchanged(conn, hop);
	return !reply || conn_is_unchanged(conn, hop) || advance(pass, p, key, conn, index);
}

// The chain that the packet's connection is in now. One that an NF changes does not come by an end
// before it comes here, where policy would be asked anew. NULL: it is in none, or the packet is
// dropped.
static inline const struct chain_view *chain_now(
	struct pass *pass, struct packet *p, struct conn *conn)
{
	const struct chain_view *chain = chain_of(pass, conn);
	if (!chain || likely(!chain->has_recognised) ||
		likely(conn_epoch(conn) == pass->snapshot->epoch))
		return chain;
	bool allowed = policy_still_allows(pass, p, &pass->keys[p->key], conn);
	p->flags &= (uint16_t)~PACKET_CHAINED;
	return allowed ? chain_of(pass, conn) : NULL;
}

static void go_on(struct pass *pass, struct packet *p, uint32_t index, struct chain_run *run)
{
	struct conn *conn = conn_at(pass->tracker.table, index);
	const struct conn_key *key = &pass->keys[p->key];
	const struct chain_view *chain = NULL;
	if (likely(index))
		chain = chain_now(pass, p, conn);
	if (unlikely(!chain)) {
		if (p->verdict != VERDICT_DROP)
			packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	p->conn = index;
	p->flags |= PACKET_CONNECTION | PACKET_STEERED;
	bool reply = key->direction != conn_original_direction(conn);
	uint8_t place = place_of(pass, chain, conn, reply);
	if (unlikely(place == CHAIN_NO_PLACE)) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	struct nf *nf = chain->steps[place].nf;
	if (unlikely(atomic_load_explicit(&nf->timed, memory_order_relaxed) == index))
		nf_time_end(nf, p, reply);
	if (unlikely(chain->has_recognised) &&
		!pass_recognised(pass, p, chain, conn, index, place >> 4))
		return;
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

// --- towards the side where an NF is a host

// Whether it comes from there, and from nobody behind it.
static bool is_from_host(const struct pass *pass, const struct packet *p)
{
	return pass->in->is_host && chain_begins_at(pass, pass->in, p->chain) &&
	       !memcmp(p->data + 6, pass->in->mac, 6);
}

// Whether it begins a connection behind the NF, or is part of one that has begun so: in its chain,
// or in none or one that begins here no more, out of which policy takes it into its chain.
static bool is_hosts(const struct pass *pass, const struct packet *p, uint32_t index)
{
	// On this side nobody has Weir's address, though replies come from it.
	if (!index)
		return !(p->flags & PACKET_ICMP_ERROR) && is_from_host(pass, p) &&
		       memcmp(p->data, chain_mac, sizeof(chain_mac)) != 0;
	const struct conn *conn = conn_at(pass->tracker.table, index);
	unsigned direction = pass->keys[p->key].direction;
	return conn_port(conn, direction) == pass->in->id &&
	       conn_original_direction(conn) == direction && is_from_host(pass, p) &&
	       (conn_chain(conn) == p->chain || !chain_begins_at(pass, pass->in, conn_chain(conn)));
}

// Takes out of the keyed packets those that the NF sends as a host, and connects them.
static void connect_hosts(struct pass *pass, struct keyed *keyed, uint32_t found[BURST_MAX])
{
	struct keyed hosts = {.count = 0};
	uint32_t hosts_found[BURST_MAX];
	unsigned others = 0;
	for (unsigned i = 0; i < keyed->count; i++) {
		if (is_hosts(pass, keyed->packets[i], found[i])) {
			hosts.packets[hosts.count] = keyed->packets[i];
			hosts_found[hosts.count++] = found[i];
		} else {
			keyed->packets[others] = keyed->packets[i];
			found[others++] = found[i];
		}
	}
	keyed->count = others;
	connect_keyed(pass, &hosts, hosts_found);
}

// --- what tells the chain

static const struct chain_mark *mark_of(const struct port_view *in, uint16_t chain)
{
	const struct chain_mark *mark = in->marks;
	while (mark->chain != chain)
		mark = mark->next;
	return mark;
}

// NULL: there is none. Packets in a row mostly have the same one: *last, not NULL, is the one that
// was found before.
static const struct chain_mark *find_mark(
	const struct port_view *in, uint32_t value, const struct chain_mark **last)
{
	if ((*last)->value == value)
		return *last;
	const struct chain_mark *mark = in->marks;
	while (mark && mark->value != value)
		mark = mark->next;
	if (mark)
		*last = mark;
	return mark;
}

// The tag is no VLAN's: behind it the packet is of the port's own one. What has none, or another
// tag behind it, belongs to no chain.
static void take_tag(const struct port_view *in, struct packet *p, const struct chain_mark **last)
{
	const struct chain_mark *mark = find_mark(in, p->vlan, last);
	packet_set_tag(p, 0, 0);
	if (!mark || p->l3_off != ETH_HLEN) {
		packet_drop(p, DROP_CHAIN_STRAY);
		return;
	}
	p->chain = mark->chain;
	p->vlan = in->untagged_vlan;
}

// Likewise of NSH, where the NF has counted the index down. What is inside is a frame as others
// are, but without a tag.
static void take_nsh(const struct port_view *in, struct packet *p, const struct chain_mark **last)
{
	struct nsh nsh = {.path = 0};
	bool is_nsh = !(p->flags & PACKET_TAGGED) && nsh_pull(p, &nsh);
	const struct chain_mark *mark = is_nsh ? find_mark(in, nsh.path, last) : NULL;
	if (!mark || nsh.index >= mark->index)
		packet_drop(p, DROP_CHAIN_STRAY);
	if (p->verdict != VERDICT_NONE)
		return;
	p->chain = mark->chain;
	if (p->l3_off != ETH_HLEN)
		packet_drop(p, DROP_CHAIN_STRAY);
	else
		admit_addresses(p);
}

// Finds out which chain packets belong to: the one that has the port, or by what they carry.
static void take_marks(struct pass *pass)
{
	const struct chain_mark *last = pass->in->marks;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		if (p->verdict != VERDICT_NONE)
			continue;
		if (pass->in->is_nsh)
			take_nsh(pass->in, p, &last);
		else if (pass->in->marks)
			take_tag(pass->in, p, &last);
		else
			p->chain = pass->in->behind;
	}
}

// What is of another chain's connection than it tells is of none.
static void part_from_others(
	const struct pass *pass, const struct keyed *keyed, uint32_t found[BURST_MAX])
{
	for (unsigned i = 0; i < keyed->count; i++)
		if (conn_chain(conn_at(pass->tracker.table, found[i])) != keyed->packets[i]->chain)
			found[i] = 0;
}

// --- the stage

// Where an NF that routes is no host.
static bool is_asking_weir(const struct pass *pass, const struct packet *p)
{
	const struct port_view *in = pass->in;
	if (!in->is_routed || (in->is_host && chain_begins_at(pass, in, p->chain)))
		return false;
	return !in->marks || pass->snapshot->chains[p->chain]->steps[in->places[p->chain]].routed;
}

// What has no key: probes that have gone through it, or the NF's own, such as spanning tree. One
// that routes asks who its neighbours are: Weir, or, where it is a host, those themselves.
static void end_rest(struct pass *pass)
{
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		bool is_connected = p->flags & PACKET_KEYED && !packet_is_to_group(p);
		if (p->verdict != VERDICT_NONE || is_connected || probe_came_back(pass, p))
			continue;
		if (neighbour_is(p) && is_from_host(pass, p))
			continue;
		if (is_asking_weir(pass, p) && neighbour_answer(p, chain_mac)) {
			p->verdict = VERDICT_FORWARD;
			p->out_port = pass->in->id;
			p->flags |= PACKET_STEERED; // the port may be a host's in other chains
			if (pass->in->marks)
				chain_tell_mark(pass->in, mark_of(pass->in, p->chain), p);
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
	if (unlikely(pass->in->is_host) || unlikely(pass->in->marks))
		take_marks(pass);
	if (unlikely(pass->in->gets_echoes))
		probes_end_echoes(pass);
	keys_make(pass, &keyed);
	keys_find(pass, &keyed, found);
	unsigned keys = keyed.count;
	if (unlikely(pass->in->is_host))
		connect_hosts(pass, &keyed, found);
	if (unlikely(pass->in->marks))
		part_from_others(pass, &keyed, found);
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
	if (unlikely(keys != pass->burst.count))
		end_rest(pass);
}

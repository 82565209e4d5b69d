// SPDX-License-Identifier: BSD-3-Clause
// The way of a connection's packets along its chain. Worker, all of it.
#ifndef WEIR_SWITCH_CHAIN_WAY_H
#define WEIR_SWITCH_CHAIN_WAY_H

#include "base/likely.h"
#include "switch/chain_macs.h"
#include "switch/pipeline.h"

// The chain that a connection is in; NULL: none of this snapshot's.
static inline const struct chain_view *chain_of(const struct pass *pass, const struct conn *conn)
{
	uint16_t number = conn_chain(conn);
	return number < CONN_CHAINS ? pass->snapshot->chains[number] : NULL;
}

// The chain that takes a connection which begins between these ports (to NULL: not known), by its
// number; 0: none does. The tuple is of its original direction.
uint16_t chain_match(const struct pass *pass, const struct port_view *from,
	const struct port_view *to, const struct conn_tuple *tuple);

// Whether one could take what goes between these ports (to NULL: to whichever), if what cannot be
// told were the right thing: of what is not readable its protocol and L4 ports, too.
bool chain_may_match(const struct pass *pass, const struct port_view *from,
	const struct port_view *to, const struct conn_tuple *tuple, bool readable);

// Whether a chain that tells what it takes by L4 ports could take what goes to this port from
// whichever.
bool chain_may_come(
	const struct pass *pass, const struct port_view *to, const struct conn_tuple *tuple);

// As chain_begins_behind, where a hop of the chain is recognised.
int chain_find_begin(
	const struct pass *pass, const struct chain_view *chain, const struct conn *conn);

// The hop that the connection begins behind; -1: it begins at an end.
static inline int chain_begins_behind(
	const struct pass *pass, const struct chain_view *chain, const struct conn *conn)
{
	return likely(!chain->has_recognised) ? -1 : chain_find_begin(pass, chain, conn);
}

// Whether connections begin in that chain behind an NF at this port, a host's.
static inline bool chain_begins_at(
	const struct pass *pass, const struct port_view *view, uint16_t number)
{
	const struct chain_view *chain = number < CONN_CHAINS ? pass->snapshot->chains[number]
							      : NULL;
	if (!chain || view->places[number] == CHAIN_NO_PLACE)
		return false;
	const struct chain_step *step = &chain->steps[view->places[number]];
	return chain->hops[view->places[number] >> 4].recognised &&
	       step->port[CHAIN_RIGHT] == view->id;
}

// The port of an NF behind which the connection begins, to which replies go, whatever address they
// have; NULL: it begins at an end.
static inline const struct port_view *chain_host_of(
	const struct pass *pass, const struct conn *conn)
{
	if (likely(!conn_is_chained(conn)))
		return NULL;
	uint16_t port = conn_port(conn, conn_original_direction(conn));
	const struct port_view *view = pass->snapshot->views[port];
	return view && view->is_host && chain_begins_at(pass, view, conn_chain(conn)) ? view : NULL;
}

// Chooses the instances that a connection in this chain visits: at each hop the one it has, if that
// is in service, else by its hash one of those that are. None is: it keeps what it has.
void chain_choose(const struct pass *pass, const struct chain_view *chain, struct conn *conn);

// One more connection has come into it.
static inline void chain_count_begun(const struct chain_view *chain, uint16_t worker)
{
	_Atomic uint64_t *begun = &chain->chain->begun[worker].connections;
	atomic_store_explicit(
		begun, atomic_load_explicit(begun, memory_order_relaxed) + 1, memory_order_relaxed);
}

// --- sending

static inline bool chain_is_in_service(const struct nf *nf)
{
	return atomic_load_explicit(&nf->state, memory_order_relaxed) == INSTANCE_IN_SERVICE;
}

// In service, and the packets of this bridge and VLAN find their connection when they come back.
static inline bool chain_is_usable(const struct chain_step *step, uint32_t zone, uint16_t vlan)
{
	if (unlikely(step->zone != zone))
		return step->zone == (zone | vlan | CHAIN_TOLD) && chain_is_in_service(step->nf);
	return likely(chain_is_in_service(step->nf)) &&
	       likely(view_is_member(step->view[CHAIN_LEFT], vlan)) &&
	       likely(view_is_member(step->view[CHAIN_RIGHT], vlan));
}

static inline const struct chain_step *chain_step_at(const struct pass *pass,
	const struct chain_view *chain, const struct conn *conn, unsigned hop, uint16_t vlan)
{
	uint8_t place = chain->place[conn_instance(conn, hop)];
	if (unlikely(place >> 4 != hop))
		return NULL;
	const struct chain_step *step = &chain->steps[place];
	return likely(chain_is_usable(step, pass->in->zone, vlan)) ? step : NULL;
}

static inline struct counter *chain_counter(
	const struct pass *pass, const struct chain_step *step, bool reply)
{
	struct nf_counters *counters = &step->nf->counters[pass->worker];
	return reply ? &counters->reply : &counters->original;
}

// Has the packet, which goes to an instance on that side, tell its chain if the instance's do.
void chain_tell(const struct chain_step *step, struct packet *p, enum chain_side side);

// Has it tell the chain that has this mark at the port to which it goes.
void chain_tell_mark(const struct port_view *out, const struct chain_mark *mark, struct packet *p);

// Makes it what the NF is to get: addresses, and what tells the chain. Not inline: hops that need
// none of it would pay for the registers.
void chain_dress(const struct chain_step *step, struct packet *p, enum chain_side side);

static inline void chain_output(const struct chain_step *step, struct packet *p, bool reply)
{
	enum chain_side side = reply ? CHAIN_RIGHT : CHAIN_LEFT;
	p->verdict = VERDICT_FORWARD;
	p->out_port = step->port[side];
	if (unlikely(step->is_dressed))
		chain_dress(step, p, side);
}

// As chain_send, wherever the connection's instance is not in service.
bool chain_send_instead(const struct pass *pass, const struct chain_view *chain, struct conn *conn,
	struct packet *p, bool reply, int hop);

// A stage's run of packets to one instance: packets in a row mostly go to the same one. What that
// is worth is found, and what it got is counted, once for all of them.
struct chain_run {
	uint64_t key; // 0: there is none yet
	const struct chain_step *step;
	struct counter *counter;
	uint32_t packets, bytes;
};

_Static_assert(CHAIN_HOPS_MAX <= 8 && VLAN_COUNT <= 1 << 12 && CONN_INSTANCES <= 1 << 8,
	"what a run's key is made of");

static inline uint64_t chain_run_key(
	const struct chain_view *chain, uint8_t instance, unsigned hop, bool reply, uint16_t vlan)
{
	uint32_t where = (uint32_t)instance << 16 | (uint32_t)reply << 15 | hop << 12 | vlan;
	return (uint64_t)chain->number << 32 | where;
}

// Counts what it has. To be called behind the last packet, too.
static inline void chain_run_count(struct chain_run *run)
{
	if (run->packets)
		counter_add(run->counter, run->packets, run->bytes);
	run->packets = run->bytes = 0;
}

// Begins another one. False: the connection's instance is not in service.
bool chain_run_begin(const struct pass *pass, const struct chain_view *chain,
	const struct conn *conn, const struct packet *p, bool reply, unsigned hop,
	struct chain_run *run);

// Sends a packet of a connection in this chain to its instance at a hop, or, where an open hop has
// none in service, at the next one; of a reply the hop before. Behind the last hop (`hop` is nhops,
// of a reply -1) false: the packet is left as it is. True: it has its output, or is dropped at a
// closed hop.
static inline bool chain_send(const struct pass *pass, const struct chain_view *chain,
	struct conn *conn, struct packet *p, bool reply, int hop, struct chain_run *run)
{
	if (hop < 0 || hop >= chain->nhops)
		return false;
	uint64_t key = chain_run_key(
		chain, conn_instance(conn, (unsigned)hop), (unsigned)hop, reply, p->vlan);
	if (unlikely(key != run->key) &&
		unlikely(!chain_run_begin(pass, chain, conn, p, reply, (unsigned)hop, run)))
		return chain_send_instead(pass, chain, conn, p, reply, hop);
	run->packets++;
	run->bytes += p->len;
	chain_output(run->step, p, reply);
	return true;
}

#endif

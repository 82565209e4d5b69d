// SPDX-License-Identifier: BSD-3-Clause
// The way of a connection's packets along its chain. Worker, all of it.
#ifndef WEIR_SWITCH_CHAIN_WAY_H
#define WEIR_SWITCH_CHAIN_WAY_H

#include "base/likely.h"
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
	return likely(step->zone == zone) && likely(chain_is_in_service(step->nf)) &&
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

static inline void chain_send_to(
	const struct pass *pass, const struct chain_step *step, struct packet *p, bool reply)
{
	struct nf_counters *counters = &step->nf->counters[pass->worker];
	counter_add(reply ? &counters->reply : &counters->original, 1, p->len);
	p->verdict = VERDICT_FORWARD;
	p->out_port = step->port[reply ? CHAIN_RIGHT : CHAIN_LEFT];
}

// As chain_send, wherever the connection's instance is not in service.
bool chain_send_instead(const struct pass *pass, const struct chain_view *chain, struct conn *conn,
	struct packet *p, bool reply, int hop);

// Sends a packet of a connection in this chain to its instance at a hop, or, where an open hop has
// none in service, at the next one; of a reply the hop before. Behind the last hop (`hop` is nhops,
// of a reply -1) false: the packet is left as it is. True: it has its output, or is dropped at a
// closed hop.
static inline bool chain_send(const struct pass *pass, const struct chain_view *chain,
	struct conn *conn, struct packet *p, bool reply, int hop)
{
	if (hop < 0 || hop >= chain->nhops)
		return false;
	const struct chain_step *step = chain_step_at(pass, chain, conn, (unsigned)hop, p->vlan);
	if (unlikely(!step))
		return chain_send_instead(pass, chain, conn, p, reply, hop);
	chain_send_to(pass, step, p, reply);
	return true;
}

#endif

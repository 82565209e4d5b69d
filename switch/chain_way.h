// SPDX-License-Identifier: BSD-3-Clause
// The way of a connection's packets along its chain. Worker, all of it.
#ifndef WEIR_SWITCH_CHAIN_WAY_H
#define WEIR_SWITCH_CHAIN_WAY_H

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

// Whether one could take what goes between these ports, if its protocol and L4 ports, which cannot
// be told, were the right ones.
bool chain_may_match(const struct pass *pass, const struct port_view *from,
	const struct port_view *to, const struct conn_tuple *tuple);

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

// Sends a packet of a connection in this chain to its instance at a hop, or, where an open hop has
// none in service, at the next one; of a reply the hop before. Behind the last hop (`hop` is nhops,
// of a reply -1) false: the packet is left as it is. True: it has its output, or is dropped at a
// closed hop.
bool chain_send(const struct pass *pass, const struct chain_view *chain, struct conn *conn,
	struct packet *p, bool reply, int hop);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// How many connections each chain has, and each instance in it.
//
// Synchronisation: a number in `chain` or `instances` stands for one that is counted, and whoever
// exchanges it for another counts it down. Workers hold the entry's lock for that. Whoever removes
// the entry does not: it writes `chain` and then takes the instances, and a worker writes an
// instance and then looks at `chain`; so one of the two sees what the other has done. A worker that
// writes `chain` has taken the instances before, so that they never stand beside another chain.
#include "conntrack/table_inner.h"

static void count(struct conn_table *t, uint16_t chain, uint8_t instance)
{
	atomic_fetch_add_explicit(&t->chained[chain][instance], 1, memory_order_relaxed);
}

static void uncount(struct conn_table *t, uint16_t chain, uint8_t instance)
{
	atomic_fetch_sub_explicit(&t->chained[chain][instance], 1, memory_order_relaxed);
}

static void exchange(
	struct conn_table *t, struct conn *conn, uint16_t chain, unsigned hop, uint8_t instance)
{
	if (conn_instance(conn, hop) == instance)
		return;
	if (instance)
		count(t, chain, instance);
	// Another one may do something else with it.
	if (conn_is_unchanged(conn, hop))
		atomic_fetch_and_explicit(
			&conn->unchanged, (uint8_t) ~(1u << hop), memory_order_relaxed);
	uint8_t before = atomic_exchange(&conn->instances[hop], instance);
	if (before)
		uncount(t, chain, before);
}

static void forget_all(struct conn_table *t, struct conn *conn, uint16_t chain)
{
	for (unsigned hop = 0; hop < CHAIN_HOPS_MAX; hop++)
		exchange(t, conn, chain, hop, 0);
}

void chain_take(struct conn_table *t, struct conn *conn, uint16_t chain)
{
	uint16_t before = conn_chain(conn);
	if (chain)
		atomic_fetch_or_explicit(&conn->flags, CONN_CHAINED, memory_order_relaxed);
	else if (conn_is_chained(conn))
		atomic_fetch_and_explicit(
			&conn->flags, (uint8_t)~CONN_CHAINED, memory_order_relaxed);
	if (before == chain || before == CONN_CHAIN_GONE)
		return;
	if (before)
		forget_all(t, conn, before);
	if (chain)
		count(t, chain, 0);
	// It fails where the entry is being removed: that has counted `before` down.
	uint16_t was = before;
	if (!atomic_compare_exchange_strong(&conn->chain, &was, chain))
		before = chain;
	if (before)
		uncount(t, before, 0);
}

void conn_choose(struct conn_table *t, struct conn *conn, uint16_t chain,
	const uint8_t instances[CHAIN_HOPS_MAX])
{
	conn_lock(t, conn);
	if (conn_chain(conn) == chain) {
		for (unsigned hop = 0; hop < CHAIN_HOPS_MAX; hop++)
			exchange(t, conn, chain, hop, instances[hop]);
		if (atomic_load(&conn->chain) != chain)
			forget_all(t, conn, chain);
	}
	conn_unlock(t, conn);
}

void chain_leave(struct conn_table *t, struct conn *conn)
{
	uint16_t chain = atomic_exchange(&conn->chain, CONN_CHAIN_GONE);
	if (!chain || chain == CONN_CHAIN_GONE)
		return;
	uncount(t, chain, 0);
	forget_all(t, conn, chain);
}

uint32_t conn_count_in(const struct conn_table *t, uint16_t chain, uint8_t instance)
{
	return atomic_load_explicit(&t->chained[chain][instance], memory_order_relaxed);
}

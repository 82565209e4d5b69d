// SPDX-License-Identifier: BSD-3-Clause
// An entry's way into the table, its due time and its lock. The rules are in conntrack/table.c.
#include <errno.h>
#include <string.h>

#include "conntrack/table_inner.h"

static void add_relaxed(_Atomic uint64_t *count)
{
	atomic_store_explicit(
		count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

int conn_reserve(struct conn_table *t, uint16_t worker, const struct conn_key *key, uint16_t owner,
	uint32_t limit, uint32_t now_s, uint32_t *index)
{
	if (!owner_take(t, owner, owner ? limit : 0))
		return -EDQUOT;
	*index = vacant_take(t, worker);
	if (unlikely(!*index)) {
		conn_owner_give(t, owner);
		add_relaxed(&t->caches[worker].full);
		return -ENOSPC;
	}
	struct conn *conn = conn_at(t, *index);
	memset(conn, 0, sizeof(*conn));
	conn->id = key->id;
	if (conn_id_family(&key->id) == CONN_IPV6)
		memcpy(conn->addresses, key->v6, sizeof(conn->addresses));
	conn->hash = key->hash;
	atomic_store_explicit(&conn->created_s, now_s, memory_order_relaxed);
	atomic_store_explicit(&conn->owner, owner, memory_order_relaxed);
	return 0;
}

void conn_cancel(struct conn_table *t, uint16_t worker, uint32_t index)
{
	owner_leave(t, conn_at(t, index));
	chain_leave(t, conn_at(t, index));
	vacant_give(t, worker, index);
}

uint32_t conn_publish(struct conn_table *t, uint16_t worker, uint32_t index, uint32_t due_s)
{
	uint32_t result = index_add(t, index, due_s);
	if (likely(result == index)) {
		add_relaxed(&t->caches[worker].created);
		return index;
	}
	if (!result)
		add_relaxed(&t->caches[worker].full);
	conn_cancel(t, worker, index);
	return result;
}

void conn_due(struct conn_table *t, uint32_t index, uint32_t due_s)
{
	_Atomic uint32_t *due = &t->due[index];
	// The state before the look at the time, as the janitor writes the time before it looks at
	// the state again: one of the two sees what the other has written.
	atomic_thread_fence(memory_order_seq_cst);
	uint32_t now = atomic_load_explicit(due, memory_order_relaxed);
	due_s = due_s ? due_s : 1;
	while (now && (int32_t)(due_s - now) < 0 &&
		!atomic_compare_exchange_weak_explicit(
			due, &now, due_s, memory_order_relaxed, memory_order_relaxed)) {
	}
}

void conn_lock(struct conn_table *t, struct conn *conn)
{
	if (!t->head.alone)
		spin_lock(&conn->lock);
}

void conn_unlock(struct conn_table *t, struct conn *conn)
{
	if (!t->head.alone)
		spin_unlock(&conn->lock);
}

static void note_liberal(struct conn *conn, bool liberal)
{
	uint8_t flags = atomic_load_explicit(&conn->flags, memory_order_relaxed);
	if (liberal && !(flags & CONN_LIBERAL))
		atomic_fetch_or_explicit(&conn->flags, CONN_LIBERAL, memory_order_relaxed);
	else if (!liberal && flags & CONN_LIBERAL)
		atomic_fetch_and_explicit(
			&conn->flags, (uint8_t)~CONN_LIBERAL, memory_order_relaxed);
}

void conn_resolve(struct conn_table *t, struct conn *conn, uint8_t generation,
	const struct conn_resolved *resolved)
{
	conn_lock(t, conn);
	if (conn_generation(conn) == generation) {
		for (unsigned i = 0; i < 2; i++) {
			atomic_store_explicit(
				&conn->rules[i], resolved->rules[i], memory_order_relaxed);
			atomic_store_explicit(
				&conn->ports[i], resolved->ports[i], memory_order_relaxed);
		}
		chain_take(t, conn, resolved->chain);
		note_liberal(conn, resolved->liberal);
		atomic_store_explicit(&conn->epoch, resolved->epoch, memory_order_relaxed);
	}
	conn_unlock(t, conn);
}

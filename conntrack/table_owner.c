// SPDX-License-Identifier: BSD-3-Clause
// Whom connections count for, and what goes before its time for that: at the limit of a port some
// of those that came to it, and all of a port that leaves. Packets and the main thread only set
// flags; the janitor removes, in passes over the table. The rules are in conntrack/table.c.
#include "conntrack/table_inner.h"

// Has the janitor look for those that came to a port and may go. What is set already was set by
// another packet of the same flood.
static void note_limit(struct conn_table *t, uint16_t owner)
{
	_Atomic bool *at_limit = &t->header->at_limit[conn_owner_port(owner)];
	if (!conn_owner_came(owner) || atomic_load_explicit(at_limit, memory_order_relaxed))
		return;
	atomic_store_explicit(at_limit, true, memory_order_relaxed);
	atomic_store_explicit(&t->header->limits, true, memory_order_release);
}

// A loop: nobody may be refused for one that is refused itself.
bool owner_take(struct conn_table *t, uint16_t owner, uint32_t limit)
{
	_Atomic uint32_t *count = &t->header->of_owner[owner];
	if (!limit) {
		atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
		return true;
	}
	uint32_t now = atomic_load_explicit(count, memory_order_relaxed);
	do {
		if (now >= limit) {
			note_limit(t, owner);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		count, &now, now + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

void conn_owner_give(struct conn_table *t, uint16_t owner)
{
	atomic_fetch_sub_explicit(&t->header->of_owner[owner], 1, memory_order_relaxed);
}

bool conn_owner_take(struct conn_table *t, const struct conn *conn, uint16_t owner, uint32_t limit)
{
	bool same = atomic_load_explicit(&conn->owner, memory_order_relaxed) == owner;
	return owner_take(t, owner, same ? 0 : limit);
}

void conn_owner_change(struct conn_table *t, struct conn *conn, uint16_t owner)
{
	uint16_t before = atomic_load_explicit(&conn->owner, memory_order_relaxed);
	do {
		if (before == OWNER_GONE) {
			conn_owner_give(t, owner);
			return;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&conn->owner, &before, owner, memory_order_relaxed, memory_order_relaxed));
	conn_owner_give(t, before);
}

void owner_leave(struct conn_table *t, struct conn *conn)
{
	conn_owner_give(
		t, atomic_exchange_explicit(&conn->owner, OWNER_GONE, memory_order_relaxed));
}

// --- ports that leave

void conn_port_leaves(struct conn_table *t, uint16_t port)
{
	uint32_t pass = atomic_load_explicit(&t->header->look_again, memory_order_relaxed) + 1;
	atomic_store_explicit(&t->header->leaves[port], pass, memory_order_relaxed);
	conn_look_again(t);
}

bool conn_port_is_leaving(const struct conn_table *t, uint16_t port)
{
	uint32_t pass = atomic_load_explicit(&t->header->leaves[port], memory_order_relaxed);
	uint32_t done = atomic_load_explicit(&t->header->looked, memory_order_acquire);
	return pass && (int32_t)(done - pass) < 0;
}

bool owner_leaves(const struct conn_table *t, struct conn *conn)
{
	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = atomic_load_explicit(&conn->ports[i], memory_order_relaxed);
		// It fails if a worker has found out meanwhile where that end is now.
		if (conn_port_is_leaving(t, port))
			atomic_compare_exchange_strong_explicit(&conn->ports[i], &port, 0,
				memory_order_relaxed, memory_order_relaxed);
	}
	return conn_port_is_leaving(
		t, conn_owner_port(atomic_load_explicit(&conn->owner, memory_order_relaxed)));
}

// --- limits

void limits_look(struct conn_table *t)
{
	struct header *h = t->header;
	if (t->limits_left || !atomic_exchange_explicit(&h->limits, false, memory_order_acquire))
		return;
	for (unsigned port = 0; port < PORT_IDS; port++)
		t->at_limit[port] = atomic_load_explicit(
					    &h->at_limit[port], memory_order_relaxed) &&
				    atomic_exchange_explicit(
					    &h->at_limit[port], false, memory_order_relaxed);
	t->limits_left = t->capacity;
}

bool limits_want_out(
	const struct conn_table *t, const struct conn *conn, enum conn_state state, uint32_t now_s)
{
	if (!t->limits_left)
		return false;
	uint16_t owner = atomic_load_explicit(&conn->owner, memory_order_relaxed);
	uint32_t created_s = atomic_load_explicit(&conn->created_s, memory_order_relaxed);
	return conn_owner_came(owner) && t->at_limit[conn_owner_port(owner)] &&
	       conn_state_class(state) != CONN_CLASS_IN_USE &&
	       (int32_t)(now_s - created_s) > ANSWER_WITHIN_S;
}

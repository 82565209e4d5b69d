// SPDX-License-Identifier: BSD-3-Clause
// What the control plane looks at. It holds `reading` and no lock that a worker could want.
#include <string.h>

#include "conntrack/table_inner.h"

bool conn_remove(struct conn_table *t, uint32_t index, const struct conn_id *id)
{
	if (!index || index > t->capacity)
		return false;
	pthread_mutex_lock(&t->reading);
	struct conn *conn = conn_at(t, index);
	bool was = atomic_load_explicit(&t->due[index], memory_order_acquire) &&
		   !memcmp(&conn->id, id, sizeof(*id)) && index_remove(t, index);
	if (was) {
		owner_leave(t, conn);
		chain_leave(t, conn);
		vacant_wait(t, &index, 1);
		atomic_fetch_add_explicit(&t->header->removed, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&t->reading);
	return was;
}

// A worker may be writing them: where there is one only, it takes no lock for that, and it must not
// wait for this thread anyway. So a side is taken word by word.
__attribute__((no_sanitize("thread"))) static void copy_sides(
	struct conn_side *to, const struct conn_side *from)
{
	for (unsigned i = 0; i < 2; i++) {
		const volatile struct conn_side *side = &from[i];
		to[i] = (struct conn_side){
			.end = side->end,
			.limit = side->limit,
			.window = side->window,
			.scale = side->scale,
			.flags = side->flags,
		};
	}
}

static void view_of(const struct conn *conn, uint32_t index, struct conn_view *view)
{
	*view = (struct conn_view){
		.index = index,
		.key = {.id = conn->id,
			.hash = conn->hash,
			.direction = (uint8_t)conn_original_direction(conn)},
		.state = atomic_load_explicit(&conn->state, memory_order_relaxed),
		.flags = atomic_load_explicit(&conn->flags, memory_order_relaxed),
		.owner = atomic_load_explicit(&conn->owner, memory_order_relaxed),
		.epoch = atomic_load_explicit(&conn->epoch, memory_order_relaxed),
		.seen_s = atomic_load_explicit(&conn->seen_s, memory_order_relaxed),
		.created_s = atomic_load_explicit(&conn->created_s, memory_order_relaxed),
	};
	memcpy(view->key.v6, conn->addresses, sizeof(view->key.v6));
	for (unsigned i = 0; i < 2; i++) {
		view->ports[i] = atomic_load_explicit(&conn->ports[i], memory_order_relaxed);
		view->rules[i] = atomic_load_explicit(&conn->rules[i], memory_order_relaxed);
		view->packets[i] =
			(uint64_t)atomic_load_explicit(&conn->packets_high[i], memory_order_relaxed)
				<< 32 |
			atomic_load_explicit(&conn->packets[i], memory_order_relaxed);
		view->bytes[i] = atomic_load_explicit(&conn->bytes[i], memory_order_relaxed);
	}
	// Of an entry that is being removed the chain is no number.
	if (conn_chain(conn) < CONN_CHAINS)
		view->chain = conn_chain(conn);
	for (unsigned hop = 0; hop < CHAIN_HOPS_MAX; hop++)
		view->instances[hop] = conn_instance(conn, hop);
	copy_sides(view->sides, conn->sides);
}

static bool view_held(const struct conn_table *t, uint32_t index, struct conn_view *view)
{
	if (!atomic_load_explicit(&t->due[index], memory_order_acquire))
		return false;
	view_of(conn_at(t, index), index, view);
	return true;
}

uint32_t conn_walk(const struct conn_table *table, uint32_t *cursor, uint32_t scan,
	struct conn_view *views, uint32_t max)
{
	struct conn_table *t = (struct conn_table *)table;
	uint32_t n = 0, i = *cursor ? *cursor : 1;
	pthread_mutex_lock(&t->reading);
	for (; scan && i <= t->capacity && n < max; scan--, i++)
		n += view_held(t, i, &views[n]);
	pthread_mutex_unlock(&t->reading);
	*cursor = i <= t->capacity ? i : 0;
	return n;
}

bool conn_view_at(const struct conn_table *table, uint32_t index, struct conn_view *view)
{
	struct conn_table *t = (struct conn_table *)table;
	if (!index || index > t->capacity)
		return false;
	pthread_mutex_lock(&t->reading);
	bool there = view_held(t, index, view);
	pthread_mutex_unlock(&t->reading);
	return there;
}

uint32_t conn_count_of(const struct conn_table *t, uint16_t owner)
{
	return atomic_load_explicit(&t->header->of_owner[owner], memory_order_relaxed);
}

void conn_table_stats(const struct conn_table *t, struct conn_stats *stats)
{
	uint32_t waiting, vacant = vacant_count(t, &waiting);
	*stats = (struct conn_stats){
		.capacity = t->capacity,
		.used = vacant + waiting < t->capacity ? t->capacity - vacant - waiting : 0,
		.expired = atomic_load_explicit(&t->header->expired, memory_order_relaxed),
		.evicted = atomic_load_explicit(&t->header->evicted, memory_order_relaxed),
		.removed = atomic_load_explicit(&t->header->removed, memory_order_relaxed),
		.bytes = t->header->bytes,
		.hugepages = t->hugepages,
	};
	for (uint32_t i = 0; i < t->header->nworkers; i++) {
		const struct cache *cache = &t->caches[i];
		stats->created += atomic_load_explicit(&cache->created, memory_order_relaxed);
		stats->full += atomic_load_explicit(&cache->full, memory_order_relaxed);
	}
}

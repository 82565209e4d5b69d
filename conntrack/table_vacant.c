// SPDX-License-Identifier: BSD-3-Clause
// Free entries: caches of the workers, and the ring that they share with those that wait for a
// grace period. The rules are in conntrack/table.c.
#include "conntrack/table_inner.h"

// A place in the ring. Its size is no power of two, for that would double it.
static uint32_t *ring_at(const struct conn_table *t, uint64_t position)
{
	return &t->ring[position % t->capacity];
}

// Fills an empty cache as far as the ring has free entries. Under the cache's lock.
static uint32_t refill(struct conn_table *t, struct cache *cache)
{
	struct vacant *v = &t->header->vacant;
	// Looked at without the lock first: a full table makes nobody wait.
	if (relaxed(&v->head) == relaxed(&v->ripe))
		return 0;
	spin_lock(&v->lock);
	uint64_t head = relaxed(&v->head), ready = relaxed(&v->ripe) - head;
	uint32_t n = ready < CACHE_BATCH ? (uint32_t)ready : CACHE_BATCH;
	// The last one in is the first one out.
	for (uint32_t i = 0; i < n; i++)
		cache->entries[n - 1 - i] = *ring_at(t, head + i);
	atomic_store_explicit(&v->head, head + n, memory_order_relaxed);
	spin_unlock(&v->lock);
	return n;
}

// Gives a batch of a full cache to the ring's free side. Under the cache's lock.
static void spill(struct conn_table *t, struct cache *cache)
{
	struct vacant *v = &t->header->vacant;
	spin_lock(&v->lock);
	uint64_t head = relaxed(&v->head);
	for (uint32_t i = 0; i < CACHE_BATCH; i++)
		*ring_at(t, --head) = cache->entries[CACHE_ENTRIES - 1 - i];
	atomic_store_explicit(&v->head, head, memory_order_relaxed);
	spin_unlock(&v->lock);
}

static void prefetch_entry(const struct conn_table *t, uint32_t index)
{
	const char *conn = (const char *)conn_at(t, index);
	for (unsigned line = 0; line < sizeof(struct conn); line += 64)
		__builtin_prefetch(conn + line, 1);
	__builtin_prefetch(&t->due[index], 1);
}

static uint32_t take_from(struct conn_table *t, struct cache *cache, bool own)
{
	if (!own && !atomic_load_explicit(&cache->count, memory_order_relaxed))
		return 0;
	spin_lock(&cache->lock);
	uint32_t count = atomic_load_explicit(&cache->count, memory_order_relaxed);
	if (!count && own)
		count = refill(t, cache);
	uint32_t index = count ? cache->entries[--count] : 0;
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
	// The one that is to be next lies in cold lines.
	if (count)
		prefetch_entry(t, cache->entries[count - 1]);
	spin_unlock(&cache->lock);
	return index;
}

uint32_t vacant_take(struct conn_table *t, uint16_t worker)
{
	uint32_t index = take_from(t, &t->caches[worker], true);
	// The table holds as many as it says, so the last ones are taken from other workers.
	for (uint32_t i = 0; i < t->header->nworkers && !index; i++)
		index = take_from(t, &t->caches[i], false);
	return index;
}

void vacant_give(struct conn_table *t, uint16_t worker, uint32_t index)
{
	struct cache *cache = &t->caches[worker];
	spin_lock(&cache->lock);
	uint32_t count = atomic_load_explicit(&cache->count, memory_order_relaxed);
	if (count == CACHE_ENTRIES) {
		spill(t, cache);
		count -= CACHE_BATCH;
	}
	cache->entries[count++] = index;
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
	spin_unlock(&cache->lock);
}

void vacant_wait(struct conn_table *t, const uint32_t *entries, uint32_t n)
{
	struct vacant *v = &t->header->vacant;
	spin_lock(&v->lock);
	uint64_t tail = relaxed(&v->tail);
	for (uint32_t i = 0; i < n; i++)
		*ring_at(t, tail++) = entries[i];
	atomic_store_explicit(&v->tail, tail, memory_order_relaxed);
	spin_unlock(&v->lock);
}

uint32_t vacant_count(const struct conn_table *t, uint32_t *waiting)
{
	const struct vacant *v = &t->header->vacant;
	// Of moments apart: a difference may be wrong by what happens in between, even negative.
	uint64_t head = relaxed(&v->head), ripe = relaxed(&v->ripe), tail = relaxed(&v->tail);
	*waiting = tail > ripe ? (uint32_t)(tail - ripe) : 0;
	uint32_t count = ripe > head ? (uint32_t)(ripe - head) : 0;
	for (uint32_t i = 0; i < t->header->nworkers; i++)
		count += atomic_load_explicit(&t->caches[i].count, memory_order_relaxed);
	return count;
}

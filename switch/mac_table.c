// SPDX-License-Identifier: BSD-3-Clause
// Life cycle: a table lives as long as its bridge; workers reach it through the snapshot, so it is
// freed after the grace period that follows the snapshot without that bridge.
//
// An entry's: free (key 0) → learned → refreshed (seen_s) or moved (target) → forgotten (key 0).
// Its place never moves while it is known, so index and version name it.
//
// Synchronisation: readers take no lock. They read key, target and key again: equal keys mean that
// target belonged to that key. Writers that change key or target hold `lock`; seen_s is stored by
// any worker, and only when the second has changed, so a busy entry's line stays shared.
//
// Lock order: `lock` is innermost and a spinlock: writers are workers, which must not sleep; it is
// held for two buckets at the most, or for one bucket at a time in sweeps.
//
// Two candidate buckets per key, the second only read when the first has no match: bounded probes
// whatever a guest invents. If both are full the address is not learned and its frames are flooded.
#include "switch/mac_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

enum {
	BUCKETS = MAC_TABLE_ENTRIES / MAC_BUCKET_ENTRIES,
	BUCKET_MASK = BUCKETS - 1
};

struct mac_table {
	uint64_t secret[2];
	struct mac_bucket *buckets;
	pthread_spinlock_t lock;
	// Under the lock; read without it for statistics and as a hint.
	_Atomic uint32_t count;
	_Atomic uint64_t learned, moved, aged, refused;
	_Atomic uint32_t of_port[PORT_IDS];
};

struct mac_table *mac_table_new(const uint64_t secret[2])
{
	struct mac_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->buckets = aligned_alloc(64, BUCKETS * sizeof(struct mac_bucket));
	if (!t->buckets) {
		free(t);
		return NULL;
	}
	memset(t->buckets, 0, BUCKETS * sizeof(struct mac_bucket));
	memcpy(t->secret, secret, sizeof(t->secret));
	pthread_spin_init(&t->lock, PTHREAD_PROCESS_PRIVATE);
	return t;
}

void mac_table_free(struct mac_table *t)
{
	if (!t)
		return;
	pthread_spin_destroy(&t->lock);
	free(t->buckets);
	free(t);
}

// Two multiplications folded to their middle: what a guest would have to know is the secret.
uint32_t mac_hash(const struct mac_table *t, uint64_t key)
{
	__uint128_t m = (__uint128_t)(key ^ t->secret[0]) * (t->secret[1] | 1);
	uint64_t x = (uint64_t)m ^ (uint64_t)(m >> 64);
	m = (__uint128_t)(x ^ t->secret[1]) * (t->secret[0] | 1);
	return (uint32_t)((uint64_t)m ^ (uint64_t)(m >> 64));
}

static struct mac_bucket *first_bucket(const struct mac_table *t, uint32_t hash)
{
	return &t->buckets[hash & BUCKET_MASK];
}

static struct mac_bucket *second_bucket(const struct mac_table *t, uint32_t hash)
{
	return &t->buckets[hash >> 16 & BUCKET_MASK];
}

void mac_prefetch(const struct mac_table *t, uint32_t hash)
{
	__builtin_prefetch(first_bucket(t, hash));
}

static struct mac_entry *find_in(struct mac_bucket *b, uint64_t key)
{
	for (int i = 0; i < MAC_BUCKET_ENTRIES; i++)
		if (atomic_load_explicit(&b->entries[i].key, memory_order_acquire) == key)
			return &b->entries[i];
	return NULL;
}

static struct mac_entry *find(const struct mac_table *t, uint64_t key, uint32_t hash)
{
	struct mac_entry *e = find_in(first_bucket(t, hash), key);
	return e ? e : find_in(second_bucket(t, hash), key);
}

int mac_lookup(const struct mac_table *t, uint64_t key, uint32_t hash)
{
	struct mac_entry *e = find(t, key, hash);
	if (!e)
		return -1;
	uint32_t target = atomic_load_explicit(&e->target, memory_order_acquire);
	if (atomic_load_explicit(&e->key, memory_order_relaxed) != key)
		return -1;
	return (int)(target >> 16);
}

static uint32_t next_target(uint32_t old, uint16_t port)
{
	return (uint32_t)port << 16 | (uint16_t)(old + 1);
}

static void move_entry(struct mac_table *t, struct mac_entry *e, uint16_t port)
{
	uint32_t old = atomic_load_explicit(&e->target, memory_order_relaxed);
	atomic_fetch_sub_explicit(&t->of_port[old >> 16], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->of_port[port], 1, memory_order_relaxed);
	atomic_store_explicit(&e->target, next_target(old, port), memory_order_release);
	atomic_fetch_add_explicit(&t->moved, 1, memory_order_relaxed);
}

static bool add_entry(
	struct mac_table *t, uint64_t key, uint32_t hash, uint16_t port, uint32_t now_s)
{
	struct mac_entry *e = find_in(first_bucket(t, hash), 0);
	if (!e)
		e = find_in(second_bucket(t, hash), 0);
	if (!e)
		return false;
	uint32_t old = atomic_load_explicit(&e->target, memory_order_relaxed);
	atomic_store_explicit(&e->target, next_target(old, port), memory_order_relaxed);
	atomic_store_explicit(&e->seen_s, now_s, memory_order_relaxed);
	atomic_store_explicit(&e->key, key, memory_order_release);
	atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->learned, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->of_port[port], 1, memory_order_relaxed);
	return true;
}

// The slow half of learning: looks again under the lock, since another worker may have been first.
static bool learn_locked(struct mac_table *t, uint64_t key, uint32_t hash, uint16_t port,
	uint32_t limit, uint32_t now_s)
{
	struct mac_entry *e = find(t, key, hash);
	if (e && atomic_load_explicit(&e->target, memory_order_relaxed) >> 16 == port)
		return true;
	if (limit && mac_count_of(t, port) >= limit)
		return false;
	if (!e)
		return add_entry(t, key, hash, port, now_s);
	move_entry(t, e, port);
	atomic_store_explicit(&e->seen_s, now_s, memory_order_relaxed);
	return true;
}

bool mac_learn(struct mac_table *t, uint64_t key, uint32_t hash, uint16_t port, uint32_t limit,
	uint32_t now_s)
{
	struct mac_entry *e = find(t, key, hash);
	if (e && atomic_load_explicit(&e->target, memory_order_acquire) >> 16 == port) {
		if (atomic_load_explicit(&e->seen_s, memory_order_relaxed) != now_s)
			atomic_store_explicit(&e->seen_s, now_s, memory_order_relaxed);
		return true;
	}
	// A port at its limit that keeps inventing addresses must not make others wait for the
	// lock.
	bool done = false;
	if (!limit || mac_count_of(t, port) < limit) {
		pthread_spin_lock(&t->lock);
		done = learn_locked(t, key, hash, port, limit, now_s);
		pthread_spin_unlock(&t->lock);
	}
	if (!done)
		atomic_fetch_add_explicit(&t->refused, 1, memory_order_relaxed);
	return done;
}

static void forget(struct mac_table *t, struct mac_entry *e)
{
	uint32_t old = atomic_load_explicit(&e->target, memory_order_relaxed);
	atomic_store_explicit(&e->key, 0, memory_order_release);
	atomic_store_explicit(&e->target, next_target(old, 0), memory_order_relaxed);
	atomic_fetch_sub_explicit(&t->of_port[old >> 16], 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
}

uint32_t mac_age(struct mac_table *t, uint32_t now_s, uint32_t age_s)
{
	uint32_t gone = 0;
	for (uint32_t i = 0; i < MAC_TABLE_ENTRIES; i++) {
		struct mac_entry *e =
			&t->buckets[i / MAC_BUCKET_ENTRIES].entries[i % MAC_BUCKET_ENTRIES];
		// Looked at without the lock first: most entries are free or young.
		if (!atomic_load_explicit(&e->key, memory_order_relaxed) ||
			now_s - atomic_load_explicit(&e->seen_s, memory_order_relaxed) <= age_s)
			continue;
		pthread_spin_lock(&t->lock);
		int32_t idle = (int32_t)(now_s -
					 atomic_load_explicit(&e->seen_s, memory_order_relaxed));
		if (atomic_load_explicit(&e->key, memory_order_relaxed) && idle > (int32_t)age_s) {
			forget(t, e);
			gone++;
		}
		pthread_spin_unlock(&t->lock);
	}
	atomic_fetch_add_explicit(&t->aged, gone, memory_order_relaxed);
	return gone;
}

static void view_of(struct mac_view *v, uint64_t key, const struct mac_entry *e)
{
	for (int i = 0; i < 6; i++)
		v->mac[i] = (uint8_t)(key >> (40 - 8 * i));
	v->vlan = key >> 48 & 0xfff;
	v->port = (uint16_t)(atomic_load_explicit(&e->target, memory_order_acquire) >> 16);
	v->seen_s = atomic_load_explicit(&e->seen_s, memory_order_relaxed);
}

uint32_t mac_flush(struct mac_table *t, int port, int vlan, const uint8_t *mac)
{
	uint32_t gone = 0;
	for (uint32_t i = 0; i < MAC_TABLE_ENTRIES; i++) {
		struct mac_entry *e =
			&t->buckets[i / MAC_BUCKET_ENTRIES].entries[i % MAC_BUCKET_ENTRIES];
		if (!atomic_load_explicit(&e->key, memory_order_relaxed))
			continue;
		pthread_spin_lock(&t->lock);
		uint64_t key = atomic_load_explicit(&e->key, memory_order_relaxed);
		struct mac_view v;
		view_of(&v, key, e);
		if (key && (port < 0 || v.port == port) && (vlan < 0 || v.vlan == vlan) &&
			(!mac || !memcmp(v.mac, mac, 6))) {
			forget(t, e);
			gone++;
		}
		pthread_spin_unlock(&t->lock);
	}
	return gone;
}

uint32_t mac_walk(const struct mac_table *t, uint32_t *cursor, struct mac_view *views, uint32_t max)
{
	uint32_t n = 0;
	uint32_t i = *cursor;
	for (; i < MAC_TABLE_ENTRIES && n < max; i++) {
		const struct mac_entry *e =
			&t->buckets[i / MAC_BUCKET_ENTRIES].entries[i % MAC_BUCKET_ENTRIES];
		uint64_t key = atomic_load_explicit(&e->key, memory_order_acquire);
		if (!key)
			continue;
		view_of(&views[n], key, e);
		n += atomic_load_explicit(&e->key, memory_order_relaxed) == key;
	}
	*cursor = i < MAC_TABLE_ENTRIES ? i : 0;
	return n;
}

uint32_t mac_count_of(const struct mac_table *t, uint16_t port)
{
	return atomic_load_explicit(&t->of_port[port], memory_order_relaxed);
}

void mac_table_stats(const struct mac_table *t, struct mac_stats *stats)
{
	*stats = (struct mac_stats){
		.count = atomic_load_explicit(&t->count, memory_order_relaxed),
		.learned = atomic_load_explicit(&t->learned, memory_order_relaxed),
		.moved = atomic_load_explicit(&t->moved, memory_order_relaxed),
		.aged = atomic_load_explicit(&t->aged, memory_order_relaxed),
		.refused = atomic_load_explicit(&t->refused, memory_order_relaxed),
	};
}

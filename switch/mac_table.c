// SPDX-License-Identifier: BSD-3-Clause
// Life cycle: a table lives as long as its bridge; workers reach it through the snapshot, so it is
// freed after the grace period that follows the snapshot without that bridge.
//
// An entry's: free (key 0) → learned → refreshed (seen_s) or moved (target) → forgotten (key 0).
// Its place never moves while it is known, so index and version name it.
//
// Synchronisation: readers take no lock. They read target, key and target again: the version in it
// grows whenever an entry gets another meaning, so equal targets around the right key mean that the
// target is that key's. For that, what is learned has its target before its key, and what is
// forgotten loses its key before it gets another target, both with release. Writers that change key
// or target hold `lock`; seen_s is stored by any worker, and only when the second has changed, so a
// busy entry's line stays shared.
//
// Lock order: `lock` is innermost and a spinlock: writers are workers, which must not sleep; it is
// held for one key's buckets at the most, or for one bucket at a time in sweeps.
//
// Room: each key has four candidate buckets, so probes are bounded whatever a guest invents. It
// goes to the first while that has two free entries, else to the emptiest of the four. So almost
// all keys are in their first bucket (of 20,000 all but 4 %), the only one that is prefetched; and
// yet buckets fill so evenly that 65,536 slots take 47,500 keys before one finds its four buckets
// full, and took 38,000 in the worst of 2000 tables. No more than 32,768 are let in; of 20 million
// that came to a full table for others that went, none was refused. Less does not do: with two
// candidates, or with the first bucket filled to its last entry, one key in 25,000 stays outside;
// with 32,768 slots, entries would have to move, and then a place could not name an entry.
//
// What cannot be learned takes no lock: that a port is at its limit, or the table full, is seen
// without it. So who invents addresses makes nobody wait.
#include "switch/mac_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/spin.h"

enum {
	CANDIDATES = 4,
	// A first bucket with fewer entries in use takes a key without a look at the others.
	ROOMY = MAC_BUCKET_ENTRIES - 1,
};

struct mac_ledger {
	atomic_bool lock;
	// Written under the lock, but for `refused`; read without it for statistics and as a hint.
	_Atomic uint32_t count;
	_Atomic uint64_t learned, moved, aged, refused;
	_Atomic uint32_t of_port[PORT_IDS];
};

struct mac_table *mac_table_new(const uint64_t secret[2])
{
	const size_t size = MAC_TABLE_BUCKETS * sizeof(struct mac_bucket);
	struct mac_table *t = aligned_alloc(64, 64);
	struct mac_ledger *ledger = calloc(1, sizeof(*ledger));
	struct mac_bucket *buckets = aligned_alloc(64, size);
	if (!t || !ledger || !buckets) {
		free(t);
		free(ledger);
		free(buckets);
		return NULL;
	}
	// Now, so that no worker waits for the kernel to find a page.
	memset(buckets, 0, size);
	*t = (struct mac_table){
		.secret = {secret[0], secret[1] | 1, secret[0] | 1},
		.buckets = buckets,
		.ledger = ledger,
	};
	return t;
}

void mac_table_free(struct mac_table *t)
{
	if (!t)
		return;
	free(t->ledger);
	free(t->buckets);
	free(t);
}

// The bits of the hash that do not number the first bucket give the step to the others.
static struct mac_bucket *candidate(const struct mac_table *t, uint32_t hash, unsigned i)
{
	uint32_t step = hash >> 14 | hash << 18 | sizeof(struct mac_bucket);
	return mac_bucket_at(t, hash + i * step);
}

static struct mac_found find_in(struct mac_bucket *b, uint64_t key)
{
	struct mac_entry *e = mac_guess_in(b, key);
	for (;;) {
		uint32_t target = atomic_load_explicit(&e->target, memory_order_acquire);
		if (atomic_load_explicit(&e->key, memory_order_acquire) != key)
			return (struct mac_found){NULL, MAC_NO_PORT << 16};
		// Again until no writer was in between, who does far more than this.
		if (atomic_load_explicit(&e->target, memory_order_relaxed) == target)
			return (struct mac_found){e, target};
	}
}

struct mac_found mac_find_farther(const struct mac_table *t, uint64_t key, uint32_t hash)
{
	for (unsigned i = 1; i < CANDIDATES; i++)
		__builtin_prefetch(candidate(t, hash, i));
	// The first as well: it may have been changed while mac_find looked at it.
	struct mac_found found = find_in(candidate(t, hash, 0), key);
	for (unsigned i = 1; i < CANDIDATES && !found.entry; i++)
		found = find_in(candidate(t, hash, i), key);
	return found;
}

static uint32_t next_target(uint32_t old, uint16_t port)
{
	return (uint32_t)port << 16 | (uint16_t)(old + 1);
}

static void move_entry(struct mac_table *t, struct mac_entry *e, uint16_t port, uint32_t now_s)
{
	struct mac_ledger *ledger = t->ledger;
	uint32_t old = atomic_load_explicit(&e->target, memory_order_relaxed);
	atomic_fetch_sub_explicit(&ledger->of_port[old >> 16], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&ledger->of_port[port], 1, memory_order_relaxed);
	atomic_store_explicit(&e->target, next_target(old, port), memory_order_release);
	atomic_store_explicit(&e->seen_s, now_s, memory_order_relaxed);
	atomic_fetch_add_explicit(&ledger->moved, 1, memory_order_relaxed);
}

static unsigned used_in(const struct mac_bucket *b)
{
	unsigned used = 0;
	for (int i = 0; i < MAC_BUCKET_ENTRIES; i++)
		used += atomic_load_explicit(&b->entries[i].key, memory_order_relaxed) != 0;
	return used;
}

// Where a new key goes; NULL: all its buckets are full.
static struct mac_bucket *roomiest(const struct mac_table *t, uint32_t hash)
{
	struct mac_bucket *best = candidate(t, hash, 0);
	unsigned least = used_in(best);
	for (unsigned i = 1; i < CANDIDATES && least >= ROOMY; i++) {
		struct mac_bucket *b = candidate(t, hash, i);
		unsigned used = used_in(b);
		if (used < least) {
			best = b;
			least = used;
		}
	}
	return least < MAC_BUCKET_ENTRIES ? best : NULL;
}

static void add_entry(
	struct mac_table *t, struct mac_bucket *b, uint64_t key, uint16_t port, uint32_t now_s)
{
	struct mac_entry *e = b->entries;
	while (!mac_entry_is(e, 0))
		e++;
	uint32_t old = atomic_load_explicit(&e->target, memory_order_relaxed);
	atomic_store_explicit(&e->target, next_target(old, port), memory_order_release);
	atomic_store_explicit(&e->seen_s, now_s, memory_order_relaxed);
	atomic_store_explicit(&e->key, key, memory_order_release);
	struct mac_ledger *ledger = t->ledger;
	atomic_fetch_add_explicit(&ledger->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&ledger->learned, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&ledger->of_port[port], 1, memory_order_relaxed);
}

// Whether there is room for one more behind the port, and in the table unless the key is in it.
static bool may_learn(const struct mac_table *t, const struct mac_entry *known, uint32_t hash,
	uint16_t port, uint32_t limit)
{
	if (limit && mac_count_of(t, port) >= limit)
		return false;
	return known ||
	       (atomic_load_explicit(&t->ledger->count, memory_order_relaxed) < MAC_TABLE_ENTRIES &&
		       roomiest(t, hash));
}

// Looks again under the lock, since another worker may have been first.
static bool learn_locked(struct mac_table *t, uint64_t key, uint32_t hash, uint16_t port,
	uint32_t limit, uint32_t now_s)
{
	struct mac_found known = mac_find(t, key, hash);
	if (known.target >> 16 == port)
		return true;
	if (!may_learn(t, known.entry, hash, port, limit))
		return false;
	if (known.entry)
		move_entry(t, known.entry, port, now_s);
	else
		add_entry(t, roomiest(t, hash), key, port, now_s);
	return true;
}

bool mac_learn(struct mac_table *t, uint64_t key, uint32_t hash, uint16_t port, uint32_t limit,
	uint32_t now_s)
{
	struct mac_found known = mac_find(t, key, hash);
	if (known.target >> 16 == port) {
		mac_seen(known.entry, now_s);
		return true;
	}
	bool done = may_learn(t, known.entry, hash, port, limit);
	if (done) {
		spin_lock(&t->ledger->lock);
		done = learn_locked(t, key, hash, port, limit, now_s);
		spin_unlock(&t->ledger->lock);
	}
	if (!done)
		atomic_fetch_add_explicit(&t->ledger->refused, 1, memory_order_relaxed);
	return done;
}

static void forget(struct mac_table *t, struct mac_entry *e)
{
	uint32_t old = atomic_load_explicit(&e->target, memory_order_relaxed);
	atomic_store_explicit(&e->key, 0, memory_order_release);
	atomic_store_explicit(&e->target, next_target(old, MAC_NO_PORT), memory_order_release);
	atomic_fetch_sub_explicit(&t->ledger->of_port[old >> 16], 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&t->ledger->count, 1, memory_order_relaxed);
}

uint32_t mac_age(struct mac_table *t, uint32_t now_s, uint32_t age_s)
{
	uint32_t gone = 0;
	for (uint32_t i = 0; i < MAC_TABLE_SLOTS; i++) {
		struct mac_entry *e =
			&t->buckets[i / MAC_BUCKET_ENTRIES].entries[i % MAC_BUCKET_ENTRIES];
		// Looked at without the lock first: most entries are free or young.
		if (!atomic_load_explicit(&e->key, memory_order_relaxed) ||
			now_s - atomic_load_explicit(&e->seen_s, memory_order_relaxed) <= age_s)
			continue;
		spin_lock(&t->ledger->lock);
		int32_t idle = (int32_t)(now_s -
					 atomic_load_explicit(&e->seen_s, memory_order_relaxed));
		if (atomic_load_explicit(&e->key, memory_order_relaxed) && idle > (int32_t)age_s) {
			forget(t, e);
			gone++;
		}
		spin_unlock(&t->ledger->lock);
	}
	atomic_fetch_add_explicit(&t->ledger->aged, gone, memory_order_relaxed);
	return gone;
}

static void view_of(struct mac_view *v, uint64_t key, const struct mac_entry *e)
{
	for (int i = 0; i < 6; i++)
		v->mac[i] = (uint8_t)(key >> (16 + 8 * i));
	v->vlan = mac_key_vlan(key);
	v->port = (uint16_t)(atomic_load_explicit(&e->target, memory_order_acquire) >> 16);
	v->seen_s = atomic_load_explicit(&e->seen_s, memory_order_relaxed);
}

uint32_t mac_flush(struct mac_table *t, int port, int vlan, const uint8_t *mac)
{
	uint32_t gone = 0;
	for (uint32_t i = 0; i < MAC_TABLE_SLOTS; i++) {
		struct mac_entry *e =
			&t->buckets[i / MAC_BUCKET_ENTRIES].entries[i % MAC_BUCKET_ENTRIES];
		if (!atomic_load_explicit(&e->key, memory_order_relaxed))
			continue;
		spin_lock(&t->ledger->lock);
		uint64_t key = atomic_load_explicit(&e->key, memory_order_relaxed);
		struct mac_view v;
		view_of(&v, key, e);
		if (key && (port < 0 || v.port == port) && (vlan < 0 || v.vlan == vlan) &&
			(!mac || !memcmp(v.mac, mac, 6))) {
			forget(t, e);
			gone++;
		}
		spin_unlock(&t->ledger->lock);
	}
	return gone;
}

uint32_t mac_walk(const struct mac_table *t, uint32_t *cursor, struct mac_view *views, uint32_t max)
{
	uint32_t n = 0;
	uint32_t i = *cursor;
	for (; i < MAC_TABLE_SLOTS && n < max; i++) {
		const struct mac_entry *e =
			&t->buckets[i / MAC_BUCKET_ENTRIES].entries[i % MAC_BUCKET_ENTRIES];
		uint64_t key = atomic_load_explicit(&e->key, memory_order_acquire);
		if (!key)
			continue;
		view_of(&views[n], key, e);
		n += atomic_load_explicit(&e->key, memory_order_relaxed) == key;
	}
	*cursor = i < MAC_TABLE_SLOTS ? i : 0;
	return n;
}

uint32_t mac_count_of(const struct mac_table *t, uint16_t port)
{
	return atomic_load_explicit(&t->ledger->of_port[port], memory_order_relaxed);
}

void mac_table_stats(const struct mac_table *t, struct mac_stats *stats)
{
	*stats = (struct mac_stats){
		.count = atomic_load_explicit(&t->ledger->count, memory_order_relaxed),
		.learned = atomic_load_explicit(&t->ledger->learned, memory_order_relaxed),
		.moved = atomic_load_explicit(&t->ledger->moved, memory_order_relaxed),
		.aged = atomic_load_explicit(&t->ledger->aged, memory_order_relaxed),
		.refused = atomic_load_explicit(&t->ledger->refused, memory_order_relaxed),
	};
}

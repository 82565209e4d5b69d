// SPDX-License-Identifier: BSD-3-Clause
// The connection table from inside: what lies in its mapping, and what its files call of each
// other. Rules: conntrack/table.c.
#ifndef WEIR_CONNTRACK_TABLE_INNER_H
#define WEIR_CONNTRACK_TABLE_INNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/likely.h"
#include "base/spin.h"
#include "conntrack/hash.h"
#include "conntrack/table.h"

#define TABLE_MAGIC UINT64_C(0x4e4e4f4352494557) // "WEIRCONN"

enum {
	TABLE_VERSION = 2,
	BUCKET_ENTRIES = 10,
	BUCKET_MEAN = 5, // entries of a bucket when the table is full
	// A first bucket with fewer entries takes a key without a look at the second.
	BUCKET_ROOMY = 8,
	CACHE_ENTRIES = 48,
	CACHE_BATCH = 24,
	OWNER_GONE = UINT16_MAX, // of an entry that was removed and does not count any more
	// At the limit of a port those that came to it have so long to be answered: a SYN is sent
	// again after one second, and after three (RFC 6298).
	ANSWER_WITHIN_S = 3,
};

// One cache line. A tag is 16 bits of the hash, never 0 but in a free place. Readers compare all
// ten at once, so they lie in words that are atomic each.
struct bucket {
	_Atomic uint64_t tags[2];   // of places 0 to 7
	_Atomic uint32_t last_tags; // of places 8 and 9
	// Entries whose first bucket this is and that lie in their second.
	_Atomic uint16_t overflow;
	atomic_bool lock;
	_Atomic uint32_t entries[BUCKET_ENTRIES];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct bucket) == 64, "a line");

// A worker's free entries. `lock` is contended only where nothing else is free.
struct cache {
	atomic_bool lock;
	_Atomic uint32_t count;
	_Atomic uint64_t created, full; // statistics; written by the worker alone
	uint32_t entries[CACHE_ENTRIES];
} __attribute__((aligned(64)));

// Entries that are not in use and in no cache: one ring of their numbers. [head, ripe) are free,
// [ripe, tail) wait for the grace period behind their removal.
struct vacant {
	atomic_bool lock;
	_Atomic uint64_t head, ripe, tail; // written under the lock
} __attribute__((aligned(64)));

// The start of the mapping. Offsets are in bytes from it.
struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes, entry_bytes, bucket_bytes; // sizes of the structures
	uint32_t capacity;                                // entries 1 to capacity; 0 is none
	uint32_t nbuckets, nworkers;
	uint64_t bytes; // of the mapping
	uint64_t buckets, entries, due, ring, caches;
	struct conn_hash hash;
	// --- what changes
	struct vacant vacant;
	_Atomic uint64_t expired, evicted, removed __attribute__((aligned(64)));
	_Atomic uint32_t look_again; // passes over all entries that were asked for
	_Atomic uint32_t looked;     // ... and the last one that is done
	_Atomic bool limits;         // some port is in at_limit
	_Atomic uint32_t of_owner[CONN_OWNERS] __attribute__((aligned(64)));
	// Ports that were refused one that came to them, since the janitor has looked last.
	_Atomic bool at_limit[PORT_IDS];
	_Atomic uint32_t leaves[PORT_IDS]; // the pass behind which nothing names the port any more
};

// What the janitor knows about pressure; conntrack/table_reclaim.c.
struct pressure {
	bool known;               // a whole pass has been counted
	uint32_t left;            // entries of the pass that is being counted
	uint32_t over, over_seen; // entries in a state of that class
	uint32_t unanswered[CONN_OWNERS], unanswered_seen[CONN_OWNERS];
	// The last whole pass left none that may be removed. How many connections had been asked
	// for when it began, and when this one did.
	bool barren;
	uint64_t tried, tried_seen;
};

// A process's handle; what is shared is in the mapping.
struct conn_table {
	struct conn_table_head head; // what is inline in table.h
	struct header *header;
	struct bucket *buckets;
	_Atomic uint32_t *due; // by entry: when the janitor looks at it; 0: it is in no bucket
	uint32_t *ring;        // capacity places
	struct cache *caches;
	uint32_t capacity, nbuckets;
	struct conn_hash hash;
	// Connections by chain and instance. Not in the mapping: most of it is never touched, and
	// whoever adopts the entries can count them.
	_Atomic uint32_t (*chained)[CONN_INSTANCES];
	int fd; // of the mapping
	bool hugepages;
	// While it is held, no removed entry becomes free: whoever looks at entries and is no
	// worker holds it. Never taken by a worker.
	pthread_mutex_t reading;
	// --- the janitor's
	uint32_t scan_at;                 // the entry to look at next
	uint32_t looked_again, look_left; // the pass that is under way, and how far it is
	uint32_t limits_left;             // entries of the pass that looks at at_limit
	bool at_limit[PORT_IDS];
	struct pressure pressure;
};

// With a hash of that kind; conn_table_new has the CPU's best. Main thread.
int conn_table_new_with(struct conn_table **out, const struct conn_table_options *options,
	enum conn_hash_kind kind, struct error *err);

static inline uint64_t relaxed(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

// --- index: conntrack/table_index.c

// The upper bits of the hash number the first bucket.
static inline uint32_t bucket_first(const struct conn_table *table, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * table->nbuckets >> 32);
}

// The second one is another bucket always; the product's upper bits depend on all of the hash.
static inline uint32_t bucket_second(const struct conn_table *table, uint32_t hash)
{
	uint32_t mixed = (hash ^ hash >> 15) * 0x9e3779b1u;
	uint32_t first = bucket_first(table, hash), second = bucket_first(table, mixed);
	if (likely(second != first))
		return second;
	return second + 1 < table->nbuckets ? second + 1 : 0;
}

static inline uint16_t tag_of(uint32_t hash)
{
	return (uint16_t)hash ? (uint16_t)hash : 1;
}

// The places with this tag, as bits. What is in them is to be loaded behind this.
static inline unsigned bucket_match(const struct bucket *bucket, uint16_t tag)
{
	uint64_t low = atomic_load_explicit(&bucket->tags[0], memory_order_acquire);
	uint64_t high = atomic_load_explicit(&bucket->tags[1], memory_order_acquire);
	uint32_t last = atomic_load_explicit(&bucket->last_tags, memory_order_acquire);
	__m128i wanted = _mm_set1_epi16((short)tag);
	__m128i in = _mm_cmpeq_epi16(_mm_set_epi64x((long long)high, (long long)low), wanted);
	__m128i in_last = _mm_cmpeq_epi16(_mm_cvtsi32_si128((int)last), wanted);
	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(in, in_last)) &
	       ((1u << BUCKET_ENTRIES) - 1);
}

static inline uint32_t bucket_entry(const struct bucket *bucket, unsigned place)
{
	return atomic_load_explicit(&bucket->entries[place], memory_order_acquire);
}

static inline bool conn_is(const struct conn *conn, const struct conn_key *key)
{
	__m128i a = _mm_load_si128((const __m128i *)(const void *)&conn->id);
	__m128i b = _mm_load_si128((const __m128i *)(const void *)&key->id);
	if (_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) != 0xffff)
		return false;
	return conn_id_family(&key->id) == CONN_IPV4 ||
	       !__builtin_memcmp(conn->addresses, key->v6, sizeof(key->v6));
}

// Puts an entry, whose id, addresses and hash are set, into the index, and sets when it is due.
// Returns it, or the one that is there under the same key, or 0: no place. Worker.
uint32_t index_add(struct conn_table *table, uint32_t index, uint32_t due_s);
// Takes an entry out; false: it is not in it. The entry stays as it is until it is free. Any thread
// in which the entry cannot become free meanwhile.
bool index_remove(struct conn_table *table, uint32_t index);
// The same, if the entry is still wanted out when its bucket is locked. False: it stays.
bool index_remove_if(struct conn_table *table, uint32_t index,
	bool (*wanted)(const struct conn *conn, const void *ctx), const void *ctx);

// --- owners: conntrack/table_owner.c

// Counts one more for the owner; false: it has its limit. 0: none. Worker.
bool owner_take(struct conn_table *table, uint16_t owner, uint32_t limit);
// Has an entry that was taken out not count any more; a worker may be making it another owner's.
void owner_leave(struct conn_table *table, struct conn *conn);
// Whether an entry counts for a port that leaves. Where such a port is merely behind an end, that
// is forgotten. Janitor.
bool owner_leaves(const struct conn_table *table, struct conn *conn);
// Begins a pass over all entries if some port is at its limit. Janitor.
void limits_look(struct conn_table *table);
// Whether the entry is to go for its port's limit, in this pass. Janitor.
bool limits_want_out(const struct conn_table *table, const struct conn *conn, enum conn_state state,
	uint32_t now_s);

// --- chains: conntrack/table_chain.c

// Has the connection go through a chain (0: none) from now on. With the entry's lock, or of one
// that nobody else knows. Worker.
void chain_take(struct conn_table *table, struct conn *conn, uint16_t chain);
// Has an entry that was taken out not count any more; a worker may be choosing for it.
void chain_leave(struct conn_table *table, struct conn *conn);

// --- free entries: conntrack/table_vacant.c

// An entry from the worker's cache, or 0: none is free. Worker.
uint32_t vacant_take(struct conn_table *table, uint16_t worker);
// Gives one back that was never in the index. Worker.
void vacant_give(struct conn_table *table, uint16_t worker, uint32_t index);
// Has n entries that were taken out of the index wait for a grace period. Any thread.
void vacant_wait(struct conn_table *table, const uint32_t *entries, uint32_t n);
// Free entries, and in *waiting those that will be free. Any thread.
uint32_t vacant_count(const struct conn_table *table, uint32_t *waiting);

#endif

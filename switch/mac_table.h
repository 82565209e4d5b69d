// SPDX-License-Identifier: BSD-3-Clause
// A bridge's MAC table: (VLAN, MAC) → port. Lookups take no lock and never wait; learning something
// new takes the table's lock, which is rare at steady state. An entry is named by index and
// version, so that what is cached from it can be checked with one compare.
//
// What each packet runs is inline here; the rest, and the rules that both obey, in mac_table.c.
#ifndef WEIR_SWITCH_MAC_TABLE_H
#define WEIR_SWITCH_MAC_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/likely.h"

enum {
	MAC_NO_PORT = 0,           // the id that no port has
	MAC_TABLE_ENTRIES = 32768, // addresses that a table holds, whichever they are
	// Twice the places, so that none of these finds all its buckets full.
	MAC_TABLE_SLOTS = 2 * MAC_TABLE_ENTRIES,
	MAC_BUCKET_ENTRIES = 4,
	MAC_TABLE_BUCKETS = MAC_TABLE_SLOTS / MAC_BUCKET_ENTRIES,
};

// 16 bytes, four to a cache line.
struct mac_entry {
	_Atomic uint64_t key;    // 0: free
	_Atomic uint32_t target; // port << 16 | version; the version grows with each new meaning
	_Atomic uint32_t seen_s; // when it was last a source
};

struct mac_bucket {
	struct mac_entry entries[MAC_BUCKET_ENTRIES];
} __attribute__((aligned(64)));

// What each lookup reads; it never changes. What learning changes lies apart, in other cache lines.
struct mac_table {
	uint64_t secret[3]; // the multipliers among them odd
	struct mac_bucket *buckets;
	struct mac_ledger *ledger; // lock and counts
};

struct mac_stats {
	uint32_t count;
	uint64_t learned;
	uint64_t moved;
	uint64_t aged;
	uint64_t refused; // the port's limit, or a full table
};

// An empty table, keyed with `secret` (16 random bytes: guests choose MACs, so the hash must not be
// predictable). NULL: no memory. Main thread.
struct mac_table *mac_table_new(const uint64_t secret[2]);
// After a grace period in which no worker can still see it. Main thread.
void mac_table_free(struct mac_table *table);

// A key is an address as it lies in memory, above a tag of 16 bits: the VLAN, and a bit that tells
// keys from 0. So the two keys of a frame cost a load and a shift or two each, within the twelve
// bytes of its addresses.
static inline uint64_t mac_key_tag(uint16_t vlan)
{
	return vlan | 1u << 15;
}

static inline uint64_t mac_key_destination(const uint8_t *frame, uint64_t tag)
{
	uint64_t word;
	memcpy(&word, frame, sizeof(word));
	return word << 16 | tag;
}

static inline uint64_t mac_key_source(const uint8_t *frame, uint64_t tag)
{
	uint64_t word;
	memcpy(&word, frame + 4, sizeof(word));
	return word >> 16 << 16 | tag;
}

static inline uint16_t mac_key_vlan(uint64_t key)
{
	return key & 0xfff;
}

static inline bool mac_key_is_group(uint64_t key)
{
	return key >> 16 & 1;
}

// Where a key is to be looked for; compute it once, prefetch, then look up. Workers.
//
// A product folded to its middle mixes all bits of a key with the secret. In one such product
// addresses that count upwards still leave a trace; a second one scatters that.
static inline uint32_t mac_hash(const struct mac_table *table, uint64_t key)
{
	uint64_t a = key ^ table->secret[0], b = table->secret[1];
	// The lower half by itself: gcc would take both halves of one product through memory.
	uint64_t folded = a * b ^ (uint64_t)((__uint128_t)a * b >> 64);
	return (uint32_t)(folded * table->secret[2] >> 32);
}

// The bits that number the bucket stand where a bucket's offset has them.
static inline struct mac_bucket *mac_bucket_at(const struct mac_table *table, uint32_t hash)
{
	uint32_t mask = (MAC_TABLE_BUCKETS - 1) * (uint32_t)sizeof(struct mac_bucket);
	return (struct mac_bucket *)((char *)table->buckets + (hash & mask));
}

static inline void mac_prefetch(const struct mac_table *table, uint32_t hash)
{
	__builtin_prefetch(mac_bucket_at(table, hash));
}

// What a lookup finds: the entry of a key and the target that belongs to the key. If the key is not
// known: NULL, and a target whose port is MAC_NO_PORT.
struct mac_found {
	struct mac_entry *entry;
	uint32_t target;
};

// For what is not in the first bucket, or was being changed. Workers.
struct mac_found mac_find_farther(const struct mac_table *table, uint64_t key, uint32_t hash);

static inline bool mac_entry_is(const struct mac_entry *e, uint64_t key)
{
	return atomic_load_explicit(&e->key, memory_order_relaxed) == key;
}

// Where in a bucket a key is, if it is there. Which of the four that is, no CPU can predict, so it
// is no branch. Or instead of plus: a key that is forgotten and learned meanwhile may be seen
// twice.
static inline struct mac_entry *mac_guess_in(struct mac_bucket *bucket, uint64_t key)
{
	struct mac_entry *e = bucket->entries;
	unsigned in3 = mac_entry_is(&e[3], key);
	unsigned slot = (mac_entry_is(&e[1], key) | in3) + 2 * (mac_entry_is(&e[2], key) | in3);
	return e + slot;
}

// Workers.
static inline struct mac_found mac_find(const struct mac_table *table, uint64_t key, uint32_t hash)
{
	struct mac_entry *e = mac_guess_in(mac_bucket_at(table, hash), key);
	uint32_t target = atomic_load_explicit(&e->target, memory_order_acquire);
	if (likely(atomic_load_explicit(&e->key, memory_order_acquire) == key) &&
		likely(atomic_load_explicit(&e->target, memory_order_relaxed) == target))
		return (struct mac_found){e, target};
	return mac_find_farther(table, key, hash);
}

// The number of an entry's place, which a connection keeps as where to look first.
static inline uint16_t mac_place(const struct mac_table *table, const struct mac_entry *e)
{
	return (uint16_t)(e - table->buckets->entries);
}

// The same as mac_find for a key whose place is known, or was: without hash and search, and found
// there or not at all. Any number is a place. Workers.
static inline struct mac_found mac_find_at(
	const struct mac_table *table, uint16_t place, uint64_t key)
{
	struct mac_entry *e = table->buckets->entries + place;
	uint32_t target = atomic_load_explicit(&e->target, memory_order_acquire);
	if (likely(atomic_load_explicit(&e->key, memory_order_acquire) == key) &&
		likely(atomic_load_explicit(&e->target, memory_order_relaxed) == target))
		return (struct mac_found){e, target};
	return (struct mac_found){NULL, MAC_NO_PORT};
}

// The port behind a key, or MAC_NO_PORT. Workers.
static inline uint16_t mac_lookup(const struct mac_table *table, uint64_t key, uint32_t hash)
{
	return (uint16_t)(mac_find(table, key, hash).target >> 16);
}

static inline void mac_seen(struct mac_entry *e, uint32_t now_s)
{
	if (unlikely(atomic_load_explicit(&e->seen_s, memory_order_relaxed) != now_s))
		atomic_store_explicit(&e->seen_s, now_s, memory_order_relaxed);
}

// Notes that key was seen as a source behind port, if that is where it is known to be. Workers.
static inline bool mac_refresh(
	const struct mac_table *table, uint64_t key, uint32_t hash, uint16_t port, uint32_t now_s)
{
	struct mac_found found = mac_find(table, key, hash);
	if (unlikely(found.target >> 16 != port))
		return false;
	mac_seen(found.entry, now_s);
	return true;
}

// Notes that key was seen as a source behind port: refreshes, moves or adds it. limit: entries a
// port may have (0: none of its own). False if it could not be learned. Workers.
bool mac_learn(struct mac_table *table, uint64_t key, uint32_t hash, uint16_t port, uint32_t limit,
	uint32_t now_s);

// Forgets entries not seen for age_s before now_s; returns how many. Janitor.
uint32_t mac_age(struct mac_table *table, uint32_t now_s, uint32_t age_s);
// Forgets what matches: port -1, vlan -1, mac NULL match all. Returns how many. Main thread.
uint32_t mac_flush(struct mac_table *table, int port, int vlan, const uint8_t *mac);

struct mac_view {
	uint8_t mac[6];
	uint16_t vlan;
	uint16_t port;
	uint32_t seen_s;
};
// Walks from *cursor; returns how many of max were filled, *cursor 0 after the last. Any thread.
uint32_t mac_walk(
	const struct mac_table *table, uint32_t *cursor, struct mac_view *views, uint32_t max);
uint32_t mac_count_of(const struct mac_table *table, uint16_t port);
void mac_table_stats(const struct mac_table *table, struct mac_stats *stats);

#endif

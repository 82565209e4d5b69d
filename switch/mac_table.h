// SPDX-License-Identifier: BSD-3-Clause
// A bridge's MAC table: (VLAN, MAC) → port. Lookups take no lock and never wait; learning something
// new takes the table's lock, which is rare at steady state. An entry is named by index and
// version, so that what is cached from it can be checked with one compare.
#ifndef WEIR_SWITCH_MAC_TABLE_H
#define WEIR_SWITCH_MAC_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	MAC_BUCKET_ENTRIES = 4,
	MAC_TABLE_ENTRIES = 32768
};

// 16 bytes, four to a cache line. key: VLAN << 48 | MAC as a 48-bit number with the highest bit
// set, so that 0 is a free entry.
struct mac_entry {
	_Atomic uint64_t key;
	_Atomic uint32_t target; // port << 16 | version; the version grows with each new meaning
	_Atomic uint32_t seen_s; // when it was last a source
};

struct mac_bucket {
	struct mac_entry entries[MAC_BUCKET_ENTRIES];
} __attribute__((aligned(64)));

struct mac_table;

struct mac_stats {
	uint32_t count;
	uint64_t learned;
	uint64_t moved;
	uint64_t aged;
	uint64_t refused; // the port's limit, or both buckets full
};

// A table with MAC_TABLE_ENTRIES entries, keyed with `secret` (16 random bytes: guests choose MACs,
// so the hash must not be predictable). NULL: no memory. Main thread.
struct mac_table *mac_table_new(const uint64_t secret[2]);
// After a grace period in which no worker can still see it. Main thread.
void mac_table_free(struct mac_table *table);

// The key of the six bytes at mac in this VLAN.
static inline uint64_t mac_key(const uint8_t *mac, uint16_t vlan)
{
	uint64_t key = 0;
	for (int i = 0; i < 6; i++)
		key = key << 8 | mac[i];
	return key | (uint64_t)vlan << 48 | 1ull << 63;
}

// Where a key is to be looked for; compute it once, prefetch, then look up. Workers.
uint32_t mac_hash(const struct mac_table *table, uint64_t key);
void mac_prefetch(const struct mac_table *table, uint32_t hash);

// The port behind a key, or -1. Workers.
int mac_lookup(const struct mac_table *table, uint64_t key, uint32_t hash);

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

// SPDX-License-Identifier: BSD-3-Clause
// The connection table: entries by key. Lookups take no lock and never wait; whoever adds or
// removes locks the buckets concerned for the moment, and no reader waits for that. Life cycle,
// synchronisation and room: conntrack/table.c.
#ifndef WEIR_CONNTRACK_TABLE_H
#define WEIR_CONNTRACK_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "conntrack/conn.h"

struct conn_table;

// Whom a connection counts for: a port, and apart from those that began there the ones that came to
// it from ports without groups. So nobody outside can use up what a VM has for its own.
enum {
	CONN_OWNERS = 2 * PORT_IDS
};

static inline uint16_t conn_owner(uint16_t port, bool came)
{
	return (uint16_t)(port + (came ? PORT_IDS : 0));
}

static inline bool conn_owner_came(uint16_t owner)
{
	return owner >= PORT_IDS && owner < CONN_OWNERS;
}

// 0: it has been removed.
static inline uint16_t conn_owner_port(uint16_t owner)
{
	return owner < CONN_OWNERS ? owner % PORT_IDS : 0;
}

struct conn_table_options {
	uint32_t connections; // that it holds
	uint16_t nworkers;
	uint8_t secret[32]; // random: guests choose what is hashed
	bool hugepages;     // try them; ordinary pages where there are none
};

// One mapping with a versioned header. 0 and *out, or -errno with a sentence. Main thread.
int conn_table_new(
	struct conn_table **out, const struct conn_table_options *options, struct error *err);
// When no thread can see it any more. NULL is allowed. Main thread.
void conn_table_free(struct conn_table *table);

// --- workers, inside a round

// Hashes keys, and fetches their buckets ahead; fills `hash` and of IPv6 the digest.
void conn_keys_hash(const struct conn_table *table, struct conn_key *keys, unsigned n);
// found[i]: the entry of keys[i], hashed, or 0. All of the n are looked up side by side; their
// first lines, and the second ones where IPv6 asks for it, have been fetched. n up to BURST_MAX.
void conn_find_burst(
	const struct conn_table *table, const struct conn_key *keys, unsigned n, uint32_t *found);
// One key, hashed: its entry, or 0. An entry found stays what it is until the worker's next
// quiescent state, even if it is removed meanwhile.
uint32_t conn_find(const struct conn_table *table, const struct conn_key *key);

// The start of a table, for what is inline here.
struct conn_table_head {
	struct conn *entries; // by number; 0 is none
	bool alone;           // there is one worker
};

// The entry with this number, which some function here has given. Any thread.
static inline struct conn *conn_at(const struct conn_table *table, uint32_t index)
{
	return ((const struct conn_table_head *)(const void *)table)->entries + index;
}

// A free entry of the worker's, zeroed but for id, addresses and hash of the key, created_s and
// owner; nobody finds it yet. *index, and 0; -EDQUOT: the owner has `limit` (0: no limit of its
// own), which the janitor hears of; -ENOSPC: no entry is free.
int conn_reserve(struct conn_table *table, uint16_t worker, const struct conn_key *key,
	uint16_t owner, uint32_t limit, uint32_t now_s, uint32_t *index);
// Counts one more for the owner, for a connection that begins anew in an entry that is there;
// false: it has `limit`. An entry that counts for it already is renewed whatever the limit.
// conn_owner_give gives it back; conn_owner_change has the entry count for it, and no more for the
// one before.
bool conn_owner_take(
	struct conn_table *table, const struct conn *conn, uint16_t owner, uint32_t limit);
void conn_owner_give(struct conn_table *table, uint16_t owner);
void conn_owner_change(struct conn_table *table, struct conn *conn, uint16_t owner);
// Lets the reserved entry be found; due_s is when the janitor looks at it first. Returns it, or the
// one that another worker has made for the key in the meantime: then the reserved one is given
// back. 0: no place in the index could be made; it is given back too.
uint32_t conn_publish(struct conn_table *table, uint16_t worker, uint32_t index, uint32_t due_s);
// Gives a reserved entry back that was not published.
void conn_cancel(struct conn_table *table, uint16_t worker, uint32_t index);
// Has the janitor look at an entry at due_s at the latest: its time-out has become shorter.
void conn_due(struct conn_table *table, uint32_t index, uint32_t due_s);

// The entry's own lock, a spinlock; innermost. Not taken where there is one worker.
void conn_lock(struct conn_table *table, struct conn *conn);
void conn_unlock(struct conn_table *table, struct conn *conn);

// Chains are called by numbers from 1; each instance in one by a number from 1.
enum {
	CONN_CHAINS = 2 * CHAINS_MAX + 1, // a change can replace all
	CONN_INSTANCES = 256,
	CONN_CHAIN_GONE = UINT16_MAX
};

// What was decided about a connection: under which policy epoch, between which ports, by which
// rules, through which chain. It keeps its instances if it stays in its chain.
struct conn_resolved {
	uint32_t epoch, rules[2];
	uint16_t ports[2]; // behind the lower and the higher end; 0: not known
	uint16_t chain;    // 0: none
	bool liberal;      // no rules concern it: CONN_LIBERAL
};
// Notes it, if the connection has not begun anew since it was this generation. Takes the entry's
// lock.
void conn_resolve(struct conn_table *table, struct conn *conn, uint8_t generation,
	const struct conn_resolved *resolved);
// Notes which instances it visits, by hop (0: none), if it still is in that chain. Takes the
// entry's lock.
void conn_choose(struct conn_table *table, struct conn *conn, uint16_t chain,
	const uint8_t instances[CHAIN_HOPS_MAX]);

// --- janitor

// Looks at up to `budget` entries, from where the last call ended, and removes those whose state's
// time-out has passed; at the limit of those that come to a port, also the ones of them that are
// over or have not been answered within three seconds; where free entries are few, also those that
// are over, and then unanswered ones of the owner that has most of them. What is removed is not
// found any more, and is free after conn_reclaimed. Returns how many were removed.
uint32_t conn_reclaim(struct conn_table *table, const struct track_settings *settings,
	uint32_t now_s, uint32_t budget);
// After a grace period: what conn_reclaim and conn_remove have removed before it began is free.
// `mark` is from conn_reclaim_mark, taken before the grace period.
uint64_t conn_reclaim_mark(struct conn_table *table);
void conn_reclaimed(struct conn_table *table, uint64_t mark);
// Whether free entries are few and some may be removed, so that the janitor should not wait.
bool conn_is_short(const struct conn_table *table);
// Has the next pass look at each entry, since time-outs have changed; behind the grace period of
// the settings that were replaced, lest a worker use them still. Main thread.
void conn_look_again(struct conn_table *table);
// The port is gone, and no worker knows it any more: what counts for it is removed by a pass of the
// janitor's, and what had it behind an end forgets it. Main thread.
void conn_port_leaves(struct conn_table *table, uint16_t port);
// Whether that is still to come. Any thread.
bool conn_port_is_leaving(const struct conn_table *table, uint16_t port);

// --- any thread that is no worker; main, for the control plane

// Removes an entry if it is still that connection. False: it was gone.
bool conn_remove(struct conn_table *table, uint32_t index, const struct conn_id *id);

// A copy, as of a moment; fields may be of moments apart.
struct conn_view {
	uint32_t index;
	struct conn_key key;
	enum conn_state state;
	uint8_t flags;
	uint16_t ports[2], owner; // behind both ends; conn_owner
	uint16_t chain;           // 0: none
	uint8_t instances[CHAIN_HOPS_MAX];
	uint32_t epoch, seen_s, created_s;
	uint32_t rules[2];
	uint64_t packets[2], bytes[2];
	struct conn_side sides[2];
};
// Walks from *cursor (0: the start) over at most `scan` entries; returns how many of max were
// filled; *cursor is 0 after the last. Each connection that lives through the walk is seen once.
// Any thread: it reads lines that workers write, so whoever wants all takes breaths.
uint32_t conn_walk(const struct conn_table *table, uint32_t *cursor, uint32_t scan,
	struct conn_view *views, uint32_t max);
bool conn_view_at(const struct conn_table *table, uint32_t index, struct conn_view *view);

struct conn_stats {
	uint32_t capacity, used;
	uint64_t created, expired, evicted, removed; // running totals
	uint64_t full;                               // not made: no entry free, or no place
	size_t bytes;                                // of the mapping
	bool hugepages;
};
void conn_table_stats(const struct conn_table *table, struct conn_stats *stats);
uint32_t conn_count_of(const struct conn_table *table, uint16_t owner);
// In a chain, and of those the ones with that instance; 0: all.
uint32_t conn_count_in(const struct conn_table *table, uint16_t chain, uint8_t instance);

#endif

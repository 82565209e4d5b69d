// SPDX-License-Identifier: BSD-3-Clause
// Two workers look up, make, count and lock connections of the same keys, while the janitor
// reclaims with grace periods and the control plane walks and removes: what is found is what was
// asked for, no key has two entries, and at the end nothing is left over. Then entries are made to
// move while a worker looks for them: it finds them all the time. A plain program, because the
// thread sanitizer and the unit test framework exclude each other.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

// Not base/rcu.h: liburcu's functions inline would be looked at by the sanitizer, which does not
// know their barriers.
#define URCU_API_MAP
#include <urcu/urcu-qsbr.h>

#include "tests/unit/kit_conn.h"

enum {
	KEYS = 1500,
	CONNECTIONS = 1200, // fewer than keys: the table gets full
	BURSTS = 6000,
	WORKERS = 2,
	OWNERS = 4,
	CHAINS = 3,
	LAPS = 500,
	STABLE = 5,
	CROWD = 20,
};

static struct conn_table *table;
static struct track_settings settings;
static _Atomic uint32_t now_s = 1000;
static _Atomic int running; // workers
static _Atomic uint32_t wrong;

// For the same reason the grace period is told to the sanitizer once more: a
// worker's last look is before its quiescent state, and that before what the janitor does next.
static _Atomic uint32_t quiescent[WORKERS];

static void report_quiescent(unsigned worker)
{
	atomic_fetch_add_explicit(&quiescent[worker], 1, memory_order_release);
	rcu_quiescent_state();
}

static void wait_for_grace_period(void)
{
	uint64_t mark = conn_reclaim_mark(table);
	synchronize_rcu();
	for (unsigned i = 0; i < WORKERS; i++)
		atomic_load_explicit(&quiescent[i], memory_order_acquire);
	conn_reclaimed(table, mark);
}

static struct conn_key key_of(uint32_t n)
{
	return n % 2 ? kit_key4(n) : kit_key6(n);
}

static void use(uint32_t index, const struct conn_key *key, uint32_t now)
{
	struct conn *conn = conn_at(table, index);
	wrong += !conn_is(conn, key);
	conn_count(conn, key->direction, 64);
	conn_seen(conn, now);
	conn_lock(table, conn);
	conn->sides[0].end++;
	conn->sides[1].end++;
	wrong += conn->sides[0].end != conn->sides[1].end;
	conn_unlock(table, conn);
}

static void shorten(uint32_t index, uint32_t now)
{
	atomic_store_explicit(&conn_at(table, index)->state, CONN_TCP_CLOSED, memory_order_relaxed);
	conn_due(table, index, now + settings.timeouts_s[CONN_TCP_CLOSED]);
}

// As a connection that begins anew, perhaps for another owner, while others remove the entry.
static void renew(uint32_t index, uint64_t *dice)
{
	struct conn *conn = conn_at(table, index);
	uint16_t owner = (uint16_t)(1 + kit_random(dice) % OWNERS);
	if (!conn_owner_take(table, conn, owner, CONNECTIONS / 2))
		return;
	sched_yield(); // it may be removed meanwhile
	conn_owner_change(table, conn, owner);
}

// As a connection that goes through another chain, or to other instances, while others remove the
// entry.
static void steer(uint32_t index, uint64_t *dice)
{
	struct conn *conn = conn_at(table, index);
	struct conn_resolved resolved = {
		.epoch = 1, .chain = (uint16_t)(kit_random(dice) % (CHAINS + 1))};
	uint8_t instances[CHAIN_HOPS_MAX];
	for (unsigned hop = 0; hop < CHAIN_HOPS_MAX; hop++)
		instances[hop] = (uint8_t)(kit_random(dice) % 3);
	conn_resolve(table, conn, conn_generation(conn), &resolved);
	sched_yield();
	if (resolved.chain)
		conn_choose(table, conn, resolved.chain, instances);
}

static void make_entry(uint16_t worker, const struct conn_key *key, uint32_t now, uint64_t *dice)
{
	uint32_t index;
	uint16_t owner = (uint16_t)(1 + kit_random(dice) % OWNERS);
	if (conn_reserve(table, worker, key, owner, CONNECTIONS / 2, now, &index))
		return;
	enum conn_state state = CONN_UDP_UNANSWERED;
	atomic_store_explicit(&conn_at(table, index)->state, state, memory_order_relaxed);
	atomic_store_explicit(&conn_at(table, index)->seen_s, now, memory_order_relaxed);
	index = conn_publish(table, worker, index, now + settings.timeouts_s[state]);
	if (index)
		use(index, key, now);
}

static void *work(void *arg)
{
	uint16_t worker = (uint16_t)(uintptr_t)arg;
	uint64_t dice = worker + 1;
	rcu_register_thread();
	for (int burst = 0; burst < BURSTS; burst++) {
		struct conn_key keys[BURST_MAX];
		uint32_t found[BURST_MAX], now = atomic_load(&now_s);
		// In a row, and in the same order by both workers: they often want the same one.
		for (unsigned i = 0; i < BURST_MAX; i++)
			keys[i] = key_of((uint32_t)(burst * BURST_MAX) / 2 % KEYS + i);
		conn_keys_hash(table, keys, BURST_MAX);
		conn_find_burst(table, keys, BURST_MAX, found);
		for (unsigned i = 0; i < BURST_MAX; i++) {
			if (!found[i])
				make_entry(worker, &keys[i], now, &dice);
			else if (kit_random(&dice) % 16)
				use(found[i], &keys[i], now);
			else if (kit_random(&dice) % 2)
				renew(found[i], &dice);
			else if (kit_random(&dice) % 2)
				steer(found[i], &dice);
			else
				shorten(found[i], now);
		}
		report_quiescent(worker);
	}
	rcu_unregister_thread();
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void *reclaim(void *arg)
{
	(void)arg;
	while (atomic_load(&running)) {
		conn_reclaim(table, &settings, atomic_fetch_add(&now_s, 1), 300);
		wait_for_grace_period();
	}
	return NULL;
}

// Whether no key is seen twice among the views of a walk that nothing disturbs.
static bool walk_is_sound(uint32_t *count)
{
	struct conn_view views[CONNECTIONS];
	uint32_t cursor = 0;
	*count = 0;
	do
		*count += conn_walk(table, &cursor, 100, views + *count, CONNECTIONS - *count);
	while (cursor);
	for (uint32_t i = 0; i < *count; i++) {
		struct conn_key key = views[i].key;
		if (conn_find(table, &key) != views[i].index)
			return false;
	}
	return true;
}

// The control plane's part.
static void walk_and_remove(void)
{
	uint32_t cursor = 0;
	uint64_t dice = 99;
	while (atomic_load(&running)) {
		struct conn_view views[16];
		uint32_t n = conn_walk(table, &cursor, 64, views, 16);
		for (uint32_t i = kit_random(&dice) % 256; i < n; i += 16)
			conn_remove(table, views[i].index, &views[i].key.id);
		if (cursor == 0)
			conn_look_again(table);
	}
}

static bool nothing_is_left(void)
{
	atomic_fetch_add(&now_s, 1000000);
	conn_reclaim(table, &settings, atomic_load(&now_s), CONNECTIONS);
	wait_for_grace_period();
	struct conn_stats stats;
	conn_table_stats(table, &stats);
	// Of each by itself: one that counts too much hides another that counts too little.
	uint32_t held = 0;
	for (uint16_t owner = 0; owner <= OWNERS; owner++)
		held += conn_count_of(table, owner) != 0;
	uint32_t chained = 0;
	for (uint16_t chain = 1; chain <= CHAINS; chain++)
		for (unsigned instance = 0; instance < 3; instance++)
			chained += conn_count_in(table, chain, (uint8_t)instance) != 0;
	printf("made %lu: expired %lu, evicted %lu, removed %lu; not made %lu; left %u, owners "
	       "%u, chains %u\n",
		stats.created, stats.expired, stats.evicted, stats.removed, stats.full, stats.used,
		held, chained);
	return stats.used == 0 && held == 0 && chained == 0 && stats.full && stats.removed &&
	       stats.created == stats.expired + stats.evicted + stats.removed;
}

static bool race_for_entries(void)
{
	struct conn_table_options options = kit_table_options(CONNECTIONS, WORKERS, 1);
	if (conn_table_new(&table, &options, NULL))
		return false;
	pthread_t threads[WORKERS + 1];
	atomic_store(&running, WORKERS);
	for (uintptr_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	pthread_create(&threads[WORKERS], NULL, reclaim, NULL);
	walk_and_remove();
	for (unsigned i = 0; i < WORKERS + 1; i++)
		pthread_join(threads[i], NULL);
	uint32_t count;
	bool sound = walk_is_sound(&count);
	printf("entries: %u in use, %s; wrong: %u\n", count, sound ? "each once" : "some twice",
		atomic_load(&wrong));
	bool clean = nothing_is_left();
	conn_table_free(table);
	return sound && clean && !atomic_load(&wrong);
}

// --- entries that move

static struct conn_key stable[STABLE], crowd[CROWD];
static _Atomic uint32_t lap;   // odd: the stable ones are in the table
static _Atomic uint32_t looks; // that began and ended in one odd lap

// Those of two buckets, and those of the first of them and any other.
static void choose_keys(void)
{
	uint32_t nstable = 0, ncrowd = 0;
	for (uint32_t n = 0; nstable < STABLE || ncrowd < CROWD; n++) {
		struct conn_key key = kit_key4(n);
		conn_keys_hash(table, &key, 1);
		uint32_t first = bucket_first(table, key.hash);
		uint32_t second = bucket_second(table, key.hash);
		if (first == 0 && second != 1 && nstable < STABLE)
			stable[nstable++] = key;
		else if (first + second == 1 && ncrowd < CROWD)
			crowd[ncrowd++] = key;
	}
}

static void *look(void *arg)
{
	(void)arg;
	rcu_register_thread();
	while (atomic_load(&running)) {
		uint32_t before = atomic_load_explicit(&lap, memory_order_acquire);
		uint32_t found[STABLE], missed = 0;
		conn_find_burst(table, stable, STABLE, found);
		for (unsigned i = 0; i < STABLE; i++)
			missed += !found[i] || conn_find(table, &stable[i]) != found[i];
		atomic_thread_fence(memory_order_seq_cst);
		if (before % 2 && atomic_load(&lap) == before) {
			wrong += missed;
			atomic_fetch_add(&looks, 1);
		}
		report_quiescent(0);
	}
	rcu_unregister_thread();
	return NULL;
}

static void add_and_forget(const struct conn_key *keys, uint32_t n, uint32_t *entries)
{
	for (uint32_t i = 0; i < n; i++) {
		entries[i] = 0;
		if (!conn_reserve(table, 1, &keys[i], 0, 0, 0, &entries[i]))
			entries[i] = conn_publish(table, 1, entries[i], 1);
	}
}

static void remove_all(const struct conn_key *keys, uint32_t n, const uint32_t *entries)
{
	for (uint32_t i = 0; i < n; i++)
		conn_remove(table, entries[i], &keys[i].id);
}

static void wait_for_look(void)
{
	uint32_t before = atomic_load(&looks);
	while (atomic_load(&looks) == before)
		sched_yield();
}

static bool race_for_moves(void)
{
	struct conn_table_options options = kit_table_options(39, WORKERS, 1);
	if (conn_table_new(&table, &options, NULL))
		return false;
	choose_keys();
	uint32_t moved = 0;
	pthread_t thread;
	atomic_store(&running, 1);
	pthread_create(&thread, NULL, look, NULL);
	for (int i = 0; i < LAPS; i++) {
		uint32_t entries[STABLE], others[CROWD];
		add_and_forget(stable, STABLE, entries);
		atomic_fetch_add(&lap, 1);
		wait_for_look();
		add_and_forget(crowd, CROWD, others);
		moved += atomic_load(&table->buckets[0].overflow);
		wait_for_look();
		atomic_fetch_add(&lap, 1);
		remove_all(crowd, CROWD, others);
		remove_all(stable, STABLE, entries);
		wait_for_grace_period();
	}
	atomic_store(&running, 0);
	pthread_join(thread, NULL);
	printf("moves: %u in %d laps; looked %u times; missed: %u\n", moved, LAPS,
		atomic_load(&looks), atomic_load(&wrong));
	conn_table_free(table);
	return moved && !atomic_load(&wrong);
}

int main(void)
{
	track_settings_default(&settings);
	bool entries = race_for_entries(), moves = race_for_moves();
	return entries && moves ? EXIT_SUCCESS : EXIT_FAILURE;
}

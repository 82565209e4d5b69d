// SPDX-License-Identifier: BSD-3-Clause
// The table beside a plain reference, under random interleavings of everything that is done to it.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "tests/unit/kit_conn.h"

enum {
	KEYS = 400,
	STEPS = 60000,
};

// What the reference knows of a key; index 0: there is no such connection.
struct known {
	struct conn_key key;
	uint32_t index;
	enum conn_state state;
	uint32_t seen_s;
	uint16_t owner;
};

static struct conn_table *table;
static struct track_settings settings;
static struct known known[KEYS];
static uint32_t connections, used, waiting, now_s, removed_before_time;
static uint64_t seed, dice;

static uint32_t roll(uint32_t n)
{
	return (uint32_t)(kit_random(&dice) >> 32) % n;
}

static void begin(uint64_t with_seed, uint32_t with_connections)
{
	seed = with_seed;
	dice = seed * 2 + 1;
	printf("seed %lu, %u connections\n", seed, with_connections);
	connections = with_connections;
	used = waiting = removed_before_time = 0;
	now_s = (uint32_t)-5000; // the clock goes through 0
	memset(known, 0, sizeof(known));
	struct conn_table_options options = kit_table_options(connections, 2, seed);
	enum conn_hash_kind kind = seed % 2 ? conn_hash_best() : CONN_HASH_SIPHASH;
	cr_assert_eq(conn_table_new_with(&table, &options, kind, NULL), 0);
	track_settings_default(&settings);
	for (uint32_t n = 0; n < KEYS; n++) {
		known[n].key = n % 3 ? kit_key4(n) : kit_key6(n);
		conn_keys_hash(table, &known[n].key, 1);
	}
}

static enum conn_state any_state(void)
{
	return (enum conn_state)(1 + roll(CONN_STATE_COUNT - 1));
}

static void create(struct known *k)
{
	uint32_t index;
	uint16_t worker = (uint16_t)roll(2), owner = (uint16_t)(1 + roll(4));
	int result = conn_reserve(table, worker, &k->key, owner, 0, now_s, &index);
	cr_assert_eq(result, used + waiting < connections ? 0 : -ENOSPC, "seed %lu", seed);
	if (result)
		return;
	if (!roll(8)) {
		conn_cancel(table, worker, index);
		return;
	}
	struct conn *conn = conn_at(table, index);
	enum conn_state state = any_state();
	conn->state = (uint8_t)state;
	conn->seen_s = now_s;
	uint32_t published = conn_publish(table, worker, index, now_s + settings.timeouts_s[state]);
	if (k->index) {
		cr_assert_eq(published, k->index, "seed %lu", seed);
		return;
	}
	cr_assert_eq(published, index, "seed %lu", seed);
	k->index = index;
	k->state = state;
	k->seen_s = now_s;
	k->owner = owner;
	used++;
}

static void take_away(struct known *k)
{
	bool was = conn_remove(table, k->index ? k->index : 1 + roll(connections), &k->key.id);
	cr_assert_eq(was, k->index != 0, "seed %lu", seed);
	used -= was;
	waiting += was;
	k->index = 0;
}

// A packet of the connection.
static void touch(struct known *k)
{
	if (!k->index)
		return;
	struct conn *conn = conn_at(table, k->index);
	conn_seen(conn, now_s);
	k->seen_s = now_s;
	if (roll(2))
		return;
	enum conn_state state = any_state();
	conn->state = (uint8_t)state;
	if (settings.timeouts_s[state] < settings.timeouts_s[k->state])
		conn_due(table, k->index, now_s + settings.timeouts_s[state]);
	k->state = state;
}

static void look_up_burst(void)
{
	struct conn_key keys[BURST_MAX];
	uint32_t which[BURST_MAX], found[BURST_MAX];
	for (unsigned i = 0; i < BURST_MAX; i++) {
		which[i] = roll(KEYS);
		keys[i] = known[which[i]].key;
	}
	conn_find_burst(table, keys, BURST_MAX, found);
	for (unsigned i = 0; i < BURST_MAX; i++)
		cr_assert_eq(found[i], known[which[i]].index, "seed %lu", seed);
}

static bool is_over(const struct known *k)
{
	return (int32_t)(now_s - k->seen_s - settings.timeouts_s[k->state]) > 0;
}

// A slice that is the whole table: whatever is over has gone, and before its time nothing that is
// established, and nothing at all where there is room.
static void reclaim(void)
{
	uint32_t expected = conn_reclaim(table, &settings, now_s, connections), gone = 0;
	for (struct known *k = known; k < known + KEYS; k++) {
		if (!k->index)
			continue;
		if (conn_find(table, &k->key)) {
			cr_assert_not(is_over(k), "seed %lu", seed);
			continue;
		}
		if (!is_over(k)) {
			removed_before_time++;
			cr_assert_neq(
				conn_state_class(k->state), CONN_CLASS_IN_USE, "seed %lu", seed);
		}
		k->index = 0;
		gone++;
	}
	cr_assert_eq(gone, expected, "seed %lu", seed);
	used -= gone;
	waiting += gone;
}

static void grace(void)
{
	conn_reclaimed(table, conn_reclaim_mark(table));
	waiting = 0;
}

static void check_all(void)
{
	uint32_t of_owner[5] = {0}, count = 0, cursor = 0;
	for (const struct known *k = known; k < known + KEYS; k++) {
		cr_assert_eq(conn_find(table, &k->key), k->index, "seed %lu", seed);
		of_owner[k->owner] += k->index != 0;
	}
	for (uint16_t owner = 1; owner <= 4; owner++)
		cr_assert_eq(conn_count_of(table, owner), of_owner[owner], "seed %lu", seed);
	struct conn_view views[KEYS];
	do
		count += conn_walk(table, &cursor, 64, views, KEYS);
	while (cursor);
	cr_assert_eq(count, used, "seed %lu", seed);
	struct conn_stats stats;
	conn_table_stats(table, &stats);
	cr_assert_eq(stats.used, used, "seed %lu", seed);
	cr_assert_eq(stats.evicted, removed_before_time, "seed %lu", seed);
}

static void step(void)
{
	struct known *k = &known[roll(KEYS)];
	uint32_t what = roll(100);
	if (what < 30)
		create(k);
	else if (what < 40)
		take_away(k);
	else if (what < 70)
		touch(k);
	else if (what < 85)
		look_up_burst();
	else if (what < 90)
		reclaim();
	else if (what < 95)
		grace();
	else if (what < 99)
		now_s += roll(20);
	else
		check_all();
}

static void run(uint64_t with_seed, uint32_t with_connections)
{
	begin(with_seed, with_connections);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	check_all();
	conn_table_free(table);
}

Test(conn_model, a_table_with_room)
{
	for (uint64_t n = 1; n <= 4; n++) {
		run(n, 2 * KEYS);
		cr_assert_eq(removed_before_time, 0);
	}
}

Test(conn_model, a_table_that_is_too_small)
{
	for (uint64_t n = 5; n <= 8; n++) {
		run(n, KEYS / 5);
		cr_assert_neq(removed_before_time, 0);
	}
}

// SPDX-License-Identifier: BSD-3-Clause
// A table for one test and what is done to it in one line.
#ifndef WEIR_TESTS_UNIT_KIT_CONN_TABLE_H
#define WEIR_TESTS_UNIT_KIT_CONN_TABLE_H

#include <criterion/criterion.h>

#include "tests/unit/kit_conn.h"

static struct conn_table *table;
static struct track_settings settings;

static inline void make_with(uint32_t connections, uint16_t nworkers, enum conn_hash_kind kind)
{
	struct conn_table_options options = kit_table_options(connections, nworkers, 7);
	struct error err;
	cr_assert_eq(conn_table_new_with(&table, &options, kind, &err), 0, "%s", err.text);
	track_settings_default(&settings);
}

static inline void make(uint32_t connections, uint16_t nworkers)
{
	make_with(connections, nworkers, conn_hash_best());
}

static inline void unmake(void)
{
	conn_table_free(table);
	table = NULL;
}

static inline uint32_t find(struct conn_key key)
{
	conn_keys_hash(table, &key, 1);
	return conn_find(table, &key);
}

static inline int add(
	struct conn_key key, uint16_t owner, enum conn_state state, uint32_t now_s, uint32_t *index)
{
	conn_keys_hash(table, &key, 1);
	int result = conn_reserve(table, 0, &key, owner, 0, now_s, index);
	if (result)
		return result;
	struct conn *conn = conn_at(table, *index);
	conn->state = (uint8_t)state;
	conn->seen_s = now_s;
	uint32_t published = conn_publish(table, 0, *index, now_s + settings.timeouts_s[state]);
	cr_assert_eq(published, *index);
	return 0;
}

static inline uint32_t added(uint32_t n, uint16_t owner, enum conn_state state, uint32_t now_s)
{
	uint32_t index;
	cr_assert_eq(add(kit_key4(n), owner, state, now_s, &index), 0);
	return index;
}

static inline struct conn_stats stats_now(void)
{
	struct conn_stats stats;
	conn_table_stats(table, &stats);
	return stats;
}

// A grace period: nobody else is there.
static inline void grace(void)
{
	conn_reclaimed(table, conn_reclaim_mark(table));
}

static inline uint32_t count_state(enum conn_state state, uint16_t owner)
{
	struct conn_view views[16];
	uint32_t cursor = 0, count = 0;
	do {
		uint32_t n = conn_walk(table, &cursor, 100, views, 16);
		for (uint32_t i = 0; i < n; i++)
			count += views[i].state == state && views[i].owner == owner;
	} while (cursor);
	return count;
}

#endif

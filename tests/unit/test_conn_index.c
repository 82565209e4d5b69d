// SPDX-License-Identifier: BSD-3-Clause
// Buckets that are full: entries move, all are found, and the bound holds.
#include <criterion/criterion.h>

#include "tests/unit/kit_conn.h"

enum {
	CONNECTIONS = 1000,
	KEYS_MAX = 64,
};

static struct conn_table *table;

static void make(void)
{
	struct conn_table_options options = kit_table_options(CONNECTIONS, 1, 11);
	cr_assert_eq(conn_table_new(&table, &options, NULL), 0);
}

static void unmake(void)
{
	conn_table_free(table);
}

TestSuite(conn_index, .init = make, .fini = unmake);

// Keys whose buckets are these; `second` of any number but `not`, where it is not given.
static uint32_t next_key;

static struct conn_key key_of_buckets(uint32_t first, int64_t second, uint32_t not )
{
	for (;;) {
		struct conn_key key = kit_key4(next_key++);
		conn_keys_hash(table, &key, 1);
		if (bucket_first(table, key.hash) != first)
			continue;
		uint32_t other = bucket_second(table, key.hash);
		if (second < 0 ? other != not : other == (uint32_t)second)
			return key;
	}
}

static struct conn_key keys[KEYS_MAX];
static uint32_t entries[KEYS_MAX], nkeys;

static uint32_t add(struct conn_key key)
{
	uint32_t index;
	cr_assert_eq(conn_reserve(table, 0, &key, 1, 0, 0, &index), 0);
	uint32_t published = conn_publish(table, 0, index, 100);
	if (published) {
		cr_assert_eq(published, index);
		keys[nkeys] = key;
		entries[nkeys++] = published;
	}
	return published;
}

static void all_are_found(void)
{
	for (uint32_t i = 0; i < nkeys; i++) {
		uint32_t found;
		cr_assert_eq(conn_find(table, &keys[i]), entries[i], "key %u", i);
		conn_find_burst(table, &keys[i], 1, &found);
		cr_assert_eq(found, entries[i], "key %u in a burst", i);
	}
}

static uint32_t overflow_of_all(void)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < table->nbuckets; i++)
		sum += table->buckets[i].overflow;
	return sum;
}

enum {
	A = 3,
	B = 4,
	MOVABLE = 5
};

// A has entries that could go elsewhere, and then both are filled by keys of these two.
static void fill_two_buckets(void)
{
	for (unsigned i = 0; i < MOVABLE; i++)
		cr_assert(add(key_of_buckets(A, -1, B)));
	for (unsigned i = 0; i < 2 * BUCKET_ENTRIES - MOVABLE; i++)
		cr_assert(add(key_of_buckets(i % 2 ? A : B, i % 2 ? B : A, 0)));
	all_are_found();
}

Test(conn_index, a_full_bucket_sends_an_entry_to_its_other_one)
{
	fill_two_buckets();
	uint32_t before = overflow_of_all();
	for (unsigned i = 0; i < MOVABLE; i++) {
		cr_assert(add(key_of_buckets(A, B, 0)), "one more that moves");
		all_are_found();
	}
	cr_assert_geq(overflow_of_all(), before + MOVABLE);
}

Test(conn_index, where_nothing_can_move_the_connection_is_not_made)
{
	fill_two_buckets();
	for (unsigned i = 0; i < MOVABLE; i++)
		cr_assert(add(key_of_buckets(A, B, 0)));
	struct conn_stats stats;
	conn_table_stats(table, &stats);
	uint32_t used = stats.used;
	cr_assert_eq(add(key_of_buckets(A, B, 0)), 0);
	cr_assert_eq(add(key_of_buckets(B, A, 0)), 0);
	conn_table_stats(table, &stats);
	cr_assert_eq(stats.full, 2);
	cr_assert_eq(stats.used, used, "what was reserved is given back");
	cr_assert_eq(conn_count_of(table, 1), used);
	all_are_found();
}

Test(conn_index, nothing_is_left_of_what_goes)
{
	fill_two_buckets();
	for (unsigned i = 0; i < MOVABLE; i++)
		cr_assert(add(key_of_buckets(A, B, 0)));
	while (nkeys) {
		nkeys--;
		cr_assert(conn_remove(table, entries[nkeys], &keys[nkeys].id));
		cr_assert_eq(conn_find(table, &keys[nkeys]), 0);
		all_are_found();
	}
	cr_assert_eq(overflow_of_all(), 0);
	for (uint32_t i = 0; i < table->nbuckets; i++)
		cr_assert_eq(bucket_match(&table->buckets[i], 0), (1 << BUCKET_ENTRIES) - 1);
}

Test(conn_index, equal_tags_are_told_apart)
{
	struct conn_key first = key_of_buckets(A, -1, B), second;
	do
		second = key_of_buckets(A, -1, B);
	while (tag_of(second.hash) != tag_of(first.hash));
	uint32_t found;
	cr_assert(add(first));
	cr_assert_eq(conn_find(table, &second), 0);
	cr_assert(add(second));
	all_are_found();
	cr_assert(conn_remove(table, entries[0], &first.id));
	conn_find_burst(table, &first, 1, &found);
	cr_assert_eq(found, 0);
	cr_assert_eq(conn_find(table, &second), entries[1]);
}

Test(conn_index, the_two_buckets_of_a_key_are_two)
{
	for (uint32_t n = 0; n < 100000; n++) {
		uint32_t hash = n * 0x9e3779b1u;
		uint32_t first = bucket_first(table, hash), second = bucket_second(table, hash);
		cr_assert_lt(first, table->nbuckets);
		cr_assert_lt(second, table->nbuckets);
		cr_assert_neq(first, second);
	}
}

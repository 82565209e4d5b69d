// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>
#include <stdlib.h>

#include "switch/mac_table.h"

static const uint64_t secret[2] = {0x0123456789abcdef, 0xfedcba9876543210};
static struct mac_table *table;

static void make(void)
{
	table = mac_table_new(secret);
}

static void unmake(void)
{
	mac_table_free(table);
}

TestSuite(mac_table, .init = make, .fini = unmake);

static uint64_t key_of(uint32_t n, uint16_t vlan)
{
	const uint8_t mac[6] = {
		0x52, 0x54, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	return mac_key(mac, vlan);
}

static bool learn(uint32_t n, uint16_t vlan, uint16_t port, uint32_t limit, uint32_t now_s)
{
	uint64_t key = key_of(n, vlan);
	return mac_learn(table, key, mac_hash(table, key), port, limit, now_s);
}

static int lookup(uint32_t n, uint16_t vlan)
{
	uint64_t key = key_of(n, vlan);
	return mac_lookup(table, key, mac_hash(table, key));
}

Test(mac_table, learns_per_vlan)
{
	cr_assert_eq(lookup(1, 0), -1);
	cr_assert(learn(1, 0, 7, 0, 100));
	cr_assert(learn(1, 10, 8, 0, 100));
	cr_assert_eq(lookup(1, 0), 7);
	cr_assert_eq(lookup(1, 10), 8);
	cr_assert_eq(lookup(1, 11), -1);
}

Test(mac_table, moves)
{
	cr_assert(learn(1, 0, 7, 0, 100));
	cr_assert(learn(1, 0, 9, 0, 101));
	cr_assert_eq(lookup(1, 0), 9);
	cr_assert_eq(mac_count_of(table, 7), 0);
	cr_assert_eq(mac_count_of(table, 9), 1);
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	cr_assert_eq(stats.moved, 1);
	cr_assert_eq(stats.count, 1);
}

Test(mac_table, limit_refuses_new_and_moved_but_not_known)
{
	cr_assert(learn(1, 0, 7, 2, 100));
	cr_assert(learn(2, 0, 7, 2, 100));
	cr_assert_not(learn(3, 0, 7, 2, 100));
	cr_assert(learn(3, 0, 8, 2, 100));
	cr_assert_not(learn(3, 0, 7, 2, 101), "a full port takes no other port's address");
	cr_assert_eq(lookup(3, 0), 8);
	cr_assert(learn(2, 0, 7, 2, 102));
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	cr_assert_eq(stats.refused, 2);
}

Test(mac_table, ages_what_was_not_seen)
{
	cr_assert(learn(1, 0, 7, 0, 100));
	cr_assert(learn(2, 0, 7, 0, 100));
	cr_assert(learn(2, 0, 7, 0, 350));
	cr_assert_eq(mac_age(table, 400, 300), 0);
	cr_assert_eq(mac_age(table, 401, 300), 1);
	cr_assert_eq(lookup(1, 0), -1);
	cr_assert_eq(lookup(2, 0), 7);
	cr_assert_eq(mac_count_of(table, 7), 1);
}

Test(mac_table, flushes_what_matches)
{
	for (uint16_t port = 1; port <= 3; port++)
		for (uint16_t vlan = 0; vlan < 3; vlan++)
			cr_assert(learn(port, vlan, port, 0, 1));
	const uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, 2};
	cr_assert_eq(mac_flush(table, 3, 1, NULL), 1);
	cr_assert_eq(mac_flush(table, -1, -1, mac), 3);
	cr_assert_eq(lookup(3, 1), -1);
	cr_assert_eq(lookup(3, 2), 3);
	cr_assert_eq(lookup(2, 0), -1);
	cr_assert_eq(mac_flush(table, -1, -1, NULL), 5);
}

Test(mac_table, holds_ten_thousand_and_walks_them_once)
{
	enum {
		N = 10000
	};
	for (uint32_t n = 0; n < N; n++)
		cr_assert(learn(n, 5, (uint16_t)(n % 100 + 1), 0, 1), "entry %u", n);
	for (uint32_t n = 0; n < N; n++)
		cr_assert_eq(lookup(n, 5), (int)(n % 100 + 1));
	uint8_t *seen = calloc(N, 1);
	uint32_t cursor = 0, total = 0;
	do {
		struct mac_view views[37];
		uint32_t got = mac_walk(table, &cursor, views, 37);
		for (uint32_t i = 0; i < got; i++) {
			uint32_t n = (uint32_t)views[i].mac[4] << 8 | views[i].mac[5];
			cr_assert_eq(views[i].vlan, 5);
			cr_assert_eq(views[i].port, n % 100 + 1);
			cr_assert_eq(seen[n]++, 0);
		}
		total += got;
	} while (cursor);
	cr_assert_eq(total, N);
	free(seen);
}

Test(mac_table, full_buckets_refuse_and_lose_nothing)
{
	uint32_t learned = 0;
	for (uint32_t n = 0; n < 2 * MAC_TABLE_ENTRIES; n++)
		learned += learn(n, 0, 1, 0, 1);
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	cr_assert_eq(stats.count, learned);
	cr_assert_eq(stats.refused + learned, 2 * MAC_TABLE_ENTRIES);
	cr_assert_gt(learned, MAC_TABLE_ENTRIES * 9 / 10);
	cr_assert_eq(mac_flush(table, 1, -1, NULL), learned);
}

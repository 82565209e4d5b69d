// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "switch/mac_table.h"

static const uint64_t secret[2] = {0x7c3e51f09ab2d846, 0x91d70b5e26c8f3a5};
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

static uint64_t key_of_mac(const uint8_t *mac, uint16_t vlan)
{
	uint8_t frame[12] = {0};
	memcpy(frame + 6, mac, 6);
	return mac_key_source(frame, mac_key_tag(vlan));
}

static uint64_t key_of(uint32_t n, uint16_t vlan)
{
	const uint8_t mac[6] = {
		0x52, 0x54, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	return key_of_mac(mac, vlan);
}

static bool learn_key(uint64_t key, uint16_t port, uint32_t limit, uint32_t now_s)
{
	return mac_learn(table, key, mac_hash(table, key), port, limit, now_s);
}

static bool learn(uint32_t n, uint16_t vlan, uint16_t port, uint32_t limit, uint32_t now_s)
{
	return learn_key(key_of(n, vlan), port, limit, now_s);
}

static int lookup_key(uint64_t key)
{
	return mac_lookup(table, key, mac_hash(table, key));
}

static int lookup(uint32_t n, uint16_t vlan)
{
	return lookup_key(key_of(n, vlan));
}

static struct mac_stats stats_now(void)
{
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	return stats;
}

Test(mac_table, keys_tell_addresses_and_vlans_apart)
{
	const uint8_t frame[12] = {0x01, 0x80, 0xc2, 1, 2, 3, 0x52, 0x54, 0, 4, 5, 6};
	uint64_t tag = mac_key_tag(0);
	uint64_t to = mac_key_destination(frame, tag), from = mac_key_source(frame, tag);
	cr_assert_eq(to, key_of_mac(frame, 0));
	cr_assert_eq(from, key_of_mac(frame + 6, 0));
	cr_assert(mac_key_is_group(to));
	cr_assert_not(mac_key_is_group(from));
	cr_assert_eq(mac_key_vlan(from), 0);
	cr_assert_eq(mac_key_vlan(key_of_mac(frame, 4094)), 4094);
	cr_assert_neq(from, mac_key_source(frame, mac_key_tag(1)));
	const uint8_t nothing[6] = {0};
	cr_assert_neq(key_of_mac(nothing, 0), 0, "0 is a free entry");
}

Test(mac_table, learns_per_vlan)
{
	cr_assert_eq(lookup(1, 0), MAC_NO_PORT);
	cr_assert(learn(1, 0, 7, 0, 100));
	cr_assert(learn(1, 10, 8, 0, 100));
	cr_assert_eq(lookup(1, 0), 7);
	cr_assert_eq(lookup(1, 10), 8);
	cr_assert_eq(lookup(1, 11), MAC_NO_PORT);
}

Test(mac_table, moves)
{
	cr_assert(learn(1, 0, 7, 0, 100));
	cr_assert(learn(1, 0, 9, 0, 101));
	cr_assert_eq(lookup(1, 0), 9);
	cr_assert_eq(mac_count_of(table, 7), 0);
	cr_assert_eq(mac_count_of(table, 9), 1);
	struct mac_stats stats = stats_now();
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
	cr_assert_eq(stats_now().refused, 2);
}

Test(mac_table, ages_what_was_not_seen)
{
	cr_assert(learn(1, 0, 7, 0, 100));
	cr_assert(learn(2, 0, 7, 0, 100));
	cr_assert(learn(2, 0, 7, 0, 350));
	cr_assert_eq(mac_age(table, 400, 300), 0);
	cr_assert_eq(mac_age(table, 401, 300), 1);
	cr_assert_eq(lookup(1, 0), MAC_NO_PORT);
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
	cr_assert_eq(lookup(3, 1), MAC_NO_PORT);
	cr_assert_eq(lookup(3, 2), 3);
	cr_assert_eq(lookup(2, 0), MAC_NO_PORT);
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

// Addresses as guests may have them: from anywhere, counted up in the last byte or in another, or
// the same eight in each VLAN. Each n gives another key.
static uint64_t pattern(unsigned which, uint64_t n)
{
	uint64_t mac = which == 0   ? n * 0x9e3779b97f4a7c15 >> 8
		       : which == 1 ? 0x525400000000 + n
		       : which == 2 ? 0x525400000000 + (n << 16)
				    : 0x525400000000 + n % 8;
	uint8_t bytes[6];
	for (int i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(mac >> (40 - 8 * i));
	return key_of_mac(bytes, which == 3 ? (uint16_t)(n / 8) : 0);
}

enum {
	PATTERNS = 4
};

Test(mac_table, holds_as_many_as_it_promises)
{
	for (uint64_t i = 0; i < 5; i++) {
		for (unsigned which = 0; which < PATTERNS; which++) {
			const uint64_t other[2] = {
				secret[0] * (2 * i + 1), secret[1] ^ (i * 0xda942042e4dd58b5)};
			mac_table_free(table);
			table = mac_table_new(other);
			for (uint32_t n = 0; n < MAC_TABLE_ENTRIES - 8; n++)
				cr_assert(learn_key(pattern(which, n), (uint16_t)(n % 9 + 1), 0, 1),
					"secret %u, pattern %u, entry %u", (unsigned)i, which, n);
			for (uint32_t n = 0; n < MAC_TABLE_ENTRIES - 8; n++)
				cr_assert_eq(lookup_key(pattern(which, n)), (int)(n % 9 + 1));
			cr_assert_eq(stats_now().refused, 0);
		}
	}
}

Test(mac_table, full_it_takes_one_for_each_that_goes)
{
	for (uint64_t n = 0; n < MAC_TABLE_ENTRIES; n++)
		cr_assert(learn_key(pattern(0, n), 1, 0, (uint32_t)n));
	for (uint64_t n = MAC_TABLE_ENTRIES; n < 20 * MAC_TABLE_ENTRIES; n++) {
		if (n % 1024 == 0)
			cr_assert_eq(mac_age(table, (uint32_t)n, MAC_TABLE_ENTRIES - 1024), 1024);
		cr_assert(learn_key(pattern(0, n), 1, 0, (uint32_t)n), "entry %u", (unsigned)n);
	}
}

Test(mac_table, full_it_refuses_what_is_new_and_loses_nothing)
{
	uint32_t learned = 0;
	for (uint32_t n = 0; n < 2 * MAC_TABLE_ENTRIES; n++)
		learned += learn(n, 0, 1, 0, 1);
	cr_assert_eq(learned, MAC_TABLE_ENTRIES);
	cr_assert_eq(stats_now().count, learned);
	cr_assert_eq(stats_now().refused, MAC_TABLE_ENTRIES);
	cr_assert_eq(lookup(MAC_TABLE_ENTRIES - 1, 0), 1);
	cr_assert_eq(lookup(MAC_TABLE_ENTRIES, 0), MAC_NO_PORT);
	cr_assert(learn(5, 0, 1, 0, 2), "what is known is seen again");
	cr_assert(learn(6, 0, 2, 0, 2), "and can move");
	cr_assert_eq(lookup(6, 0), 2);
	cr_assert_eq(mac_age(table, 10, 8), MAC_TABLE_ENTRIES - 2);
	cr_assert(learn(MAC_TABLE_ENTRIES, 0, 1, 0, 10));
	cr_assert_eq(mac_flush(table, 1, -1, NULL), 2);
	cr_assert_eq(stats_now().count, 1);
}

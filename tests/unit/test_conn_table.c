// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>

#include "tests/unit/kit_conn_table.h"

TestSuite(conn_table, .fini = unmake);

Test(conn_table, finds_what_was_published)
{
	make(1000, 1);
	struct conn_key key = kit_key4(5);
	conn_keys_hash(table, &key, 1);
	cr_assert_eq(conn_find(table, &key), 0);
	uint32_t index;
	cr_assert_eq(conn_reserve(table, 0, &key, 3, 0, 17, &index), 0);
	cr_assert_eq(conn_find(table, &key), 0, "not before it is published");
	cr_assert_eq(conn_publish(table, 0, index, 100), index);
	cr_assert_eq(conn_find(table, &key), index);
	const struct conn *conn = conn_at(table, index);
	cr_assert_eq(memcmp(&conn->id, &key.id, sizeof(key.id)), 0);
	cr_assert_eq(conn->owner, 3);
	cr_assert_eq(conn->created_s, 17);
	cr_assert_eq(conn->hash, key.hash);
	cr_assert_eq(conn_count_of(table, 3), 1);
	cr_assert_eq(stats_now().used, 1);
	cr_assert_eq(stats_now().created, 1);
}

Test(conn_table, each_field_of_the_key_tells_connections_apart)
{
	make(1000, 1);
	const struct conn_key base4 = kit_key4(5), base6 = kit_key6(5);
	uint32_t index;
	cr_assert_eq(add(base4, 0, CONN_UDP_UNANSWERED, 0, &index), 0);
	cr_assert_eq(add(base6, 0, CONN_UDP_UNANSWERED, 0, &index), 0);
	cr_assert_eq(find(base6), index);
	for (unsigned byte = 0; byte < sizeof(struct conn_id); byte++) {
		struct conn_key other = base4;
		((uint8_t *)&other.id)[byte] ^= 0x10;
		cr_assert_eq(find(other), 0, "byte %u of the id", byte);
	}
	for (unsigned byte = 0; byte < 32; byte++) {
		struct conn_key other = base6;
		other.v6[byte / 16][byte % 16] ^= 0x10;
		cr_assert_eq(find(other), 0, "byte %u of the addresses", byte);
	}
	struct conn_key other = base6;
	other.id.meta += 1 << 11;
	cr_assert_eq(find(other), 0, "another zone");
	other = base6;
	other.direction = 1;
	cr_assert_eq(find(other), index, "both directions are one connection");
}

Test(conn_table, ipv6_addresses_decide_and_not_the_digest)
{
	make(1000, 1);
	struct conn_key key = kit_key6(5);
	uint32_t index;
	cr_assert_eq(add(key, 0, CONN_UDP_UNANSWERED, 0, &index), 0);
	conn_keys_hash(table, &key, 1);
	key.v6[1][15] ^= 1;
	uint32_t found;
	conn_find_burst(table, &key, 1, &found);
	cr_assert_eq(found, 0);
	cr_assert_eq(conn_find(table, &key), 0);
}

Test(conn_table, one_key_gets_one_entry)
{
	make(1000, 2);
	struct conn_key key = kit_key4(5);
	conn_keys_hash(table, &key, 1);
	uint32_t first, second;
	cr_assert_eq(conn_reserve(table, 0, &key, 3, 0, 0, &first), 0);
	cr_assert_eq(conn_reserve(table, 1, &key, 3, 0, 0, &second), 0);
	cr_assert_neq(first, second);
	cr_assert_eq(conn_count_of(table, 3), 2);
	cr_assert_eq(conn_publish(table, 1, second, 10), second);
	cr_assert_eq(conn_publish(table, 0, first, 10), second);
	cr_assert_eq(conn_count_of(table, 3), 1);
	cr_assert_eq(stats_now().used, 1);
}

Test(conn_table, cancelled_entries_come_back)
{
	make(100, 1);
	struct conn_key key = kit_key4(5);
	conn_keys_hash(table, &key, 1);
	uint32_t indexes[100];
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++)
			cr_assert_eq(conn_reserve(table, 0, &key, 3, 0, 0, &indexes[i]), 0);
		cr_assert_eq(conn_count_of(table, 3), 100);
		for (int i = 0; i < 100; i++)
			conn_cancel(table, 0, indexes[i]);
		cr_assert_eq(conn_count_of(table, 3), 0);
		cr_assert_eq(stats_now().used, 0);
	}
}

Test(conn_table, an_owner_has_its_limit)
{
	make(1000, 1);
	uint32_t index;
	for (uint32_t n = 0; n < 10; n++) {
		struct conn_key key = kit_key4(n);
		conn_keys_hash(table, &key, 1);
		cr_assert_eq(conn_reserve(table, 0, &key, 3, 10, 0, &index), 0);
		conn_publish(table, 0, index, 1);
	}
	struct conn_key key = kit_key4(10);
	conn_keys_hash(table, &key, 1);
	uint32_t other;
	cr_assert_eq(conn_reserve(table, 0, &key, 3, 10, 0, &other), -EDQUOT);
	cr_assert_eq(conn_count_of(table, 3), 10);
	cr_assert_eq(conn_reserve(table, 0, &key, 4, 10, 0, &other), 0, "another's limit");
	cr_assert(conn_remove(table, index, &conn_at(table, index)->id));
	cr_assert_eq(conn_reserve(table, 0, &key, 3, 10, 0, &other), 0);
}

static void fill_and_find(uint32_t connections, enum conn_hash_kind kind, bool v6)
{
	make_with(connections, 3, kind);
	struct conn_key keys[BURST_MAX];
	uint32_t found[BURST_MAX], index;
	for (uint32_t n = 0; n < connections; n++)
		cr_assert_eq(add(v6 ? kit_key6(n) : kit_key4(n), 1, CONN_UDP_ANSWERED, 0, &index),
			0, "%u of %u", n, connections);
	cr_assert_eq(add(kit_key4(connections), 1, CONN_UDP_ANSWERED, 0, &index), -ENOSPC);
	cr_assert_eq(stats_now().full, 1);
	cr_assert_eq(stats_now().used, connections);
	for (uint32_t n = 0; n < connections; n += BURST_MAX) {
		uint32_t count = connections - n < BURST_MAX ? connections - n : BURST_MAX;
		for (uint32_t i = 0; i < count; i++)
			keys[i] = v6 ? kit_key6(n + i) : kit_key4(n + i);
		conn_keys_hash(table, keys, count);
		conn_find_burst(table, keys, count, found);
		for (uint32_t i = 0; i < count; i++) {
			cr_assert_neq(found[i], 0, "%u of %u", n + i, connections);
			cr_assert_eq(memcmp(&conn_at(table, found[i])->id, &keys[i].id, 16), 0);
			cr_assert_eq(conn_find(table, &keys[i]), found[i]);
		}
	}
	unmake();
}

Test(conn_table, takes_as_many_as_it_says)
{
	fill_and_find(1, CONN_HASH_SIPHASH, false);
	fill_and_find(17, CONN_HASH_SIPHASH, true);
	fill_and_find(1000, CONN_HASH_SIPHASH, false);
	fill_and_find(100000, CONN_HASH_SIPHASH, true);
	fill_and_find(1000, conn_hash_best(), true);
	fill_and_find(10007, conn_hash_best(), false);
	fill_and_find(1000000, conn_hash_best(), false);
}

Test(conn_table, a_connection_takes_no_more_than_256_bytes)
{
	make(1000000, 1);
	cr_assert_leq(stats_now().bytes, 256u * 1000000u);
	unmake();
	make(10000, 1);
	cr_assert_leq(stats_now().bytes, 256u * 10000u);
}

Test(conn_table, removes_only_that_connection)
{
	make(100, 1);
	uint32_t index = added(1, 1, CONN_UDP_ANSWERED, 0);
	struct conn_key other = kit_key4(2), same = kit_key4(1);
	cr_assert_not(conn_remove(table, index, &other.id));
	cr_assert_not(conn_remove(table, 0, &same.id));
	cr_assert_not(conn_remove(table, 101, &same.id));
	cr_assert(conn_remove(table, index, &same.id));
	cr_assert_not(conn_remove(table, index, &same.id), "it is gone");
	cr_assert_eq(stats_now().removed, 1);
	cr_assert_eq(stats_now().used, 0);
}

Test(conn_table, a_view_has_what_the_entry_has)
{
	make(100, 1);
	struct conn_key key = kit_key6(9);
	uint32_t index;
	cr_assert_eq(add(key, 5, CONN_TCP_SYN_SENT, 44, &index), 0);
	struct conn *conn = conn_at(table, index);
	conn->flags = CONN_BEGAN_HIGH;
	conn->ports[1] = 6;
	conn->rules[0] = 77;
	conn->epoch = 3;
	conn->packets[1] = UINT32_MAX;
	conn->sides[1].window = 1234;
	conn_count(conn, 1, 100);
	struct conn_view view;
	cr_assert(conn_view_at(table, index, &view));
	cr_assert_eq(view.index, index);
	cr_assert_eq(memcmp(view.key.v6, key.v6, sizeof(key.v6)), 0);
	cr_assert_eq(view.key.id.meta, key.id.meta);
	cr_assert_eq(view.key.direction, 1);
	cr_assert_eq(view.state, CONN_TCP_SYN_SENT);
	cr_assert_eq(view.owner, 5);
	cr_assert_eq(view.ports[1], 6);
	cr_assert_eq(view.rules[0], 77);
	cr_assert_eq(view.epoch, 3);
	cr_assert_eq(view.seen_s, 44);
	cr_assert_eq(view.created_s, 44);
	cr_assert_eq(view.packets[1], (uint64_t)1 << 32);
	cr_assert_eq(view.bytes[1], 100);
	cr_assert_eq(view.sides[1].window, 1234);
	cr_assert_not(conn_view_at(table, index + 1, &view));
	cr_assert_not(conn_view_at(table, 0, &view));
	cr_assert_not(conn_view_at(table, 101, &view));
}

Test(conn_table, a_walk_sees_each_survivor_once)
{
	make(5000, 1);
	static uint8_t seen[4000];
	for (uint32_t n = 0; n < 4000; n++)
		added(n, 1, CONN_UDP_ANSWERED, 0);
	struct conn_view views[7];
	uint32_t cursor = 0, removed = 0, more = 4000;
	do {
		uint32_t n = conn_walk(table, &cursor, 50, views, 7);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t which = ntohl(views[i].key.id.v4[0]) - 0x0a000000;
			which = which << 16 | ntohs(views[i].key.id.ports[0]);
			if (which < 4000)
				seen[which]++;
		}
		// Every third goes meanwhile, and others come.
		uint32_t gone = find(kit_key4(removed * 3));
		struct conn_key key = kit_key4(removed * 3);
		removed += conn_remove(table, gone, &key.id);
		grace();
		added(more++, 1, CONN_UDP_ANSWERED, 0);
	} while (cursor);
	for (uint32_t n = 0; n < 4000; n++) {
		if (n % 3 || n / 3 >= removed)
			cr_assert_eq(seen[n], 1, "%u was seen %u times", n, seen[n]);
		else
			cr_assert_leq(seen[n], 1);
	}
}

Test(conn_table, what_begins_anew_counts_for_its_new_owner)
{
	make(100, 2);
	struct conn *conn = conn_at(table, added(1, 3, CONN_TCP_TIME_WAIT, 0));
	added(2, 4, CONN_UDP_ANSWERED, 0);
	cr_assert_not(conn_owner_take(table, conn, 4, 1), "it has its limit");
	cr_assert(conn_owner_take(table, conn, 4, 2));
	conn_owner_give(table, 4);
	cr_assert_eq(conn_count_of(table, 4), 1);
	cr_assert(conn_owner_take(table, conn, 4, 2));
	conn_owner_change(table, conn, 4);
	cr_assert_eq(conn->owner, 4);
	cr_assert_eq(conn_count_of(table, 3), 0);
	cr_assert_eq(conn_count_of(table, 4), 2);
	cr_assert(conn_owner_take(table, conn, 4, 2), "it is no further one");
	conn_owner_change(table, conn, 4);
	cr_assert_eq(conn_count_of(table, 4), 2);
	// It is removed in the moment between.
	cr_assert(conn_owner_take(table, conn, 3, 2));
	cr_assert(conn_remove(table, find(kit_key4(1)), &conn->id));
	conn_owner_change(table, conn, 3);
	cr_assert_eq(conn_count_of(table, 3), 0);
	cr_assert_eq(conn_count_of(table, 4), 1);
}

Test(conn_table, what_was_decided_about_an_older_one_is_not_noted)
{
	make(100, 2);
	struct conn *conn = conn_at(table, added(1, 3, CONN_TCP_TIME_WAIT, 0));
	const struct conn_resolved old = {7, {8, 9}, {3, 4}, 0, false};
	const struct conn_resolved new = {7, {5, 6}, {4, 3}, 0, false};
	uint8_t generation = conn_generation(conn);
	conn_resolve(table, conn, generation, &old);
	cr_assert_eq(conn_port(conn, 0), 3);
	cr_assert_eq(conn->rules[1], 9u);
	// Another worker begins it anew.
	conn->epoch = 0;
	conn->generation++;
	conn_resolve(table, conn, generation, &old);
	cr_assert_eq(conn_epoch(conn), 0u);
	conn_resolve(table, conn, conn_generation(conn), &new);
	cr_assert_eq(conn_epoch(conn), 7u);
	cr_assert_eq(conn_port(conn, 0), 4);
	conn_resolve(table, conn, generation, &old);
	cr_assert_eq(conn_port(conn, 0), 4);
	cr_assert_eq(conn->lock, 0);
}

Test(conn_table, a_lock_is_taken_where_there_are_several_workers)
{
	make(100, 2);
	struct conn *conn = conn_at(table, added(1, 1, CONN_UDP_ANSWERED, 0));
	conn_lock(table, conn);
	cr_assert_eq(conn->lock, 1);
	conn_unlock(table, conn);
	cr_assert_eq(conn->lock, 0);
}

Test(conn_table, the_header_says_what_is_where)
{
	make(1000, 2);
	const struct header *h = table->header;
	cr_assert_eq(memcmp(h, "WEIRCONN", 8), 0);
	cr_assert_eq(h->version, TABLE_VERSION);
	cr_assert_eq(h->entry_bytes, sizeof(struct conn));
	cr_assert_eq(h->capacity, 1000);
	cr_assert_eq(h->entries % 64, 0);
	cr_assert_eq(h->hash.kind, conn_hash_best());
	cr_assert_leq(h->ring + 4 * 1000, h->bytes);
}

Test(conn_table, refuses_sizes_that_are_none)
{
	struct conn_table_options options = kit_table_options(0, 1, 1);
	struct error err;
	cr_assert_eq(conn_table_new(&table, &options, &err), -EINVAL);
	options = kit_table_options(10, 0, 1);
	cr_assert_eq(conn_table_new(&table, &options, &err), -EINVAL);
	conn_table_free(NULL);
}

Test(conn_table, huge_pages_or_ordinary_ones)
{
	struct conn_table_options options = kit_table_options(1000, 1, 1);
	options.hugepages = true;
	struct error err;
	cr_assert_eq(conn_table_new(&table, &options, &err), 0, "%s", err.text);
	uint32_t index = added(1, 1, CONN_UDP_ANSWERED, 0);
	cr_assert_eq(find(kit_key4(1)), index);
}

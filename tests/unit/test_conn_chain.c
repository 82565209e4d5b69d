// SPDX-License-Identifier: BSD-3-Clause
// What an entry remembers of its chain, and how many connections each chain and instance has.
#include "tests/unit/kit_conn_table.h"

TestSuite(conn_chain, .fini = unmake);

static struct conn *connection(uint32_t n, uint32_t *index)
{
	*index = added(n, 0, CONN_UDP_UNANSWERED, 0);
	return conn_at(table, *index);
}

static void resolve(struct conn *conn, uint16_t chain)
{
	struct conn_resolved resolved = {.epoch = 1, .chain = chain};
	conn_resolve(table, conn, conn_generation(conn), &resolved);
}

static void choose(struct conn *conn, uint16_t chain, uint8_t first, uint8_t second)
{
	conn_choose(table, conn, chain, (uint8_t[CHAIN_HOPS_MAX]){first, [7] = second});
}

Test(conn_chain, keeps_its_instances_as_long_as_it_stays_in_its_chain)
{
	uint32_t index;
	make(100, 2);
	struct conn *conn = connection(1, &index);
	cr_expect(!conn_is_chained(conn));
	resolve(conn, 7);
	cr_expect(conn_is_chained(conn));
	cr_expect_eq(conn_instance(conn, 0), 0, "none is chosen yet");
	choose(conn, 7, 3, 200);
	resolve(conn, 7);
	cr_expect_eq(conn_instance(conn, 0), 3);
	cr_expect_eq(conn_instance(conn, 7), 200);
	choose(conn, 8, 4, 4);
	cr_expect_eq(conn_instance(conn, 0), 3, "chosen for another chain");
	resolve(conn, 8);
	cr_expect_eq(conn_instance(conn, 0), 0, "of the chain before");
	cr_expect_eq(conn_instance(conn, 7), 0);
	resolve(conn, 0);
	cr_expect(!conn_is_chained(conn));
}

Test(conn_chain, counts_by_chain_and_instance)
{
	uint32_t first, second, third;
	make(100, 2);
	struct conn *conn = connection(1, &first), *other = connection(2, &second);
	resolve(conn, 511);
	resolve(other, 511);
	resolve(connection(3, &third), 0);
	choose(conn, 511, 255, 0);
	choose(other, 511, 1, 2);
	cr_expect_eq(conn_count_in(table, 511, 0), 2);
	cr_expect_eq(conn_count_in(table, 511, 255), 1);
	cr_expect_eq(conn_count_in(table, 511, 1), 1);
	choose(other, 511, 255, 2);
	cr_expect_eq(conn_count_in(table, 511, 255), 2, "another instance");
	cr_expect_eq(conn_count_in(table, 511, 1), 0);
	resolve(other, 1);
	cr_expect_eq(conn_count_in(table, 511, 0), 1, "another chain");
	cr_expect_eq(conn_count_in(table, 511, 2), 0);
	cr_expect_eq(conn_count_in(table, 1, 0), 1);
	cr_expect(conn_remove(table, first, &conn->id));
	cr_expect_eq(conn_count_in(table, 511, 0), 0, "removed");
	cr_expect_eq(conn_count_in(table, 511, 255), 0);
}

Test(conn_chain, one_that_ends_is_counted_no_more)
{
	uint32_t index;
	make(100, 2);
	struct conn *conn = connection(1, &index);
	resolve(conn, 2);
	choose(conn, 2, 9, 0);
	for (uint32_t s = 0; s < 2; s++)
		conn_reclaim(table, &settings, 1000000, 1000);
	cr_expect_eq(conn_count_in(table, 2, 0), 0);
	cr_expect_eq(conn_count_in(table, 2, 9), 0);
	// A worker may still have it in hands.
	choose(conn, 2, 9, 0);
	resolve(conn, 3);
	cr_expect_eq(conn_count_in(table, 2, 9), 0);
	cr_expect_eq(conn_count_in(table, 3, 0), 0);
	grace();
	cr_expect_eq(conn_chain(connection(1, &index)), 0, "a fresh entry has no chain");
}

Test(conn_chain, a_reserved_one_that_is_given_back_is_not_counted)
{
	uint32_t index;
	make(100, 2);
	struct conn_key key = kit_key4(5);
	conn_keys_hash(table, &key, 1);
	cr_assert_eq(conn_reserve(table, 0, &key, 0, 0, 1, &index), 0);
	resolve(conn_at(table, index), 4);
	cr_expect_eq(conn_count_in(table, 4, 0), 1);
	conn_cancel(table, 0, index);
	cr_expect_eq(conn_count_in(table, 4, 0), 0);
}

Test(conn_chain, is_told_with_its_instances)
{
	struct conn_view view;
	uint32_t index;
	make(100, 2);
	struct conn *conn = connection(1, &index);
	cr_assert(conn_view_at(table, index, &view));
	cr_expect(!view.chain && !view.instances[0]);
	resolve(conn, 511);
	choose(conn, 511, 3, 200);
	cr_assert(conn_view_at(table, index, &view));
	cr_expect(view.chain == 511 && view.instances[0] == 3 && view.instances[7] == 200);
	resolve(conn, 0);
	cr_assert(conn_view_at(table, index, &view));
	cr_expect(!view.chain && !view.instances[0]);
}

Test(conn_chain, remembers_what_an_instance_leaves_unchanged_as_long_as_it_visits_that)
{
	uint32_t index;
	make(100, 1);
	struct conn *conn = connection(1, &index);
	resolve(conn, 7);
	choose(conn, 7, 3, 200);
	conn_set_unchanged(conn, 7);
	conn_set_unchanged(conn, 0);
	cr_expect(conn_is_unchanged(conn, 0) && conn_is_unchanged(conn, 7));
	cr_expect(!conn_is_unchanged(conn, 3));
	resolve(conn, 7);
	choose(conn, 7, 4, 200);
	cr_expect(!conn_is_unchanged(conn, 0), "another one");
	cr_expect(conn_is_unchanged(conn, 7));
	resolve(conn, 8);
	cr_expect(!conn_is_unchanged(conn, 7), "another chain");
}

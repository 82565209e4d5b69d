// SPDX-License-Identifier: BSD-3-Clause
// Time, grace periods and pressure.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "tests/unit/kit_conn_table.h"

TestSuite(conn_reclaim, .fini = unmake);

Test(conn_reclaim, expires_by_state_and_time)
{
	make(1000, 1);
	uint32_t unanswered = added(1, 1, CONN_UDP_UNANSWERED, 1000);
	uint32_t answered = added(2, 1, CONN_UDP_ANSWERED, 1000);
	cr_assert_eq(conn_reclaim(table, &settings, 1030, 1000), 0);
	conn_seen(conn_at(table, unanswered), 1020);
	cr_assert_eq(conn_reclaim(table, &settings, 1050, 1000), 0, "it was seen again");
	cr_assert_eq(find(kit_key4(1)), unanswered);
	cr_assert_eq(conn_reclaim(table, &settings, 1051, 1000), 1);
	cr_assert_eq(find(kit_key4(1)), 0);
	cr_assert_eq(find(kit_key4(2)), answered);
	cr_assert_eq(conn_count_of(table, 1), 1);
	cr_assert_eq(stats_now().expired, 1);
}

Test(conn_reclaim, a_shorter_time_out_counts_at_once)
{
	make(1000, 1);
	uint32_t index = added(1, 1, CONN_TCP_ESTABLISHED, 1000);
	conn_at(table, index)->state = CONN_TCP_CLOSED;
	conn_due(table, index, 1010);
	cr_assert_eq(conn_reclaim(table, &settings, 1010, 1000), 0);
	cr_assert_eq(conn_reclaim(table, &settings, 1011, 1000), 1);
	cr_assert_eq(find(kit_key4(1)), 0);
}

Test(conn_reclaim, changed_time_outs_count_after_another_look)
{
	make(1000, 1);
	added(1, 1, CONN_TCP_ESTABLISHED, 1000);
	settings.timeouts_s[CONN_TCP_ESTABLISHED] = 5;
	cr_assert_eq(conn_reclaim(table, &settings, 1010, 1000), 0);
	conn_look_again(table);
	cr_assert_eq(conn_reclaim(table, &settings, 1010, 1000), 1);
}

Test(conn_reclaim, slices_go_round_the_table)
{
	make(1000, 1);
	for (uint32_t n = 0; n < 500; n++)
		added(n, 1, CONN_UDP_UNANSWERED, 0);
	uint32_t gone = 0;
	for (int slice = 0; slice < 10; slice++) {
		uint32_t removed = conn_reclaim(table, &settings, 100, 100);
		cr_assert_leq(removed, 100);
		gone += removed;
	}
	cr_assert_eq(gone, 500);
}

Test(conn_reclaim, removed_entries_are_free_behind_the_grace_period_of_their_mark)
{
	make(100, 1);
	for (uint32_t n = 0; n < 100; n++)
		added(n, 1, CONN_UDP_ANSWERED, 0);
	uint32_t index, first = find(kit_key4(0)), second = find(kit_key4(1));
	cr_assert(conn_remove(table, first, &conn_at(table, first)->id));
	uint64_t mark = conn_reclaim_mark(table);
	cr_assert(conn_remove(table, second, &conn_at(table, second)->id));
	cr_assert_eq(add(kit_key4(200), 1, CONN_UDP_ANSWERED, 0, &index), -ENOSPC);
	conn_reclaimed(table, mark);
	cr_assert_eq(add(kit_key4(200), 1, CONN_UDP_ANSWERED, 0, &index), 0);
	cr_assert_eq(index, first);
	cr_assert_eq(add(kit_key4(201), 1, CONN_UDP_ANSWERED, 0, &index), -ENOSPC);
	grace();
	cr_assert_eq(add(kit_key4(201), 1, CONN_UDP_ANSWERED, 0, &index), 0);
}

// Held up in front of the entry's bucket, as by a worker, and slow in itself.
static void *reclaim_all(void *arg)
{
	conn_reclaim(table, &settings, 1051, 1000);
	return arg;
}

Test(conn_reclaim, what_is_renewed_while_the_janitor_is_held_up_stays)
{
	make(1000, 1);
	uint32_t before = added(1, 1, CONN_UDP_UNANSWERED, 1000), n = 2;
	struct conn *conn;
	struct bucket *bucket = &table->buckets[bucket_first(table, conn_at(table, before)->hash)];
	// The janitor looks at entries by number: when the first has gone it is at the other.
	do
		conn = conn_at(table, added(n++, 1, CONN_UDP_UNANSWERED, 1000));
	while (&table->buckets[bucket_first(table, conn->hash)] == bucket);
	bucket = &table->buckets[bucket_first(table, conn->hash)];
	bucket->lock = 1;
	pthread_t janitor;
	cr_assert_eq(pthread_create(&janitor, NULL, reclaim_all, NULL), 0);
	while (table->due[before])
		sched_yield();
	usleep(20000); // sooner, the janitor would see the new time, and nothing be tested
	conn_seen(conn, 1040);
	atomic_store_explicit(&bucket->lock, 0, memory_order_release);
	pthread_join(janitor, NULL);
	cr_assert_neq(find(kit_key4(n - 1)), 0);
	cr_assert_eq(conn_count_of(table, 1), 1);
	cr_assert_eq(conn_reclaim(table, &settings, 1070, 1000), 0);
	cr_assert_eq(conn_reclaim(table, &settings, 1071, 1000), 1);
}

// What came to a port, at its limit: who is not answered goes soon, and the port's own stay.
Test(conn_reclaim, at_the_limit_of_a_port_unanswered_ones_that_came_to_it_go)
{
	make(1000, 1);
	uint16_t own = conn_owner(3, false), came = conn_owner(3, true);
	uint16_t other = conn_owner(4, true);
	static const struct {
		enum conn_state state;
		bool goes;
	} of[] = {{CONN_TCP_SYN_SENT, true}, {CONN_TCP_SYN_RECEIVED, true},
		{CONN_UDP_UNANSWERED, true}, {CONN_TCP_TIME_WAIT, true},
		{CONN_TCP_ESTABLISHED, false}, {CONN_UDP_ANSWERED, false},
		{CONN_TCP_LAST_ACK, false}};
	enum {
		N = sizeof(of) / sizeof(of[0])
	};
	uint32_t index;
	for (uint32_t n = 0; n < N; n++) {
		added(n, came, of[n].state, 1000);
		added(100 + n, own, of[n].state, 1000);
		added(200 + n, other, of[n].state, 1000);
	}
	struct conn_key key = kit_key4(300);
	conn_keys_hash(table, &key, 1);
	cr_assert_eq(conn_reclaim(table, &settings, 1004, 1000), 0, "nobody was refused");
	cr_assert_eq(conn_reserve(table, 0, &key, own, N, 1003, &index), -EDQUOT);
	cr_assert_eq(conn_reclaim(table, &settings, 1004, 1000), 0, "its own are its own");
	cr_assert_eq(conn_reserve(table, 0, &key, came, N, 1003, &index), -EDQUOT);
	cr_assert_eq(conn_reclaim(table, &settings, 1003, 1000), 0, "they have three seconds");
	cr_assert_eq(conn_reserve(table, 0, &key, came, N, 1003, &index), -EDQUOT);
	// Seen again, as by a SYN that is sent again and again.
	conn_seen(conn_at(table, find(kit_key4(0))), 1004);
	cr_assert_eq(conn_reclaim(table, &settings, 1004, 500), 4);
	for (uint32_t n = 0; n < N; n++) {
		cr_assert_eq(!find(kit_key4(n)), of[n].goes, "%s", conn_state_name(of[n].state));
		cr_assert(find(kit_key4(100 + n)) && find(kit_key4(200 + n)));
	}
	cr_assert_eq(stats_now().evicted, 4);
	cr_assert_eq(conn_reserve(table, 0, &key, came, N, 1004, &index), 0);
}

Test(conn_reclaim, a_port_that_leaves_takes_its_connections_along)
{
	make(1000, 1);
	uint32_t its = added(1, conn_owner(3, false), CONN_TCP_ESTABLISHED, 1000);
	added(2, conn_owner(3, true), CONN_UDP_ANSWERED, 1000);
	uint32_t others = added(3, conn_owner(4, false), CONN_TCP_ESTABLISHED, 1000);
	conn_at(table, its)->ports[0] = conn_at(table, others)->ports[1] = 3;
	conn_at(table, others)->ports[0] = 4;
	cr_assert_not(conn_port_is_leaving(table, 3));
	cr_assert_eq(conn_reclaim(table, &settings, 1000, 500), 0);
	conn_port_leaves(table, 3);
	cr_assert(conn_port_is_leaving(table, 3));
	// Asked for in the middle of a pass, for a port that comes to leave then.
	conn_reclaim(table, &settings, 1000, 400);
	conn_port_leaves(table, 5);
	conn_reclaim(table, &settings, 1000, 599);
	cr_assert(conn_port_is_leaving(table, 3));
	conn_reclaim(table, &settings, 1000, 1);
	cr_assert_not(conn_port_is_leaving(table, 3));
	cr_assert(conn_port_is_leaving(table, 5));
	cr_assert_eq(conn_count_of(table, conn_owner(3, false)), 0);
	cr_assert_eq(conn_count_of(table, conn_owner(3, true)), 0);
	cr_assert_eq(find(kit_key4(3)), others);
	cr_assert_eq(conn_port(conn_at(table, others), 0), 4);
	cr_assert_eq(conn_port(conn_at(table, others), 1), 0);
	cr_assert_eq(stats_now().removed, 2);
	conn_reclaim(table, &settings, 1000, 1000);
	cr_assert_not(conn_port_is_leaving(table, 5));
}

static void reclaim_rounds(uint32_t now_s, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		conn_reclaim(table, &settings, now_s, 160);
		grace();
	}
}

Test(conn_reclaim, under_pressure_those_that_are_over_go_first)
{
	make(1600, 1);
	uint32_t n = 0;
	for (; n < 500; n++)
		added(n, 1, CONN_TCP_ESTABLISHED, 0);
	for (; n < 1400; n++)
		added(n, 2, CONN_UDP_UNANSWERED, 0);
	for (; n < 1600; n++)
		added(n, 3, CONN_TCP_TIME_WAIT, 0);
	cr_assert(conn_is_short(table));
	reclaim_rounds(1, 60);
	cr_assert_not(conn_is_short(table));
	cr_assert_eq(count_state(CONN_TCP_TIME_WAIT, 3), 200 - 101);
	cr_assert_eq(count_state(CONN_UDP_UNANSWERED, 2), 900);
	cr_assert_eq(count_state(CONN_TCP_ESTABLISHED, 1), 500);
	cr_assert_eq(stats_now().evicted, 101);
}

Test(conn_reclaim, unanswered_ones_stay_while_some_are_known_to_be_over)
{
	make(1600, 1);
	uint32_t n = 0;
	for (; n < 900; n++)
		added(n, 2, CONN_UDP_UNANSWERED, 0);
	for (; n < 1450; n++)
		added(n, 3, CONN_TCP_TIME_WAIT, 0);
	reclaim_rounds(1, 20);
	cr_assert_eq(stats_now().evicted, 0, "it only counts yet");
	for (; n < 1550; n++)
		added(n, 1, CONN_TCP_ESTABLISHED, 0);
	reclaim_rounds(1, 20);
	cr_assert_eq(count_state(CONN_TCP_TIME_WAIT, 3), 550 - 51);
	cr_assert_eq(count_state(CONN_UDP_UNANSWERED, 2), 900);
}

Test(conn_reclaim, then_unanswered_ones_of_the_port_that_has_most)
{
	make(1600, 1);
	uint32_t n = 0;
	for (; n < 1000; n++)
		added(n, 1, CONN_TCP_ESTABLISHED, 0);
	for (; n < 1200; n++)
		added(n, 2, CONN_UDP_UNANSWERED, 0);
	for (; n < 1550; n++)
		added(n, 3, CONN_TCP_SYN_SENT, 0);
	for (; n < 1600; n++)
		added(n, 3, CONN_TCP_TIME_WAIT, 0);
	reclaim_rounds(1, 60);
	cr_assert_eq(count_state(CONN_TCP_TIME_WAIT, 3), 0);
	cr_assert_eq(count_state(CONN_TCP_SYN_SENT, 3), 350 - 51);
	cr_assert_eq(count_state(CONN_UDP_UNANSWERED, 2), 200);
	cr_assert_eq(count_state(CONN_TCP_ESTABLISHED, 1), 1000);
}

Test(conn_reclaim, never_those_whose_data_may_be_on_its_way)
{
	static const enum conn_state states[] = {CONN_TCP_ESTABLISHED, CONN_TCP_FIN_WAIT,
		CONN_TCP_CLOSE_WAIT, CONN_TCP_LAST_ACK, CONN_SCTP_ESTABLISHED, CONN_SCTP_SHUTDOWN};
	make(1600, 1);
	uint32_t index;
	for (uint32_t n = 0; n < 1600; n++)
		added(n, 1, states[n % (sizeof(states) / sizeof(states[0]))], 0);
	reclaim_rounds(1, 60);
	cr_assert_eq(stats_now().used, 1600);
	cr_assert_eq(add(kit_key4(1600), 2, CONN_UDP_UNANSWERED, 0, &index), -ENOSPC);
}

Test(conn_reclaim, a_table_full_of_established_ones_is_left_alone_until_others_are_asked_for)
{
	make(1600, 1);
	uint32_t index;
	for (uint32_t n = 0; n < 1600; n++)
		added(n, 1, CONN_TCP_ESTABLISHED, 0);
	cr_assert(conn_is_short(table), "nobody has looked yet");
	reclaim_rounds(1, 20);
	cr_assert_not(conn_is_short(table));
	uint32_t left = table->pressure.left;
	reclaim_rounds(1, 5);
	cr_assert_eq(table->pressure.left, left, "no entry was looked at");
	// One of them closes: who asks for a new one starts the passes again.
	conn_at(table, find(kit_key4(700)))->state = CONN_TCP_TIME_WAIT;
	reclaim_rounds(1, 20);
	cr_assert_eq(stats_now().evicted, 0);
	cr_assert_eq(add(kit_key4(1600), 2, CONN_UDP_UNANSWERED, 0, &index), -ENOSPC);
	reclaim_rounds(1, 20);
	cr_assert_eq(stats_now().evicted, 1);
	cr_assert_eq(add(kit_key4(1600), 2, CONN_UDP_UNANSWERED, 0, &index), 0);
	for (uint32_t n = 0; n < 10; n++)
		add(kit_key4(1700 + n), 2, CONN_UDP_UNANSWERED, 0, &index);
	cr_assert(conn_is_short(table), "many ask");
}

Test(conn_reclaim, nothing_is_counted_out_while_there_is_room)
{
	make(1600, 1);
	for (uint32_t n = 0; n < 1490; n++)
		added(n, 1, CONN_TCP_TIME_WAIT, 0);
	cr_assert_not(conn_is_short(table));
	reclaim_rounds(1, 60);
	cr_assert_eq(stats_now().used, 1490);
}

// SPDX-License-Identifier: BSD-3-Clause
// The pool of held packets: all of its buffers can be had, and each queue's part of them.
#include "switch/hold_pool.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "kit_eal.h"
#include "kit_wire.h"
#include "switch/parse.h"

enum {
	BUFFERS = 2048
};

static struct wire w;
static struct parcel parcel;
static struct hold_pool *pool;

static void setup(void)
{
	struct error err;
	kit_eal_start();
	cr_assert_eq(hold_pool_new(&pool, BUFFERS * HOLD_BUFFER, 0, &err), 0, "%s", err.text);
	cr_assert_eq(pool->total, BUFFERS);
	wire_ethernet(&w);
	wire_ipv4(&w, 0);
	wire_udp(&w);
	wire_payload(&w, 100);
	wire_finish(&w);
	parcel_load(&parcel, w.bytes, w.len, w.len, w.len);
	parse_packet(&parcel.packet);
}

static void teardown(void)
{
	parcel_free(&parcel);
	hold_pool_free(pool);
	kit_eal_stop();
}

// Takes up to so many, and gives them back. How many it got.
static unsigned take(unsigned n)
{
	static struct queued *taken[BUFFERS];
	unsigned got = 0;
	struct held *held;
	while (got < n && (held = hold_take(pool, &parcel.packet)))
		taken[got++] = &held->queued;
	hold_use(pool, taken, got);
	for (unsigned i = 0; i < got; i++)
		hold_give(pool, &taken[i], 1);
	return got;
}

static void *take_all(void *got)
{
	*(unsigned *)got = take(BUFFERS);
	return NULL;
}

TestSuite(hold_pool, .init = setup, .fini = teardown);

// The main thread gives back what waits for a port that is closed, and its cache keeps some.
Test(hold_pool, no_thread_keeps_buffers_from_others)
{
	pthread_t other;
	unsigned got;
	cr_expect_eq(take(300), 300);
	cr_assert_eq(pthread_create(&other, NULL, take_all, &got), 0);
	pthread_join(other, NULL);
	cr_expect_eq(got, BUFFERS);
	cr_expect_eq(atomic_load(&pool->used), 0);
}

Test(hold_pool, each_queue_has_its_least_part)
{
	atomic_store(&pool->used, BUFFERS);
	hold_pool_count(pool, 1);
	cr_expect_eq(hold_pool_share(pool), BUFFERS / 4);
	hold_pool_count(pool, 1);
	cr_expect_eq(hold_pool_share(pool), BUFFERS / 8);
	for (unsigned i = 0; i < 100; i++)
		hold_pool_count(pool, 1);
	cr_expect_eq(hold_pool_share(pool), HOLD_BUFFERS_MAX);
	hold_pool_count(pool, -101);
	cr_expect_eq(hold_pool_share(pool), BUFFERS / 4);
	atomic_store(&pool->used, 0);
	cr_expect_eq(hold_pool_share(pool), BUFFERS);
}

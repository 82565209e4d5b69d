// SPDX-License-Identifier: BSD-3-Clause
// Two workers learn while the janitor forgets and a reader looks. First both have the same
// addresses behind their own port: a lookup gives one of the two ports or nothing, and the counts
// agree at the end. Then each address has its port, and so many are learned and forgotten that all
// entries go from one to another: a lookup gives the port of the address or nothing. A plain
// program, because the thread sanitizer and the unit test framework exclude each other.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "switch/mac_table.h"

enum {
	FEW = 64,
	MANY = 40000, // more than the table takes
	ROUNDS = 20000,
	LAPS = 4,
};

static struct mac_table *table;

static uint64_t key_of(uint32_t n)
{
	const uint8_t frame[12] = {[6] = 0x52, 0x54, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};
	return mac_key_source(frame, mac_key_tag(0));
}

static void learn(uint32_t n, uint16_t port, uint32_t now_s)
{
	uint64_t key = key_of(n);
	mac_learn(table, key, mac_hash(table, key), port, 0, now_s);
}

static uint16_t lookup(uint32_t n)
{
	uint64_t key = key_of(n);
	return mac_lookup(table, key, mac_hash(table, key));
}

static void *move(void *arg)
{
	for (uint32_t round = 0; round < ROUNDS; round++)
		learn(round % FEW, (uint16_t)(uintptr_t)arg, round / 100);
	return NULL;
}

static void *age(void *arg)
{
	(void)arg;
	for (uint32_t round = 0; round < 20; round++)
		mac_age(table, round * 5, 1);
	return NULL;
}

static uint16_t port_of(uint32_t n)
{
	return (uint16_t)(n % 16 + 1);
}

static void *learn_many(void *arg)
{
	for (uint32_t n = (uint32_t)(uintptr_t)arg; n < LAPS * MANY; n += 2)
		learn(n % MANY, port_of(n % MANY), 0);
	return NULL;
}

static void *flush(void *arg)
{
	(void)arg;
	for (int round = 0; round < 40; round++)
		mac_flush(table, round % 17 ? round % 17 : -1, -1, NULL);
	return NULL;
}

typedef void *thread_fn(void *);

static void start(pthread_t threads[3], thread_fn *work, thread_fn *forget)
{
	pthread_create(&threads[0], NULL, work, (void *)1);
	pthread_create(&threads[1], NULL, work, (void *)2);
	pthread_create(&threads[2], NULL, forget, NULL);
}

static void join(pthread_t threads[3])
{
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static bool race_for_few(void)
{
	pthread_t threads[3];
	start(threads, move, age);
	int wrong = 0;
	for (uint32_t round = 0; round < ROUNDS; round++)
		wrong += lookup(round % FEW) > 2;
	join(threads);
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	uint32_t sum = mac_count_of(table, 1) + mac_count_of(table, 2);
	printf("few: lookups with a wrong port: %d; entries %u, by port %u\n", wrong, stats.count,
		sum);
	return !wrong && stats.count == sum && stats.count == FEW;
}

static bool race_for_many(void)
{
	mac_flush(table, -1, -1, NULL);
	pthread_t threads[3];
	start(threads, learn_many, flush);
	int wrong = 0, found = 0;
	for (uint32_t n = 0; n < LAPS * MANY; n++) {
		uint16_t port = lookup(n % MANY);
		found += port != MAC_NO_PORT;
		wrong += port != MAC_NO_PORT && port != port_of(n % MANY);
	}
	join(threads);
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	uint32_t sum = 0;
	for (uint16_t port = 1; port <= 16; port++)
		sum += mac_count_of(table, port);
	printf("many: lookups with a wrong port: %d, found %d; entries %u, by port %u\n", wrong,
		found, stats.count, sum);
	return !wrong && stats.count == sum && stats.count <= MAC_TABLE_ENTRIES;
}

int main(void)
{
	const uint64_t secret[2] = {0x7c3e51f09ab2d846, 0x91d70b5e26c8f3a5};
	table = mac_table_new(secret);
	bool few = race_for_few(), many = race_for_many();
	mac_table_free(table);
	return few && many ? EXIT_SUCCESS : EXIT_FAILURE;
}

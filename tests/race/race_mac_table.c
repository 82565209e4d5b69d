// SPDX-License-Identifier: BSD-3-Clause
// Two workers move the same addresses between their ports while the janitor ages and a reader
// looks: a lookup gives one of the two ports or nothing, and the counts agree at the end. A plain
// program, because the thread sanitizer and the unit test framework exclude each other.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "switch/mac_table.h"

enum {
	KEYS = 64,
	ROUNDS = 20000
};

static struct mac_table *table;

static uint64_t key_of(uint32_t n)
{
	const uint8_t mac[6] = {0x52, 0x54, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};
	return mac_key(mac, 0);
}

static void *worker(void *arg)
{
	uint16_t port = (uint16_t)(uintptr_t)arg;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t key = key_of(round % KEYS);
		mac_learn(table, key, mac_hash(table, key), port, 0, round / 100);
	}
	return NULL;
}

static void *janitor(void *arg)
{
	(void)arg;
	for (uint32_t round = 0; round < 20; round++)
		mac_age(table, round * 5, 1);
	return NULL;
}

int main(void)
{
	const uint64_t secret[2] = {1, 2};
	table = mac_table_new(secret);
	pthread_t threads[3];
	pthread_create(&threads[0], NULL, worker, (void *)1);
	pthread_create(&threads[1], NULL, worker, (void *)2);
	pthread_create(&threads[2], NULL, janitor, NULL);
	int wrong = 0;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t key = key_of(round % KEYS);
		int port = mac_lookup(table, key, mac_hash(table, key));
		wrong += port != -1 && port != 1 && port != 2;
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	struct mac_stats stats;
	mac_table_stats(table, &stats);
	uint32_t sum = mac_count_of(table, 1) + mac_count_of(table, 2);
	printf("lookups with a wrong port: %d; entries %u, by port %u\n", wrong, stats.count, sum);
	mac_table_free(table);
	return wrong || stats.count != sum || stats.count != KEYS ? EXIT_FAILURE : EXIT_SUCCESS;
}

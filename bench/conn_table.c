// SPDX-License-Identifier: BSD-3-Clause
// What a lookup in the connection table costs: cycles of the time stamp counter for each key, in
// bursts of 32 whose connections are scattered over the table. What it takes to make the keys is
// taken off. Also what each packet does beside: it counts, and notes the time.
//
// usage: weir-conn-table [hugepages]
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "tests/unit/kit_conn.h"

enum {
	LOOKUPS = 1 << 14, // in one measurement: shorter than a time slice of the scheduler's
	REPEATS = 300,     // of which the middle one counts
	PIECE = 100,       // connections made or taken away in one measurement
	BURST_MASK = BURST_MAX - 1,
};

static struct conn_table *table;

enum work {
	MAKE_KEYS,
	HASH,
	FIND,
	TOUCH
};

static uint32_t scattered(uint32_t i, uint32_t n)
{
	// An odd multiplier steps through all of a power of two; the rest is folded into it.
	uint32_t x = i * 0x9e3779b1u;
	x ^= x >> 15;
	return (uint32_t)((uint64_t)(x * 0x85ebca6bu) * n >> 32);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static double middle(uint64_t *cycles, uint32_t n, uint32_t of)
{
	qsort(cycles, n, sizeof(cycles[0]), by_size);
	return (double)cycles[n / 2] / of;
}

// The repeat-th part of the sequence of all lookups.
static uint64_t run(enum work work, uint32_t n, bool v6, uint32_t repeat)
{
	uint32_t sink = 0;
	uint64_t start = __rdtsc();
	for (uint32_t i = 0; i < LOOKUPS; i += BURST_MAX) {
		struct conn_key keys[BURST_MAX];
		uint32_t found[BURST_MAX];
		for (uint32_t k = 0; k < BURST_MAX; k++) {
			uint32_t which = scattered(repeat * LOOKUPS + i + k, n);
			keys[k] = v6 ? kit_key6(which) : kit_key4(which);
		}
		if (work >= HASH)
			conn_keys_hash(table, keys, BURST_MAX);
		if (work >= FIND)
			conn_find_burst(table, keys, BURST_MAX, found);
		for (uint32_t k = 0; k < BURST_MAX && work == TOUCH; k++) {
			conn_count(conn_at(table, found[k]), 0, 64);
			conn_seen(conn_at(table, found[k]), repeat);
		}
		__asm__ volatile("" : : "r"(keys), "r"(found) : "memory");
		sink += keys[i & BURST_MASK].hash;
	}
	uint64_t cycles = __rdtsc() - start;
	__asm__ volatile("" : : "r"(sink));
	return cycles;
}

static double usual(enum work work, uint32_t n, bool v6)
{
	static uint64_t cycles[REPEATS];
	for (uint32_t i = 0; i < REPEATS; i++)
		cycles[i] = run(work, n, v6, i);
	return middle(cycles, REPEATS, LOOKUPS);
}

static uint64_t pieces[1000000 / PIECE];

static void make_one(uint32_t which, bool v6)
{
	struct conn_key key = v6 ? kit_key6(which) : kit_key4(which);
	uint32_t index;
	conn_keys_hash(table, &key, 1);
	if (conn_reserve(table, 0, &key, 1, 0, 0, &index) || !conn_publish(table, 0, index, 1)) {
		fprintf(stderr, "connection %u found no place\n", which);
		exit(EXIT_FAILURE);
	}
}

static double fill(uint32_t n, bool v6)
{
	for (uint32_t piece = 0; piece < n / PIECE; piece++) {
		uint64_t start = __rdtsc();
		for (uint32_t i = 0; i < PIECE; i++)
			make_one(piece * PIECE + i, v6);
		pieces[piece] = __rdtsc() - start;
	}
	return middle(pieces, n / PIECE, PIECE);
}

// So that what is measured next does not meet its entries for the first time.
static double empty(uint32_t n)
{
	const struct track_settings settings = {0};
	for (uint32_t piece = 0; piece < n / PIECE; piece++) {
		uint64_t start = __rdtsc();
		conn_reclaim(table, &settings, 1, PIECE);
		pieces[piece] = __rdtsc() - start;
	}
	conn_reclaimed(table, conn_reclaim_mark(table));
	return middle(pieces, n / PIECE, PIECE);
}

static void measure(uint32_t n, bool v6, enum conn_hash_kind kind, bool hugepages)
{
	struct conn_table_options options = kit_table_options(n, 1, n);
	options.hugepages = hugepages;
	struct error err;
	if (conn_table_new_with(&table, &options, kind, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	fill(n, v6);
	double reclaim = empty(n), make = fill(n, v6), base = usual(MAKE_KEYS, n, v6);
	double hash = usual(HASH, n, v6) - base, find = usual(FIND, n, v6) - base;
	double touch = usual(TOUCH, n, v6) - base;
	struct conn_stats stats;
	conn_table_stats(table, &stats);
	printf("%-7s %s %8u %8.1f %8.1f %8.1f %8.1f %8.1f   %.1f B%s\n",
		kind == CONN_HASH_AES ? "aes" : "siphash", v6 ? "IPv6" : "IPv4", n, hash, find,
		touch, make, reclaim, (double)stats.bytes / n,
		stats.hugepages ? ", huge pages" : "");
	conn_table_free(table);
}

int main(int argc, char **argv)
{
	(void)argv;
	printf("cycles for each key: the hash; with the lookup; with count and time;\n"
	       "and for each connection, one by one: making it; taking it away\n");
	printf("hash    keys  entries     hash     find    touch     make  reclaim   for each\n");
	for (int kind = conn_hash_best(); kind <= CONN_HASH_SIPHASH; kind++)
		for (int v6 = 0; v6 < 2; v6++)
			for (uint32_t n = 1000; n <= 1000000; n *= 10)
				measure(n, v6, (enum conn_hash_kind)kind, argc > 1);
	return EXIT_SUCCESS;
}

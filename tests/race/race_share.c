// SPDX-License-Identifier: BSD-3-Clause
// Eight VMs share a rate by weights, on four workers: together they send what it allows, and each
// its part. The workers drive one clock, none further ahead of another than a worker may be late. A
// plain program, because the thread sanitizer and the unit test framework exclude each other.
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "switch/shape.h"

#define HZ   2000000000ull
#define US   (HZ / 1000000)
#define BITS 1700000000ull

enum {
	WORKERS = 4,
	VMS = 8,
	WARM = 10000, // steps before it counts: whoever starts first has the full bucket to itself
	STEPS = 100000,
	STEP_US = 10,
	APART = 8, // steps
	LEN = 1514,
};

static const uint16_t weights[VMS] = {1, 2, 4, 1, 2, 4, 1, 2};
static struct share share;
static struct share_part parts[VMS];
static struct share_view view = {.share = &share, .nmembers = VMS, .members = parts};
static struct shaper shapers[VMS];
static struct shaping shapings[VMS];
static uint64_t sent[VMS], again[VMS]; // each its worker's
static _Atomic uint64_t at[WORKERS];

static void look_at(unsigned vm, const struct packet *burst, uint64_t now, bool counts)
{
	struct shape_sum sum;
	if (again[vm] > now)
		return;
	unsigned n = shape_take(&shapers[vm], &shapings[vm], now, &again[vm]);
	if (!n)
		return;
	shape_burst(&shapers[vm], &shapings[vm], now, burst, n, true, &sum, &again[vm]);
	if (counts)
		sent[vm] += sum.load.bytes;
}

static void wait_for_others(uint64_t step)
{
	for (unsigned i = 0; i < WORKERS; i++)
		while (atomic_load_explicit(&at[i], memory_order_relaxed) + APART < step)
			sched_yield();
}

static void *work(void *arg)
{
	const unsigned self = (unsigned)(uintptr_t)arg;
	struct packet burst[BURST_MAX] = {0};
	for (unsigned i = 0; i < BURST_MAX; i++)
		burst[i].len = LEN;
	for (uint64_t step = 0; step < STEPS; step++) {
		uint64_t now = HZ + step * STEP_US * US;
		for (unsigned vm = self; vm < VMS; vm += WORKERS)
			look_at(vm, burst, now, step >= WARM);
		atomic_store_explicit(&at[self], step + 1, memory_order_relaxed);
		wait_for_others(step);
	}
	atomic_store_explicit(&at[self], 2 * STEPS, memory_order_relaxed);
	return NULL;
}

int main(void)
{
	const struct config_rate config = {.bits = BITS};
	pthread_t threads[WORKERS];
	uint64_t all = 0, total = 0;
	for (unsigned i = 0; i < VMS; i++) {
		parts[i] = (struct share_part){(uint16_t)(i + 1), weights[i]};
		shapings[i] = (struct shaping){.is_set = true,
			.nshares = 1,
			.look = SHAPE_LOOK_US * US,
			.shares[0] = {&view, parts[i].port, weights[i]}};
		all += weights[i];
	}
	share_compile(&view, &config, LEN - RATE_FRAME, HZ);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);

	bool exact = true;
	for (unsigned i = 0; i < VMS; i++)
		total += sent[i];
	for (unsigned i = 0; i < VMS; i++) {
		double part = (double)sent[i] / (double)total * (double)all;
		printf("VM %u: %.3f of weight %u\n", i, part, weights[i]);
		exact &= fabs(part / weights[i] - 1) < 0.02;
	}
	double ratio = (double)total * 8 / ((double)BITS * (STEPS - WARM) * STEP_US / 1e6);
	printf("together: %.4f of the rate\n", ratio);
	exact &= ratio > 0.998 && ratio < 1.002;
	return exact ? EXIT_SUCCESS : EXIT_FAILURE;
}

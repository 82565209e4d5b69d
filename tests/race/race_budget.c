// SPDX-License-Identifier: BSD-3-Clause
// Workers that share a port's budget take no more than it holds, and no less: first all of them at
// one moment, then along with a clock that they drive together. A plain program, because the thread
// sanitizer and the unit test framework exclude each other.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "switch/budget.h"

enum {
	WORKERS = 3,
	HZ = 2000000000,
	PPS = 100000,
	AT_ONCE = PPS / BUDGET_BURSTS,
	STEPS = 300000,
	STEP = 20000, // cycles: one frame's worth
};

static struct budget budget;
static _Atomic uint64_t now = HZ;
static _Atomic uint64_t taken;

static void *take(void *arg)
{
	const struct budget_rate rate = budget_rate(PPS, HZ);
	uint64_t step = (uintptr_t)arg, mine = 0;
	for (int i = 0; i < STEPS; i++)
		mine += budget_take(&budget, &rate, atomic_fetch_add(&now, step));
	atomic_fetch_add(&taken, mine);
	return NULL;
}

static uint64_t race(uint64_t step)
{
	pthread_t threads[WORKERS];
	taken = 0;
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, take, (void *)(uintptr_t)step);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	return taken;
}

int main(void)
{
	uint64_t once = race(0);
	// Half of what the clock's steps are worth is offered beyond the budget.
	uint64_t start = now, along = race(STEP / 2);
	uint64_t due = (now - start) / STEP;
	printf("at once: %lu of %d; along: %lu of %lu\n", once, AT_ONCE, along, due);
	bool exact = once == AT_ONCE && along <= due + 1 && along + WORKERS >= due;
	return exact ? EXIT_SUCCESS : EXIT_FAILURE;
}

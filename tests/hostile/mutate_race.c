// SPDX-License-Identifier: BSD-3-Clause
// Words that change while the switch reads them. One more thread stores two values in turn, as fast
// as it can, from when a mutation names a word until race_end.
//
// Synchronisation: the word and its values are set before `active` is (release) and not changed
// until the thread has said that it has seen the end (`idle`).
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/hostile/attack.h"

struct word {
	uint64_t value;
} __attribute__((packed, may_alias));

static struct {
	sem_t begin, idle;
	atomic_bool active;
	volatile struct word *at;
	uint64_t values[2];
} race;

static void *change(void *arg)
{
	(void)arg;
	while (true) {
		while (sem_wait(&race.begin) && errno == EINTR)
			;
		for (unsigned i = 0; atomic_load_explicit(&race.active, memory_order_acquire); i++)
			race.at->value = race.values[i & 1];
		race.at->value = race.values[0];
		sem_post(&race.idle);
	}
	return NULL;
}

void race_start_thread(void)
{
	pthread_t thread;
	if (sem_init(&race.begin, 0, 0) || sem_init(&race.idle, 0, 0) ||
		pthread_create(&thread, NULL, change, NULL))
		fail("no thread: %s", strerror(errno));
	pthread_detach(thread);
}

// Its values are what stands there and `other`.
static void race_begin(void *at, uint64_t other)
{
	race.at = at;
	race.values[0] = race.at->value;
	race.values[1] = other;
	atomic_store_explicit(&race.active, true, memory_order_release);
	sem_post(&race.begin);
}

bool race_end(void)
{
	if (!atomic_load_explicit(&race.active, memory_order_relaxed))
		return false;
	atomic_store_explicit(&race.active, false, memory_order_release);
	while (sem_wait(&race.idle) && errno == EINTR)
		;
	return true;
}

// --- mutations -----------------------------------------------------------------------------------

// The same entry many times: as many chances to be between two reads.
static void many(struct attack *a)
{
	a->times = 16;
}

static uint64_t desc_rest(uint32_t len, uint16_t flags, uint16_t next)
{
	return len | (uint64_t)flags << 32 | (uint64_t)next << 48;
}

void race_address(struct attack *a)
{
	attack_sound(a, 0);
	many(a);
	race_begin(&a->ring->desc[FIRST].addr, rng_one_in(a->rng, 2) ? OUTSIDE : rng_next(a->rng));
}

void race_length(struct attack *a)
{
	attack_sound(a, 0);
	many(a);
	race_begin(&a->ring->desc[FIRST].len,
		desc_rest((uint32_t)rng_edge(a->rng),
			rng_one_in(a->rng, 2) ? a->direction : (uint16_t)rng_below(a->rng, 8),
			(uint16_t)rng_below(a->rng, a->ring->size)));
}

void race_chain(struct attack *a)
{
	attack_sound(a, 0);
	attack_sound(a, 1);
	a->ring->desc[FIRST].flags |= VRING_DESC_F_NEXT;
	a->ring->desc[FIRST].next = FIRST + 1;
	many(a);
	race_begin(&a->ring->desc[FIRST + 1].len,
		desc_rest((uint32_t)rng_edge(a->rng), VRING_DESC_F_NEXT | a->direction, FIRST));
}

// Four heads stand in a word.
void race_head(struct attack *a)
{
	attack_sound(a, 0);
	many(a);
	for (unsigned i = 0; i < a->ring->size; i++)
		a->ring->avail->ring[i] = FIRST;
	race_begin(&a->ring->avail->ring[a->ring->next % a->ring->size / 4 * 4], rng_next(a->rng));
}

// The word has flags, index and two heads. Entries are stale but sound where the index runs ahead.
void race_index(struct attack *a)
{
	attack_sound(a, 0);
	for (unsigned i = 0; i < a->ring->size; i++)
		a->ring->avail->ring[i] = FIRST;
	many(a);
	uint16_t other = rng_one_in(a->rng, 2) ? (uint16_t)(a->start + rng_below(a->rng, 64))
					       : (uint16_t)rng_next(a->rng);
	race_begin(a->ring->avail,
		(uint64_t)other << 16 | (uint64_t)FIRST << 32 | (uint64_t)FIRST << 48);
}

void race_table(struct attack *a)
{
	attack_table(a, 6);
	many(a);
	unsigned i = rng_below(a->rng, 6);
	if (rng_one_in(a->rng, 2))
		race_begin(&a->ring->table[i].addr, OUTSIDE);
	else
		race_begin(&a->ring->table[i].len,
			desc_rest((uint32_t)rng_edge(a->rng), (uint16_t)rng_below(a->rng, 8),
				(uint16_t)rng_below(a->rng, 7)));
}

// From the virtio-net header to behind the L4 header.
void race_header(struct attack *a)
{
	attack_sound(a, 0);
	many(a);
	race_begin(a->guest->memory + buffer_place(FROM_VM, FIRST) + rng_below(a->rng, 72),
		rng_next(a->rng));
}

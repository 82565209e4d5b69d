// SPDX-License-Identifier: BSD-3-Clause
// One spoiled entry after the other, between sound ones, all published by one store of the index.
// A port beside the spoiled one then sends: to it, where the to-vm ring is spoiled, else frames for
// nobody, until the switch must have looked at the spoiled ring. So nothing
// here waits for time, and a ring that stopped is known by its used index.
#include <stdio.h>
#include <string.h>

#include "tests/hostile/hostile.h"
#include "tests/hostile/mutate_ring.h"

enum {
	// Mutations until the ring's size and features are chosen anew.
	SETUP_EVERY = 64,
	SOUND_MAX = 4, // before the spoiled entry, and behind it
	// The switch looks at a quiet ring in each fourth round only. A frame that it gives back
	// was taken in a later round than the one before; the first may come too late for its
	// round.
	ROUNDS = 5,
	PROGRESS_EVERY = 10000
};

// Streams of random numbers that are apart from those of the mutations.
#define STREAM_SETUP (1ull << 62)

static struct count counts[RING_MUTATIONS];

// A frame that the switch takes and forwards to nobody (IEEE 802.1D's bridge group).
static void send_to_nobody(struct guest *beside)
{
	uint8_t frame[60] = {0x01, 0x80, 0xc2, 0, 0, 0x0e};
	memcpy(frame + 6, beside->mac, 6);
	guest_put(beside, 0, NULL, frame, sizeof(frame));
	guest_send(beside, 1);
}

static void send_to_all(struct guest *beside, struct rng *rng, unsigned n)
{
	uint8_t frame[FRAME_SIZE_MAX];
	for (uint16_t i = 0; i < n; i++)
		guest_put(beside, i, NULL, frame, frame_sound(rng, frame, beside->mac));
	guest_send(beside, n);
}

// --- one mutation --------------------------------------------------------------------------------

static void add_sound(struct attack *a, unsigned from, unsigned n)
{
	uint8_t frame[FRAME_SIZE_MAX];
	for (unsigned i = from; i < from + n; i++) {
		if (a->ring->index == TO_VM)
			guest_post(a->guest, (uint16_t)i);
		else
			guest_put(a->guest, (uint16_t)i, NULL, frame,
				frame_sound(a->rng, frame, a->guest->mac));
		queue_add(a->ring, (uint16_t)i);
	}
}

// Until the switch has looked at the from-vm ring: then it has moved, or will not. Entries that are
// all sound may take more than one burst.
static void wait_looked_at(const struct attack *a, struct guest *beside, bool sound)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint16_t used = queue_used(a->ring);
		if (used == a->ring->next || (!sound && used != a->start))
			return;
		send_to_nobody(beside);
	}
}

// Whether the mutation did what the table says.
static void judge(const struct attack *a, const struct ring_mutation *m, unsigned before)
{
	uint16_t used = (uint16_t)(queue_used(a->ring) - a->start);
	if (m->outcome == STOPS && used > before)
		fail("the switch used %u entries of ring %u, of which only %u are sound", used,
			a->ring->index, before);
	if (m->outcome == GOES_ON && a->ring->index == FROM_VM &&
		queue_used(a->ring) != a->ring->next)
		fail("the switch stopped at entry %u of a sound ring; it should be at %u",
			queue_used(a->ring), a->ring->next);
}

// True if the ring stopped, or may do so at the next look.
static bool spoil(struct guest *enemy, struct guest *beside, const struct ring_mutation *m,
	unsigned ring, struct rng *rng)
{
	struct attack a = {.guest = enemy,
		.ring = &enemy->rings[ring],
		.rng = rng,
		.direction = ring == TO_VM ? VRING_DESC_F_WRITE : 0,
		.head = FIRST,
		.times = 1};
	unsigned before = rng_below(rng, SOUND_MAX), after = rng_below(rng, SOUND_MAX);
	a.start = a.ring->next;
	add_sound(&a, 0, before);
	m->apply(&a);
	for (unsigned i = 0; i < a.times; i++)
		queue_add(a.ring, a.head);
	add_sound(&a, SOUND_MAX, after);
	queue_set_index(a.ring, a.index_given ? a.index : a.ring->next);
	queue_kick(a.ring);
	if (ring == TO_VM)
		send_to_all(beside, rng, before + a.times + rng_below(rng, SOUND_MAX));
	else
		wait_looked_at(&a, beside, m->outcome == GOES_ON);
	// It leaves old words behind, of indexes too.
	bool raced = race_end();
	judge(&a, m, before);
	return raced || a.index_given || queue_used(a.ring) != a.ring->next;
}

// --- the run -------------------------------------------------------------------------------------

// What stops the ring costs a reset, and most mutations do: they come half as often.
static const struct ring_mutation *choose(const struct options *o, struct rng *rng, unsigned *ring)
{
	while (true) {
		const struct ring_mutation *m = ring_mutation(rng_below(rng, RING_MUTATIONS));
		*ring = o->ring < RING_ANY ? (unsigned)o->ring : rng_below(rng, 2);
		bool wanted = o->only ? !strcmp(o->only, m->name)
				      : m->outcome != STOPS || rng_one_in(rng, 2);
		if (wanted && m->rings >> *ring & 1)
			return m;
	}
}

static uint64_t any_features(struct rng *rng)
{
	uint64_t features = 0;
	for (unsigned bit = 0; bit < 64; bit++)
		features |= rng_below(rng, 4) ? FEATURE(bit) & CARD_FEATURES : 0;
	return features;
}

static void set_up(const struct options *o, struct guest *enemy, uint64_t block)
{
	struct rng rng = rng_of(o->seed, STREAM_SETUP | block);
	uint64_t features = o->hold ? CARD_FEATURES : any_features(&rng);
	uint16_t size = (uint16_t)(64u << rng_below(&rng, 5));
	if (enemy->peer.fd >= 0) {
		guest_restart(enemy, features, size);
		return;
	}
	peer_open(&enemy->peer);
	guest_negotiate(enemy, features);
	guest_start(enemy, size);
}

static void start_beside(struct guest *beside)
{
	struct queue *v = &beside->rings[TO_VM];
	peer_open(&beside->peer);
	guest_negotiate(beside, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_NET_F_GUEST_CSUM));
	guest_start(beside, BUFFERS);
	for (uint16_t i = 0; i < BUFFERS; i++) {
		guest_post(beside, i);
		queue_add(v, i);
	}
	queue_set_index(v, v->next);
}

unsigned run_rings(const struct options *o, struct guest *enemy, struct guest *beside,
	const struct count **out)
{
	uint64_t received = 0;
	*out = counts;
	for (unsigned i = 0; i < RING_MUTATIONS; i++)
		counts[i].name = ring_mutation(i)->name;
	race_start_thread();
	start_beside(beside);
	for (uint64_t n = o->from; n < o->from + o->rings; n++) {
		unsigned ring;
		struct rng rng = rng_of(o->seed, n);
		if (n == o->from || n % SETUP_EVERY == 0)
			set_up(o, enemy, n / SETUP_EVERY);
		const struct ring_mutation *m = choose(o, &rng, &ring);
		struct count *count = &counts[m - ring_mutation(0)];
		doing(m->name, n);
		bool stopped = spoil(enemy, beside, m, ring, &rng);
		count->done++;
		count->refused += stopped;
		received += guest_drain(beside);
		if (stopped && !(o->hold && n + 1 == o->from + o->rings))
			guest_reset_ring(enemy, ring, (uint16_t)rng_next(&rng));
		if (!o->quiet && (n + 1) % PROGRESS_EVERY == 0)
			fprintf(stderr, "%llu ring mutations\n", (unsigned long long)n + 1);
	}
	doing("the end", o->from + o->rings);
	if (o->rings > PROGRESS_EVERY && !received)
		fail("the sound port has received nothing");
	return RING_MUTATIONS;
}

bool ring_mutation_at(unsigned i, unsigned ring, const char **name, const char **fault, bool *fits)
{
	if (i >= RING_MUTATIONS)
		return false;
	const struct ring_mutation *m = ring_mutation(i);
	*name = m->name;
	*fault = m->fault;
	*fits = m->rings >> ring & 1;
	return true;
}

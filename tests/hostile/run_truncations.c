// SPDX-License-Identifier: BSD-3-Clause
// Memory that is taken away after SET_MEM_TABLE: the file becomes shorter while the switch uses its
// rings and buffers, and touching what is gone raises SIGBUS. Not seeing the pages any more is the
// switch's affair; here nothing behind the file's end is touched either.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/attack.h"
#include "tests/hostile/hostile.h"

enum {
	RING_SIZE = 256,
	FRAMES = 8
};

#define STREAM_TRUNCATIONS (1ull << 60)

struct cut {
	const char *name;
	uint32_t bytes; // that the file keeps
};

static const struct cut cuts[] = {
	{"all of it", 0},
	{"from-vm ring", RING_BYTES},
	{"buffers", 2 * RING_BYTES},
	{"buffers of the from-vm ring", 2 * RING_BYTES + BUFFERS *BUFFER_SIZE},
	{"used ring of the from-vm ring", RING_BYTES + USED_AT},
	{"indirect table", RING_BYTES + TABLE_AT},
};

enum {
	CUTS = sizeof(cuts) / sizeof(cuts[0])
};

static struct count counts[CUTS];

static void put_frame(struct guest *g, struct rng *rng, uint16_t entry)
{
	uint8_t frame[FRAME_SIZE_MAX];
	guest_put(g, entry, NULL, frame, frame_sound(rng, frame, g->mac));
}

static void put_frames(struct guest *g, struct rng *rng)
{
	for (uint16_t i = 0; i < FRAMES; i++) {
		put_frame(g, rng, i);
		queue_add(&g->rings[FROM_VM], i);
		guest_post(g, i);
		queue_add(&g->rings[TO_VM], i);
	}
}

static void truncate_to(struct guest *g, uint32_t bytes)
{
	if (ftruncate(g->memory_fd, bytes))
		fail("ftruncate: %s", strerror(errno));
}

// With a frame that the switch takes while all is well.
static void start(struct guest *g, struct rng *rng)
{
	peer_hang_up(&g->peer);
	truncate_to(g, FILE_BYTES);
	peer_open(&g->peer);
	guest_negotiate(g, CARD_FEATURES);
	guest_start(g, RING_SIZE);
	put_frame(g, rng, 0);
	guest_send(g, 1);
}

static void send_beside(struct guest *beside, struct rng *rng)
{
	for (uint16_t i = 0; i < FRAMES; i++)
		put_frame(beside, rng, i);
	guest_send(beside, FRAMES);
}

static void cut_short(struct guest *enemy, struct guest *beside, struct rng *rng, uint32_t bytes)
{
	put_frames(enemy, rng);
	truncate_to(enemy, bytes);
	for (unsigned i = 0; i < 2; i++) {
		struct queue *v = &enemy->rings[i];
		if (v->place + AVAIL_AT < bytes)
			queue_set_index(v, v->next);
		queue_kick(v);
	}
	for (unsigned i = 0; i < 3; i++)
		send_beside(beside, rng);
}

unsigned run_truncations(const struct options *o, struct guest *enemy, struct guest *beside,
	const struct count **out)
{
	*out = counts;
	for (unsigned i = 0; i < CUTS; i++)
		counts[i].name = cuts[i].name;
	if (beside->peer.fd < 0) {
		peer_open(&beside->peer);
		guest_negotiate(beside, FEATURE(VIRTIO_F_VERSION_1));
		guest_start(beside, RING_SIZE);
	}
	for (uint64_t n = o->from; n < o->from + o->truncations; n++) {
		struct rng rng = rng_of(o->seed, STREAM_TRUNCATIONS | n);
		unsigned i = rng_below(&rng, CUTS);
		doing(cuts[i].name, n);
		start(enemy, &rng);
		cut_short(enemy, beside, &rng, cuts[i].bytes);
		counts[i].done++;
	}
	if (!o->hold) {
		struct rng rng = rng_of(o->seed, STREAM_TRUNCATIONS | (o->from + o->truncations));
		start(enemy, &rng);
	}
	return CUTS;
}

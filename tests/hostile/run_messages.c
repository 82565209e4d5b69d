// SPDX-License-Identifier: BSD-3-Clause
// One malformed message after the other, on connections that have come to different points of their
// life. After each a sound request is answered, or the connection is closed and can be made again.
// After some dozens the rings are set up cleanly, on the same connection or on a new one, and have
// to work.
#include <stdio.h>
#include <string.h>

#include "tests/hostile/hostile.h"
#include "tests/hostile/mutate_message.h"

enum {
	CLEAN_EVERY = 32,
	RING_SIZE = 256,
	REPLIES_MAX = 4,
	PROGRESS_EVERY = 5000
};

#define STREAM_MESSAGES (1ull << 61)
#define FEATURES \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_NET_F_MRG_RXBUF) | \
		FEATURE(VIRTIO_RING_F_INDIRECT_DESC))

static struct count counts[MESSAGE_MUTATIONS];

// A new connection: nothing said, or negotiated, or with running rings.
static void begin(struct guest *g, struct rng *rng)
{
	peer_hang_up(&g->peer);
	peer_open(&g->peer);
	unsigned state = rng_below(rng, 4);
	if (state)
		guest_negotiate(g, FEATURES | (rng_one_in(rng, 2) ? FEATURE(VIRTIO_NET_F_MQ) : 0));
	if (state > 1)
		guest_start(g, RING_SIZE);
}

// Sends it and a sound question behind it. True if it was refused: by an answer that says so, or by
// the end of the connection.
static bool provoke(struct guest *g, const struct message *m)
{
	struct message question = {.flags = FLAG_VERSION, .size = 8}, reply;
	question.request = m->request == GET_QUEUE_NUM ? GET_FEATURES : GET_QUEUE_NUM;
	bool refused = false;
	if (!peer_send(&g->peer, m) || !peer_send(&g->peer, &question))
		return true;
	for (unsigned i = 0; i < REPLIES_MAX; i++) {
		if (!peer_receive(&g->peer, &reply))
			return true;
		if (reply.request == question.request)
			return refused;
		if (reply.request != m->request)
			fail("an answer to request %u, which nobody asked", reply.request);
		refused = m->flags & FLAG_NEED_REPLY && reply.size == 8 && reply.u64;
	}
	fail("%u answers to one message %u", REPLIES_MAX, m->request);
}

// What a driver's clean reset comes to; then one frame has to pass.
static void clean_reset(struct guest *g, struct rng *rng)
{
	uint8_t frame[60];
	if (g->peer.fd >= 0 && rng_one_in(rng, 2)) {
		for (unsigned i = 0; i < 2; i++)
			peer_ask(&g->peer, GET_VRING_BASE, i);
	} else {
		peer_hang_up(&g->peer);
		peer_open(&g->peer);
	}
	guest_negotiate(g, FEATURES);
	guest_start(g, RING_SIZE);
	memset(frame, 0xff, sizeof(frame));
	memcpy(frame + 6, g->mac, 6);
	guest_put(g, 0, NULL, frame, sizeof(frame));
	guest_send(g, 1);
}

static const struct message_mutation *choose(const struct options *o, struct rng *rng)
{
	while (true) {
		const struct message_mutation *m = message_mutation(
			rng_below(rng, MESSAGE_MUTATIONS));
		if (!o->only || !strcmp(o->only, m->name))
			return m;
	}
}

unsigned run_messages(const struct options *o, struct guest *g, const struct count **out)
{
	*out = counts;
	for (unsigned i = 0; i < MESSAGE_MUTATIONS; i++)
		counts[i].name = message_mutation(i)->name;
	fds_open();
	for (uint64_t n = o->from; n < o->from + o->messages; n++) {
		struct message m;
		struct rng rng = rng_of(o->seed, STREAM_MESSAGES | n);
		const struct message_mutation *mutation = choose(o, &rng);
		struct count *count = &counts[mutation - message_mutation(0)];
		doing(mutation->name, n);
		if (n == o->from || g->peer.fd < 0 || n % CLEAN_EVERY == 0)
			begin(g, &rng);
		mutation->apply(g, &rng, &m);
		// An error is then answered; without it the connection ends.
		if (rng_below(&rng, 16))
			m.flags |= FLAG_NEED_REPLY;
		count->done++;
		count->refused += provoke(g, &m);
		fds_close_passing();
		if (n % CLEAN_EVERY == CLEAN_EVERY - 1)
			clean_reset(g, &rng);
		if (!o->quiet && (n + 1) % PROGRESS_EVERY == 0)
			fprintf(stderr, "%llu messages\n", (unsigned long long)n + 1);
	}
	doing("the last reset", o->from + o->messages);
	struct rng rng = rng_of(o->seed, STREAM_MESSAGES | (o->from + o->messages));
	clean_reset(g, &rng);
	return MESSAGE_MUTATIONS;
}

bool message_mutation_known(const char *name)
{
	for (unsigned i = 0; i < MESSAGE_MUTATIONS; i++)
		if (!strcmp(name, message_mutation(i)->name))
			return true;
	return false;
}

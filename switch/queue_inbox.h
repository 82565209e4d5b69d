// SPDX-License-Identifier: BSD-3-Clause
// How workers tell another one that something waits now in a to-vm queue of its: by the number of
// the port, since their snapshots, and so its place there, may differ for a moment.
//
// Life cycle: a worker's, as long as it is. Synchronisation: a bit is set before `any`, and taken
// behind it. Who tells looks behind a fence whether the worker sleeps; that one, before it sleeps,
// says so and looks here behind a fence. So one of them sees the other.
#ifndef WEIR_SWITCH_QUEUE_INBOX_H
#define WEIR_SWITCH_QUEUE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

enum {
	INBOX_WORDS = PORT_IDS / 64
};

struct queue_inbox {
	atomic_bool any __attribute__((aligned(64)));
	_Atomic uint64_t ports[INBOX_WORDS];
};

// Workers.
static inline void queue_inbox_put(struct queue_inbox *inbox, uint16_t port)
{
	atomic_fetch_or_explicit(
		&inbox->ports[port / 64], 1ull << (port % 64), memory_order_relaxed);
	atomic_store_explicit(&inbox->any, true, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
}

// The worker itself.
static inline bool queue_inbox_any(const struct queue_inbox *inbox)
{
	return atomic_load_explicit(&inbox->any, memory_order_relaxed);
}

// Takes one word of bits; to be called for each, behind queue_inbox_open. The worker itself.
static inline uint64_t queue_inbox_take(struct queue_inbox *inbox, unsigned word)
{
	_Atomic uint64_t *bits = &inbox->ports[word];
	if (!atomic_load_explicit(bits, memory_order_relaxed))
		return 0;
	return atomic_exchange_explicit(bits, 0, memory_order_acquire);
}

static inline void queue_inbox_open(struct queue_inbox *inbox)
{
	atomic_exchange_explicit(&inbox->any, false, memory_order_acquire);
}

#endif

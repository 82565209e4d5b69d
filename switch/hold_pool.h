// SPDX-License-Identifier: BSD-3-Clause
// The buffers of all packets that are held for to-vm rates, a part of switch.memory.
//
// Life cycle: made when the first port gets such a rate, freed with the switch. Synchronisation:
// buffers are taken and given back by workers, in bulk; `used` may be a moment late.
#ifndef WEIR_SWITCH_HOLD_POOL_H
#define WEIR_SWITCH_HOLD_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/hold.h"

struct rte_mempool;

struct hold_pool {
	struct rte_mempool *mempool;
	uint32_t total;
	uint64_t flow_secret[2];
	uint32_t queues;        // main thread's
	_Atomic uint32_t least; // buffers that each of them may hold anyway
	_Atomic uint32_t used __attribute__((aligned(64)));
};

// Of `memory` bytes, or of less where that is not free any more. 0, or -errno with a sentence. Main
// thread.
int hold_pool_new(struct hold_pool **out, uint64_t memory, uint16_t nworkers, struct error *err);
// All buffers have come back. NULL: does nothing. Main thread.
void hold_pool_free(struct hold_pool *pool);

// So many queues (+1, -1) more use it. Main thread.
void hold_pool_count(struct hold_pool *pool, int more);

// A copy of the packet, not counted yet. NULL: there are not enough buffers. Workers.
struct held *hold_take(struct hold_pool *pool, const struct packet *packet);
// Counts n of them as used; before anybody can give them back. Workers.
void hold_use(struct hold_pool *pool, struct queued *const *packets, unsigned n);
// Gives n (at most BURST_MAX) of them back. Workers, and the main thread.
void hold_give(struct hold_pool *pool, struct queued *const *packets, unsigned n);

// How many buffers one queue may hold: no more than are free. So n queues whose receivers are stuck
// leave one part of n + 1 to the others, and no number need be chosen (Choudhury and Hahne, 1998).
// Those that hold more, since fewer are free than when they were filled, give up the rest when
// their owner looks at them; until then `least` keeps others from losing all.
static inline uint64_t hold_pool_share(const struct hold_pool *pool)
{
	uint32_t used = atomic_load_explicit(&pool->used, memory_order_relaxed);
	uint32_t least = atomic_load_explicit(&pool->least, memory_order_relaxed);
	uint32_t left = used < pool->total ? pool->total - used : 0;
	return left > least ? left : least;
}

#endif

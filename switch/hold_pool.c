// SPDX-License-Identifier: BSD-3-Clause
#include "switch/hold_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <rte_mempool.h>

#include "base/likely.h"

enum {
	POOL_MIN = 1024,  // some fifteen of the longest frames
	POOL_CACHE = 128, // of each worker, and of the main thread
	// What a thread's cache can keep from others (rte_mempool).
	POOL_CACHED = POOL_CACHE * 3 / 2,
	LEAST_PART = 4, // of the pool, that all queues may hold anyway
};

static struct rte_mempool *hold_pool_make(unsigned buffers, uint16_t nworkers)
{
	static unsigned number;
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof(name), "hold-%u", number++);
	return rte_mempool_create(name, buffers + (nworkers + 1u) * POOL_CACHED, HOLD_BUFFER,
		POOL_CACHE, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
}

int hold_pool_new(struct hold_pool **out, uint64_t memory, uint16_t nworkers, struct error *err)
{
	struct hold_pool *pool = aligned_alloc(64, sizeof(*pool));
	if (!pool)
		return error_set(err, ENOMEM, "no memory for a pool");
	memset(pool, 0, sizeof(*pool));
	if (getrandom(pool->flow_secret, sizeof(pool->flow_secret), 0) !=
		sizeof(pool->flow_secret)) {
		free(pool);
		return error_set(err, errno, "no random numbers: %s", strerror(errno));
	}
	uint64_t buffers = memory / HOLD_BUFFER;
	while (!pool->mempool && buffers >= POOL_MIN && buffers <= UINT32_MAX / 2) {
		pool->mempool = hold_pool_make((unsigned)buffers, nworkers);
		pool->total = (uint32_t)buffers;
		buffers /= 2;
	}
	if (!pool->mempool) {
		free(pool);
		return error_set(err, ENOMEM,
			"no memory for %d buffers of packets that wait for rate.to-vm: raise "
			"switch.memory",
			POOL_MIN);
	}
	*out = pool;
	return 0;
}

void hold_pool_free(struct hold_pool *pool)
{
	if (!pool)
		return;
	rte_mempool_free(pool->mempool);
	free(pool);
}

void hold_pool_count(struct hold_pool *pool, int more)
{
	pool->queues += (uint32_t)more;
	uint32_t least = pool->queues ? pool->total / LEAST_PART / pool->queues : 0;
	if (least < HOLD_BUFFERS_MAX)
		least = HOLD_BUFFERS_MAX;
	atomic_store_explicit(&pool->least, least, memory_order_relaxed);
}

struct held *hold_take(struct hold_pool *pool, const struct packet *p)
{
	void *buffers[HOLD_BUFFERS_MAX];
	unsigned n = hold_buffers(p);
	if (unlikely(rte_mempool_get_bulk(pool->mempool, buffers, n)))
		return NULL;
	return hold_copy(p, buffers, pool->flow_secret);
}

void hold_use(struct hold_pool *pool, struct queued *const *packets, unsigned n)
{
	uint32_t all = 0;
	for (unsigned i = 0; i < n; i++)
		all += packets[i]->buffers;
	atomic_fetch_add_explicit(&pool->used, all, memory_order_relaxed);
}

void hold_give(struct hold_pool *pool, struct queued *const *packets, unsigned n)
{
	void *buffers[BURST_MAX + HOLD_BUFFERS_MAX];
	unsigned count = 0, all = 0;
	for (unsigned i = 0; i < n; i++) {
		count += hold_list(held_of(packets[i]), buffers + count);
		if (count < BURST_MAX && i + 1 < n)
			continue;
		rte_mempool_put_bulk(pool->mempool, buffers, count);
		all += count;
		count = 0;
	}
	atomic_fetch_sub_explicit(&pool->used, all, memory_order_relaxed);
}

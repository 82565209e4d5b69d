// SPDX-License-Identifier: BSD-3-Clause
// The packet buffers of NICs.
//
// Life cycle: a pool is a NIC's own, but its buffers may leave by other devices, which give them
// back when they have been sent. So the pool of a NIC that is closed waits until all have come
// back. A worker that gives one back counts it before it has let go of the pool: a pool is freed
// when it was full at two looks, with a grace period between them.
#include <stdio.h>

#include <rte_mempool.h>

#include "base/rcu.h"
#include "switch/nic_device.h"

enum {
	POOL_MIN = 4096, // some devices fill a ring of 2048 by themselves
	POOL_CACHE = 256,
};

static struct {
	size_t count;
	struct {
		struct rte_mempool *pool;
		bool was_full;
	} of[2 * PORTS_MAX];
} closed;

int pool_make(struct nic *nic, unsigned entries, uint16_t nworkers, struct error *err)
{
	static unsigned number;
	char name[RTE_MEMPOOL_NAMESIZE];
	unsigned n = entries + nworkers * (2 * POOL_CACHE + BURST_MAX);
	if (nic->room > UINT16_MAX - RTE_PKTMBUF_HEADROOM)
		return error_set(err, EINVAL,
			"the device wants packet buffers of %u bytes, more "
			"than there can be",
			nic->room);
	if (n < POOL_MIN && nic->room == NIC_ROOM)
		n = POOL_MIN;
	snprintf(name, sizeof(name), "nic-%u", number++);
	nic->pool = rte_pktmbuf_pool_create(name, n, POOL_CACHE, 0,
		(uint16_t)(RTE_PKTMBUF_HEADROOM + nic->room), SOCKET_ID_ANY);
	if (nic->pool)
		return 0;
	return error_set(err, ENOMEM,
		"no memory for %u packet buffers of %u bytes: raise switch.memory", n, nic->room);
}

void pool_retire(struct rte_mempool *pool)
{
	if (pool && closed.count < sizeof(closed.of) / sizeof(closed.of[0])) {
		closed.of[closed.count].pool = pool;
		closed.of[closed.count++].was_full = false;
	}
}

void nic_reclaim(void)
{
	bool waited = false;
	for (size_t i = 0; i < closed.count;) {
		bool full = rte_mempool_full(closed.of[i].pool);
		if (full && closed.of[i].was_full && !waited) {
			synchronize_rcu();
			waited = true;
			full = rte_mempool_full(closed.of[i].pool);
		}
		if (full && closed.of[i].was_full) {
			rte_mempool_free(closed.of[i].pool);
			closed.of[i] = closed.of[--closed.count];
			continue;
		}
		closed.of[i++].was_full = full;
	}
}

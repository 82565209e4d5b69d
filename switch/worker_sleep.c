// SPDX-License-Identifier: BSD-3-Clause
// How a worker sleeps, and what wakes it.
//
// Going to sleep must not lose a packet: arm notifications on all own rings, full fence, look at
// all of them and at the snapshot pointer again, only then go offline and wait. A guest that makes
// an entry available after that look sees the armed ring and kicks; a publication is followed by a
// wake. Kick fds are registered edge-triggered and never read: each write to an eventfd is a new
// edge.
//
// A queue whose rate holds it back (switch/agenda.h) is not pending whatever its ring has: it is
// not armed, and the worker sleeps until the first of them is due. What comes due while it is late
// is made up for (switch/rate.h), so nothing is gained by waking early.
#include "switch/worker.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/rcu.h"
#include "switch/fragments.h"

// Sleeps no longer than this while a guest of its rings does not kick.
#define KICKLESS_NS 1000000ull
// And no longer than this while it holds fragments, since time is over for them, too.
#define HOLDING_NS 200000000ull

typedef void ring_fn(struct ring *ring);

// NULL where there is none: a NIC's queue cannot say that packets have come, so a worker that has
// one sleeps for KICKLESS_NS at the most.
static struct ring *ring_of(const struct queue_ref *queue)
{
	struct vhost_port *port = queue->view->vhost;
	return port ? vhost_port_from_vm(port, queue->pair) : NULL;
}

// But those of queues that are held back at that time.
static void each_ring(
	const struct worker *w, const struct snapshot *snapshot, uint64_t now, ring_fn *fn)
{
	const struct worker_queues *queues = &snapshot->queues[w->index];
	for (uint32_t i = 0; i < queues->count; i++) {
		if (agenda_holds(&queues->agenda, i, now))
			continue;
		struct ring *ring = ring_of(&queues->refs[i]);
		if (ring)
			fn(ring);
	}
}

static bool any_pending(const struct worker *w, const struct snapshot *snapshot, uint64_t now)
{
	const struct worker_queues *queues = &snapshot->queues[w->index];
	for (uint32_t i = 0; i < queues->count; i++) {
		const struct queue_ref *q = &queues->refs[i];
		// A queue that is seldom looked at may have its first signal due.
		if (q->view->vhost && vhost_port_due(q->view->vhost, q->pair))
			return true;
		if (agenda_holds(&queues->agenda, i, now))
			continue;
		struct ring *ring = ring_of(q);
		if (ring && ring_pending(ring))
			return true;
	}
	return false;
}

static void drain_wakes(struct worker *w)
{
	uint64_t n;
	// Non-blocking; the count does not matter.
	ssize_t rc = read(w->wake_fd, &n, sizeof(n));
	(void)rc;
}

// UINT64_MAX: until somebody wakes it.
static uint64_t longest_sleep_ns(const struct worker *w)
{
	uint64_t now = __rdtsc();
	uint64_t ns = fragments_held(w->pass.fragments) ? HOLDING_NS : UINT64_MAX;
	if (atomic_load_explicit(&w->kickless, memory_order_relaxed))
		ns = KICKLESS_NS;
	if (w->pass.next_due == UINT64_MAX)
		return ns;
	uint64_t cycles = w->pass.next_due > now ? w->pass.next_due - now : 0;
	uint64_t until = (uint64_t)((__uint128_t)cycles * 1000000000 / worker_tsc_hz());
	return until < ns ? until : ns;
}

static bool wait_for_wake(const struct worker *w)
{
	struct epoll_event events[16];
	uint64_t ns = longest_sleep_ns(w);
	struct timespec time = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	return epoll_pwait2(w->epoll_fd, events, 16, ns == UINT64_MAX ? NULL : &time, NULL) != 0;
}

bool worker_sleep(struct worker *w, const struct snapshot *snapshot, uint64_t now)
{
	bool woken = true;
	// Before the look at the inbox: see there.
	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	each_ring(w, snapshot, now, ring_arm);
	atomic_thread_fence(memory_order_seq_cst);
	bool stay = any_pending(w, snapshot, now) || rcu_dereference(*w->snapshot) != snapshot ||
		    queue_inbox_any(&w->inbox) ||
		    atomic_load_explicit(&w->stop, memory_order_relaxed);
	if (!stay) {
		worker_add(&w->sleeps, 1);
		rcu_thread_offline();
		woken = wait_for_wake(w);
		rcu_thread_online();
		drain_wakes(w);
		snapshot = rcu_dereference(*w->snapshot);
	}
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	each_ring(w, snapshot, now, ring_disarm);
	// Whoever woke it may be any of them.
	memset(w->quiet, 0, sizeof(w->quiet));
	return woken;
}

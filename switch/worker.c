// SPDX-License-Identifier: BSD-3-Clause
// Life cycle: started by switch_create, stopped by switch_destroy after every port is closed.
//
// Synchronisation: a worker is an RCU reader (QSBR) from its start to its end: online while it
// polls, offline while it sleeps. Before a quiescent state the signals of the last burst must be
// sent, since they name rings, and right after the burst their fence would wait for its last
// stores. So it reports one after ROUNDS_MAX rounds that moved packets, and in those that moved
// none, after DRAIN_CYCLES. It takes no lock but a to-vm queue's and a MAC table's.
//
// Going to sleep must not lose a packet: arm notifications on all own rings, full fence, look at
// all of them and at the snapshot pointer again, only then go offline and wait. A guest that makes
// an entry available after that look sees the armed ring and kicks; a publication is followed by a
// wake. Kick fds are registered edge-triggered and never read: each write to an eventfd is a new
// edge.
#include "switch/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/log.h"
#include "base/rcu.h"

// Polls this long without a packet before it sleeps: some ten times what a sleep and a wake cost.
#define IDLE_NS 50000
// Rounds without a quiescent state: some tens of microseconds.
#define ROUNDS_MAX 8
// In which stores leave the CPU by themselves, even to lines that another one holds.
#define DRAIN_CYCLES 600
// Sleeps no longer than this while a guest of its rings does not kick.
#define KICKLESS_MS 1

static uint64_t clock_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t worker_tsc_hz(void)
{
	static _Atomic uint64_t known;
	uint64_t hz = atomic_load(&known);
	if (hz)
		return hz;
	// 20 ms against the raw clock is right to some 10 ppm.
	uint64_t t0 = clock_ns(), c0 = __rdtsc(), t1;
	do
		t1 = clock_ns();
	while (t1 - t0 < 20000000);
	hz = (uint64_t)((__uint128_t)(__rdtsc() - c0) * 1000000000ull / (t1 - t0));
	atomic_store(&known, hz);
	return hz;
}

static void add(_Atomic uint64_t *total, uint64_t n)
{
	atomic_store_explicit(
		total, atomic_load_explicit(total, memory_order_relaxed) + n, memory_order_relaxed);
}

// Lets packets gather (switch/gather.h): waits until `hold` cycles after `from`, when the last look
// was; the time then.
static uint64_t wait_for_more(struct worker *w, uint64_t from, uint64_t now)
{
	uint64_t begin = now, until = from + w->gather.hold;
	while (now < until) {
		caa_cpu_relax();
		now = __rdtsc();
	}
	add(&w->idle_cycles, now - begin);
	return now;
}

// One look at each own queue. Returns the packets moved.
static unsigned poll_round(struct worker *w, const struct snapshot *snapshot)
{
	const struct worker_queues *queues = &snapshot->queues[w->index];
	w->pass.snapshot = snapshot;
	w->pass.now_s = atomic_load_explicit(w->now_s, memory_order_relaxed);
	unsigned moved = 0;
	for (uint32_t i = 0; i < queues->count; i++) {
		unsigned n = pipeline_run(&w->pass, &queues->refs[i]);
		if (n)
			add(&w->bursts, 1);
		moved += n;
	}
	return moved;
}

typedef void ring_fn(struct ring *ring);

static void each_ring(const struct worker *w, const struct snapshot *snapshot, ring_fn *fn)
{
	const struct worker_queues *queues = &snapshot->queues[w->index];
	for (uint32_t i = 0; i < queues->count; i++) {
		const struct queue_ref *q = &queues->refs[i];
		struct ring *ring = vhost_port_from_vm(q->view->vhost, q->pair);
		if (ring)
			fn(ring);
	}
}

static bool any_pending(const struct worker *w, const struct snapshot *snapshot)
{
	const struct worker_queues *queues = &snapshot->queues[w->index];
	for (uint32_t i = 0; i < queues->count; i++) {
		const struct queue_ref *q = &queues->refs[i];
		struct ring *ring = vhost_port_from_vm(q->view->vhost, q->pair);
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

// False: nobody woke it, it only looks at rings whose guest does not kick.
static bool sleep_until_woken(struct worker *w, const struct snapshot *snapshot)
{
	bool woken = true;
	each_ring(w, snapshot, ring_arm);
	atomic_thread_fence(memory_order_seq_cst);
	bool stay = any_pending(w, snapshot) || rcu_dereference(*w->snapshot) != snapshot ||
		    atomic_load_explicit(&w->stop, memory_order_relaxed);
	if (!stay) {
		struct epoll_event events[16];
		add(&w->sleeps, 1);
		atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
		rcu_thread_offline();
		bool kickless = atomic_load_explicit(&w->kickless, memory_order_relaxed) > 0;
		woken = epoll_wait(w->epoll_fd, events, 16, kickless ? KICKLESS_MS : -1) != 0;
		rcu_thread_online();
		atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
		drain_wakes(w);
		snapshot = rcu_dereference(*w->snapshot);
	}
	each_ring(w, snapshot, ring_disarm);
	return woken;
}

// Only to be interrupted by: without SA_RESTART, write(2) ends with EINTR.
static void on_signal(int number)
{
	(void)number;
}

// Before there is a thread to interrupt: the signal's default is to end the process.
static void allow_unstick(void)
{
	const struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGUSR2, &action, NULL);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t idle_limit = worker_tsc_hz() / 1000000000.0 * IDLE_NS;
	rcu_register_thread();
	uint64_t last = __rdtsc(), idle_since = last;
	unsigned rounds = 0;
	gather_init(&w->gather, last, worker_tsc_hz());
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		const struct snapshot *snapshot = rcu_dereference(*w->snapshot);
		unsigned moved = poll_round(w, snapshot);
		bool busy = moved;
		bool quiescent = moved ? ++rounds == ROUNDS_MAX : last - idle_since > DRAIN_CYCLES;
		if (quiescent && w->pass.signals.count) {
			ring_signals_send(&w->pass.signals);
			busy = true;
		}
		uint64_t now = __rdtsc();
		add(&w->polls, 1);
		if (busy) {
			add(&w->packets, moved);
			add(&w->busy_cycles, now - last);
		} else {
			add(&w->idle_cycles, now - last);
		}
		if (moved) {
			idle_since = now;
			gather_note(&w->gather, now, moved, now - last);
			if (moved < BURST_MAX)
				now = wait_for_more(w, last, now);
		} else if (now - idle_since > idle_limit && snapshot->poll == POLL_ADAPTIVE) {
			bool woken = sleep_until_woken(w, snapshot);
			now = __rdtsc();
			if (woken)
				idle_since = now;
		}
		last = now;
		if (quiescent) {
			rcu_quiescent_state();
			rounds = 0;
		}
	}
	ring_signals_send(&w->pass.signals);
	rcu_unregister_thread();
	return NULL;
}

static int add_to_epoll(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int worker_start(struct worker *w, uint16_t index, uint16_t cpu, struct snapshot *const *snapshot,
	const _Atomic uint32_t *now_s, struct error *err)
{
	int rc;
	w->index = index;
	w->cpu = cpu;
	w->snapshot = snapshot;
	w->now_s = now_s;
	w->pass.worker = index;
	worker_tsc_hz();
	allow_unstick();
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd < 0)
		return error_set(err, errno, "worker on CPU %u: epoll: %s", cpu, strerror(errno));
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0) {
		rc = error_set(err, errno, "worker on CPU %u: eventfd: %s", cpu, strerror(errno));
		goto close_epoll;
	}
	rc = add_to_epoll(w->epoll_fd, w->wake_fd, EPOLLIN);
	if (rc) {
		error_set(err, -rc, "worker on CPU %u: epoll: %s", cpu, strerror(-rc));
		goto close_wake;
	}

	pthread_attr_t attr;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	rc = -pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (rc) {
		error_set(err, -rc, "switch.workers: no thread can run on CPU %u: %s", cpu,
			strerror(-rc));
		goto close_wake;
	}
	char name[16];
	snprintf(name, sizeof(name), "weir-worker-%u", index % 1000);
	pthread_setname_np(w->thread, name);
	log_info(LOG_WORKER, "worker %u polls on CPU %u", index, cpu);
	return 0;

close_wake:
	close(w->wake_fd);
close_epoll:
	close(w->epoll_fd);
	return rc;
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	worker_wake(w);
	pthread_join(w->thread, NULL);
	close(w->wake_fd);
	close(w->epoll_fd);
}

void worker_wake(struct worker *w)
{
	uint64_t one = 1;
	// Non-blocking; a full counter means that it is awake anyway.
	ssize_t rc = write(w->wake_fd, &one, sizeof(one));
	(void)rc;
}

void worker_unstick(struct worker *w)
{
	uint64_t polls = atomic_load_explicit(&w->polls, memory_order_relaxed);
	bool asleep = atomic_load_explicit(&w->asleep, memory_order_relaxed);
	if (polls == w->polls_seen && !asleep)
		pthread_kill(w->thread, SIGUSR2);
	w->polls_seen = polls;
}

int worker_watch(struct worker *w, int kick_fd)
{
	int rc = 0;
	if (kick_fd >= 0)
		rc = add_to_epoll(w->epoll_fd, kick_fd, EPOLLIN | EPOLLET);
	else
		atomic_fetch_add(&w->kickless, 1);
	worker_wake(w);
	return rc;
}

void worker_unwatch(struct worker *w, int kick_fd)
{
	if (kick_fd >= 0)
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, kick_fd, NULL);
	else
		atomic_fetch_sub(&w->kickless, 1);
}

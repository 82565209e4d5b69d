// SPDX-License-Identifier: BSD-3-Clause
// A worker's thread and what others may do with it; worker_loop.c has what it does.
//
// Life cycle: started by switch_create, stopped by switch_destroy after every port is closed.
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
#include "switch/fragments.h"

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
	allow_unstick();
	rc = fragments_start(&w->pass);
	if (rc)
		return error_set(err, -rc, "worker on CPU %u: %s", cpu, strerror(-rc));
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd < 0) {
		rc = error_set(err, errno, "worker on CPU %u: epoll: %s", cpu, strerror(errno));
		goto stop_fragments;
	}
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
	rc = -pthread_create(&w->thread, &attr, worker_loop, w);
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
stop_fragments:
	fragments_stop(&w->pass);
	return rc;
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	worker_wake(w);
	pthread_join(w->thread, NULL);
	close(w->wake_fd);
	close(w->epoll_fd);
	fragments_stop(&w->pass);
}

void worker_wake(struct worker *w)
{
	atomic_store_explicit(&w->look_at_all, true, memory_order_release);
	worker_rouse(w);
}

void worker_send_probes(struct worker *w)
{
	atomic_store_explicit(&w->probes_due, true, memory_order_release);
	worker_rouse(w);
}

void worker_rouse(struct worker *w)
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

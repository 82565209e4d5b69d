// SPDX-License-Identifier: BSD-3-Clause
// A worker: a polling thread on its own CPU. It runs the pipeline over its queues in turn, reports
// quiescent states as it goes, and sleeps when nothing comes (poll: adaptive).
#ifndef WEIR_SWITCH_WORKER_H
#define WEIR_SWITCH_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/gather.h"
#include "switch/pipeline.h"
#include "switch/queue_inbox.h"

enum {
	QUIET_QUEUES = 1024
};

struct worker {
	// Set before the thread starts.
	struct snapshot *const *snapshot; // the published pointer, RCU
	const _Atomic uint32_t *now_s;    // the watch's clock
	uint16_t index;
	uint16_t cpu;
	int epoll_fd;
	int wake_fd;
	pthread_t thread;
	_Atomic bool stop;
	// Running totals; the worker writes, anyone reads.
	_Atomic uint64_t packets, bursts, busy_cycles, idle_cycles, polls, sleeps;
	_Atomic uint64_t lookups, tracked;
	_Atomic bool asleep;
	_Atomic bool look_at_all;  // something has changed: no queue is held back any more
	_Atomic bool probes_due;   // of own instances some are to be sent
	_Atomic uint32_t kickless; // own rings whose guest never kicks
	struct queue_inbox inbox;  // own to-vm queues in which something waits now
	uint64_t polls_seen;       // the watch's, for worker_unstick

	// The worker's alone.
	struct gather gather;
	uint32_t round;
	// Looks at a queue since it last had packets, by its number. Where there are more queues
	// than places, and after a new snapshot, they are taken for each other: no harm.
	uint8_t quiet[QUIET_QUEUES];
	struct pass pass __attribute__((aligned(64)));
};

// Starts the thread on `cpu`. 0, or -errno with a sentence (the CPU is not there or not allowed).
// Main thread; the worker lies in zeroed memory of the caller's until worker_stop has returned.
int worker_start(struct worker *worker, uint16_t index, uint16_t cpu,
	struct snapshot *const *snapshot, const _Atomic uint32_t *now_s, struct error *err);
// Ends and joins the thread. Main thread.
void worker_stop(struct worker *worker);

// Makes a worker look again, at queues too that are held back by their rates: something was
// published. Any thread.
void worker_wake(struct worker *worker);
// Has it send the probes of its instances that are to be sent. Any thread.
void worker_send_probes(struct worker *worker);
// Gets it out of its sleep, if it sleeps. Never blocks. Any thread.
void worker_rouse(struct worker *worker);
// Starts and stops waking by a guest's kick; edge-triggered, the fd is never read. -1: a guest that
// never kicks; its ring is looked at each millisecond. Any thread.
int worker_watch(struct worker *worker, int kick_fd);
void worker_unwatch(struct worker *worker, int kick_fd);

// Called at intervals: if the worker is not asleep and has made no round since the last call, it
// sits in a write to a call fd that its peer made blocking. A signal gets it out; the ring then
// faults. The watch thread.
void worker_unstick(struct worker *worker);

// To one of its own totals. Its thread.
static inline void worker_add(_Atomic uint64_t *total, uint64_t n)
{
	atomic_store_explicit(
		total, atomic_load_explicit(total, memory_order_relaxed) + n, memory_order_relaxed);
}

// The thread's function; `arg` is the worker.
void *worker_loop(void *arg);
// Sleeps until something comes or is due; not at all if there is something. False: nobody woke it,
// it is to look at rings whose guest does not kick, and at the clock. now: TSC, when the round
// began that has found nothing. Its thread.
bool worker_sleep(struct worker *worker, const struct snapshot *snapshot, uint64_t now);

// Cycles of the time stamp counter per second. Any thread.
uint64_t worker_tsc_hz(void);

#endif

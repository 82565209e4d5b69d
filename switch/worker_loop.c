// SPDX-License-Identifier: BSD-3-Clause
// What a worker does: it looks at its rings in turn, lets packets gather under load, and sleeps
// when nothing comes (switch/worker_sleep.c).
//
// Synchronisation: a worker is an RCU reader (QSBR) from its start to its end: online while it
// polls, offline while it sleeps. Before a quiescent state the signals of the last burst must be
// sent, since they name rings, and right after the burst their fence would wait for its last
// stores. So it reports one in the first round that ends READER_US after the last one, or, where
// nothing moves any more, DRAIN_CYCLES after the last burst. Which locks it takes, and that none is
// held for longer than a burst: docs/architecture.md, Threads.
#include "switch/worker.h"

#include <sys/prctl.h>
#include <x86intrin.h>

#include <rte_lcore.h>

#include "base/likely.h"
#include "base/rcu.h"
#include "switch/fragments.h"
#include "switch/probe_way.h"
#include "switch/queue_tx.h"

// Polls this long without a packet before it sleeps: some ten times what a sleep and a wake cost.
#define IDLE_US 50
// Nor does it sleep if the next frame is due sooner than a sleep takes.
#define SLEEP_US 30
// Under load it reports a quiescent state after so long.
#define READER_US 20
// In which stores leave the CPU by themselves, even to lines that another one holds.
#define DRAIN_CYCLES 600
// An idle queue is looked at in each fourth round.
#define QUIET_LOOKS  200
#define QUIET_ROUNDS 4

static uint64_t spin(struct worker *w, uint64_t from, uint64_t until)
{
	uint64_t now = from;
	// It ends where the counter is set back, too.
	while (now < until && now >= from) {
		caa_cpu_relax();
		now = __rdtsc();
	}
	worker_add(&w->idle_cycles, now - from);
	return now;
}

// Lets packets gather (switch/gather.h): waits until `hold` cycles after `from`, when the last look
// was; the time then. Signals go as soon as they cost little.
static uint64_t wait_for_more(struct worker *w, uint64_t from, uint64_t now)
{
	uint64_t until = from + w->gather.hold;
	if (w->pass.signals.count && now + DRAIN_CYCLES < until) {
		uint64_t drained = spin(w, now, now + DRAIN_CYCLES);
		ring_signals_send(&w->pass.signals);
		now = __rdtsc();
		worker_add(&w->busy_cycles, now - drained);
	}
	return spin(w, now, until);
}

struct polling {
	struct worker *worker;
	const struct worker_queues *queues;
	struct round round;
	bool free; // some of it came from queues that no rate holds back now
};

static uint64_t look_at(void *ctx, uint32_t i, uint64_t due)
{
	struct polling *polling = ctx;
	struct worker *w = polling->worker;
	struct round *round = &polling->round;
	uint8_t *quiet = &w->quiet[i % QUIET_QUEUES];
	if (*quiet == QUIET_LOOKS && (i + w->round) % QUIET_ROUNDS)
		return due;
	w->pass.again = due;
	unsigned n = pipeline_run(&w->pass, &polling->queues->refs[i]);
	if (n) {
		round->bursts++;
		round->packets += n;
		round->bytes += w->pass.bytes;
		polling->free |= !w->pass.again;
		*quiet = 0;
	} else if (*quiet < QUIET_LOOKS) {
		++*quiet;
	}
	return w->pass.again;
}

// A look at each own queue that no rate holds back, or, where the last QUIET_LOOKS have found
// nothing, in one round of QUIET_ROUNDS: with many ports most are idle, and each look costs some
// cache lines.
static struct polling poll_round(struct worker *w, const struct snapshot *snapshot, uint64_t now)
{
	const struct worker_queues *queues = &snapshot->queues[w->index];
	w->pass.snapshot = snapshot;
	w->pass.tsc = now;
	w->pass.now_s = atomic_load_explicit(w->now_s, memory_order_relaxed);
	w->round++;
	if (unlikely(now >= w->pass.fragments_due))
		fragments_give_up(&w->pass);
	// Fragments that are ready go on with the next burst, from whatever queue.
	if (unlikely(w->pass.fragments_ready) && queues->count)
		agenda_call(&queues->agenda, 0);
	if (unlikely(atomic_load_explicit(&w->look_at_all, memory_order_relaxed)) &&
		atomic_exchange(&w->look_at_all, false)) {
		agenda_reset(&queues->agenda, queues->count);
		agenda_reset(&queues->to_vm_agenda, queues->nto_vm);
	}
	if (unlikely(atomic_load_explicit(&w->probes_due, memory_order_relaxed)) &&
		atomic_exchange(&w->probes_due, false))
		probes_send(&w->pass);
	struct polling polling = {.worker = w, .queues = queues};
	w->pass.next_due = UINT64_MAX;
	queues_round(&w->pass, &w->inbox);
	uint64_t due = agenda_round(&queues->agenda, queues->count, now, look_at, &polling);
	if (due < w->pass.next_due)
		w->pass.next_due = due;
	return polling;
}

void *worker_loop(void *arg)
{
	struct worker *w = arg;
	uint64_t hz = worker_tsc_hz();
	uint64_t idle_limit = hz / 1000000 * IDLE_US, reader_limit = hz / 1000000 * READER_US;
	uint64_t sleep_limit = hz / 1000000 * SLEEP_US;
	rcu_register_thread();
	// DPDK keeps caches of packet buffers for threads that it knows; it works without.
	rte_thread_register();
	prctl(PR_SET_TIMERSLACK, 1UL);
	// Since when nothing has moved, and nothing that no rate holds back: for what is due at
	// known times no worker need stay awake.
	uint64_t last = __rdtsc(), still_since = last, idle_since = last, reading_since = last;
	gather_init(&w->gather, last, hz);
	w->pass.drop_samples = hz / DROP_SAMPLES_PER_S;
	w->pass.nf_pause = hz / NF_TIMES_PER_S;
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		const struct snapshot *snapshot = rcu_dereference(*w->snapshot);
		struct polling polling = poll_round(w, snapshot, last);
		const struct round round = polling.round;
		bool moved = round.packets || w->pass.delivered;
		bool quiescent = moved ? last - reading_since > reader_limit
				       : last - still_since > DRAIN_CYCLES;
		bool busy = moved || (quiescent && w->pass.signals.count);
		if (quiescent)
			ring_signals_send(&w->pass.signals);
		uint64_t now = __rdtsc();
		worker_add(&w->polls, 1);
		worker_add(busy ? &w->busy_cycles : &w->idle_cycles, now - last);
		if (round.packets) {
			worker_add(&w->packets, round.packets);
			worker_add(&w->bursts, round.bursts);
			atomic_store_explicit(&w->lookups, w->pass.lookups, memory_order_relaxed);
			atomic_store_explicit(&w->tracked, w->pass.tracked, memory_order_relaxed);
			still_since = now;
			if (polling.free)
				idle_since = now;
			gather_note(&w->gather, now, &round);
			if (round.packets < BURST_MAX)
				now = wait_for_more(w, last, now);
		} else if (w->pass.delivered) {
			still_since = now;
		} else if (quiescent && now - idle_since > idle_limit &&
			   w->pass.next_due > last + sleep_limit &&
			   snapshot->poll == POLL_ADAPTIVE) {
			bool woken = worker_sleep(w, snapshot, last);
			now = __rdtsc();
			if (woken)
				idle_since = now;
		}
		// A machine that was suspended may count from anew: all due times are of before.
		if (unlikely(now < last))
			atomic_store(&w->look_at_all, true);
		last = now;
		if (quiescent) {
			rcu_quiescent_state();
			reading_since = now;
		}
	}
	ring_signals_send(&w->pass.signals);
	rte_thread_unregister();
	rcu_unregister_thread();
	return NULL;
}

// SPDX-License-Identifier: BSD-3-Clause
// Probes: frames of the switch's own that go through an instance of a network function, in at the
// left and out at the right, to see whether it forwards. One that is as a bridge gets a frame for
// nobody, one that routes an echo request between two addresses that are behind it; nobody but the
// switch ever gets that. What does not answer for some of them in a row is out of service until it
// answers again; so is what has just come up, until its first answer.
//
// Each has a random number, which only who gets the frame can send on. It is good for one answer.
//
// Life cycle: one for each instance, zeroed with it.
// Synchronisation: the main thread makes the number of a turn and then says that the turn is to be
// sent (`asked`, release); a worker sends it and says so (`sent`); whichever worker gets the answer
// takes the number away and says which turn it was (`answered`). A probe that found no room in the
// VM's ring was not sent, and is no sign of anything.
#ifndef WEIR_SWITCH_PROBE_H
#define WEIR_SWITCH_PROBE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

struct probe {
	_Atomic uint64_t numbers[PROBE_FAILURES_MAX]; // by turn; 0: answered, or none
	_Atomic uint32_t asked, sent, answered;       // turns, from 1; the last or latest one
	// Main thread.
	uint32_t heard;    // `answered`, as last seen
	uint64_t next_ns;  // when the next is due
	uint64_t since_ns; // since when one is unanswered; 0: none is
	bool silent;       // out of service
};

// --- main thread

// The instance is new or not up: it is to answer first.
static inline void probe_begin(struct probe *probe)
{
	probe->heard = atomic_load_explicit(&probe->answered, memory_order_relaxed);
	probe->next_ns = probe->since_ns = 0;
	probe->silent = true;
}

// None is wanted: it serves without.
static inline void probe_end(struct probe *probe)
{
	probe_begin(probe);
	probe->silent = false;
}

// Whether the next one is to be sent. Those that were missed are not made up for, and an interval
// that has become shorter counts at once.
static inline bool probe_is_due(struct probe *probe, uint64_t interval_ns, uint64_t now_ns)
{
	uint64_t due_ns = probe->next_ns;
	if (now_ns < due_ns && due_ns - now_ns <= interval_ns)
		return false;
	bool is_in_time = due_ns <= now_ns && now_ns - due_ns < interval_ns;
	probe->next_ns = (is_in_time ? due_ns : now_ns) + interval_ns;
	return true;
}

// Has the next one sent, with this number, which is random and not 0.
static inline void probe_ask(struct probe *probe, uint64_t number, uint64_t now_ns)
{
	uint32_t turn = atomic_load_explicit(&probe->asked, memory_order_relaxed) + 1;
	atomic_store_explicit(
		&probe->numbers[turn % PROBE_FAILURES_MAX], number, memory_order_relaxed);
	atomic_store_explicit(&probe->asked, turn, memory_order_release);
	if (!probe->since_ns)
		probe->since_ns = now_ns;
}

static inline bool probe_is_to_be_sent(const struct probe *probe)
{
	return atomic_load_explicit(&probe->sent, memory_order_relaxed) !=
	       atomic_load_explicit(&probe->asked, memory_order_relaxed);
}

// Whether the instance serves, so far as probes tell: to be asked several times in an interval.
static inline bool probe_is_answered(
	struct probe *probe, const struct config_probe *config, uint64_t now_ns)
{
	uint32_t answered = atomic_load_explicit(&probe->answered, memory_order_relaxed);
	if (answered != probe->heard) {
		uint32_t asked = atomic_load_explicit(&probe->asked, memory_order_relaxed);
		probe->heard = answered;
		probe->since_ns = answered == asked ? 0 : now_ns;
		probe->silent = false;
	} else if (probe_is_to_be_sent(probe)) {
		probe->since_ns = now_ns;
	} else if (probe->since_ns &&
		   now_ns - probe->since_ns >= config->failures * config->interval_ns) {
		probe->silent = true;
	}
	return !probe->silent;
}

// --- workers

// A number came back. Whether it is one that is on its way.
static inline bool probe_hear(struct probe *probe, uint64_t number)
{
	uint32_t asked = atomic_load_explicit(&probe->asked, memory_order_acquire);
	for (uint32_t turn = asked; number && asked - turn < PROBE_FAILURES_MAX; turn--) {
		_Atomic uint64_t *at = &probe->numbers[turn % PROBE_FAILURES_MAX];
		uint64_t expected = number;
		if (!atomic_compare_exchange_strong(at, &expected, 0))
			continue;
		uint32_t latest = atomic_load_explicit(&probe->answered, memory_order_relaxed);
		while ((int32_t)(turn - latest) > 0 &&
			!atomic_compare_exchange_weak(&probe->answered, &latest, turn))
			;
		return true;
	}
	return false;
}

#endif

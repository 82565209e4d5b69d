// SPDX-License-Identifier: BSD-3-Clause
// The time that packets spend in an instance of a network function: one packet at a time is noted
// when it goes in, and when one that looks like it comes out again, the difference is a sample. It
// is known by its connection, its direction and what an NF leaves as it is; so not every packet
// that is noted is found again, and one that its NF drops is forgotten after a second.
//
// Life cycle: one for each instance, zeroed with it.
// Synchronisation: workers write, any of them. `timed` of struct nf is a lock, too: who has put
// NF_TIME_HELD there may write the rest until he puts something else there. Readers see samples a
// moment late.
#ifndef WEIR_SWITCH_NF_TIME_H
#define WEIR_SWITCH_NF_TIME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "switch/switch.h"

enum {
	NF_TIMES = 128,       // the last samples
	NF_TIME_S = 10,       // that are not older than that
	NF_TIMES_PER_S = 100, // at the most
};
#define NF_TIME_HELD UINT32_MAX

struct pass;
struct packet;

struct nf_times {
	_Atomic uint64_t mark;  // what the packet that is in it is known by
	_Atomic uint64_t since; // TSC, when it went in; of the last one, if none is
	_Atomic uint32_t count; // samples ever taken
	struct {
		_Atomic uint64_t cycles, at; // TSC, when it ended
	} last[NF_TIMES];
};

struct nf;

// --- workers

// Notes a packet that goes in, if none is noted and one is due.
void nf_time_begin(const struct pass *pass, struct nf *nf, const struct packet *p, bool reply);

// A packet of the connection of the one that is noted comes out. If it is the one: a sample.
void nf_time_end(struct nf *nf, const struct packet *p, bool reply);

// --- any thread

// Takes the recent ones, in nanoseconds, into `times`; returns how many. now: TSC.
unsigned nf_times_get(
	const struct nf_times *times, uint64_t now, uint64_t tsc_hz, uint64_t ns[NF_TIMES]);

// What n times come to; sorts them.
void nf_times_sum_up(uint64_t *ns, unsigned n, struct time_spent *spent);

#endif

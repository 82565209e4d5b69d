// SPDX-License-Identifier: BSD-3-Clause
// A rate that several ports share by weights, across workers.
//
// What they send together is held by one bucket (switch/rate.h). How it is spread: each member has
// a virtual time, which runs on by what it sends divided by its weight. No member is to run ahead
// of the last of those that wait for more than `slack`. So all that wait keep step, and each gets
// its weight's part of what there is; whoever does not wait, since it has nothing to send or its
// own limits are lower, is not waited for: its part goes to the others. When it comes back it
// starts where the last of them is.
//
// Life cycle: a shared rate keeps its words as long as its name is configured; what it is, and who
// its members are, stands in the snapshot.
// Synchronisation: atomic words, no lock; workers may see each other's a moment late. A member's
// claim to wait ends by itself, so that nobody need take it back who is gone.
#ifndef WEIR_SWITCH_SHARE_H
#define WEIR_SWITCH_SHARE_H

#include "switch/rate.h"

enum {
	SHARE_FRACTION = 10, // log2 of the parts of a tick that virtual time has, for weight 1
	// How far apart members may be, as time of the whole rate: they are looked at in turn, and
	// each may come late.
	SHARE_SLACK_US = 1000,
	// Who is the only one to wait may use so much time of the rate at once: more than passes
	// until it looks again, and no more than it can wait for when the others come.
	SHARE_LONE_US = 250,
	// How long after its next look a member is still waited for: its worker may be late by a
	// time slice of another program. What the others lose by that a bucket makes up for.
	SHARE_KEEP_US = 5000,
	// The last one is looked for no more often than each so many cycles for each member.
	SHARE_SCAN = 64,
};

struct share_member {
	_Atomic uint64_t time;  // virtual; counts modulo 2^64
	_Atomic uint64_t waits; // TSC until which it is waited for
};

// The lasting half; zeroed, it is new.
struct share {
	struct rate rate;
	_Atomic uint64_t floor;   // virtual time: none that waits is behind
	_Atomic uint32_t alone;   // port id + 1 of who was the only one to wait then; or 0
	_Atomic uint64_t scanned; // TSC: when the last one was looked for
	_Atomic uint64_t held_at; // TSC: when it last held somebody back
	struct rate_limit limit;  // as published; main thread
	struct share_member members[PORT_IDS]; // by port id
};

struct share_part {
	uint16_t port; // id
	uint16_t weight;
};

// The compiled half, in the snapshot.
struct share_view {
	struct share *share;
	struct rate_limit limit;
	uint64_t slack; // virtual time
	int64_t lone;   // ticks: SHARE_LONE_US
	uint64_t most;  // virtual time: who is further ahead has been away for days
	uint64_t keep;  // cycles
	uint64_t claim; // cycles: who claims to wait longer has done so before the counter was set
			// back
	uint32_t nmembers;
	const struct share_part *members;
};

// A port's place in it.
struct share_ref {
	const struct share_view *view;
	uint16_t port; // id
	uint16_t weight;
};

// `members`, `nmembers` and `share` are the caller's. Main thread.
void share_compile(
	struct share_view *view, const struct config_rate *config, uint16_t mtu, uint64_t tsc_hz);
// The limit has changed: nobody is ahead, and nobody waits, by what frames cost before. Once no
// worker uses the old one. Main thread.
void share_begin_anew(struct share *share);

// By what a shared rate is spread: bits, or packets if it has no bits.
static inline const struct rate_bucket *share_bucket(const struct share_view *view)
{
	return view->limit.bits.cost ? &view->limit.bits : &view->limit.packets;
}

// How much more the member may send before it is too far ahead, in ticks of share_bucket; negative:
// nothing, somebody else comes first. Worker.
int64_t share_room(const struct share_ref *ref, uint64_t tsc);
// Charges what has gone. Worker.
void share_charge(const struct share_ref *ref, uint64_t tsc, uint64_t bytes, uint64_t packets);
// It has something to send and nothing else holds it back, until `again`, when it comes back to
// look. Worker.
void share_wait(const struct share_ref *ref, uint64_t tsc, uint64_t again);
// Something else holds it back, or it has nothing to send any more. Worker.
void share_yield(const struct share_ref *ref);

#endif

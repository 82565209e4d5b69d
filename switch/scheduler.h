// SPDX-License-Identifier: BSD-3-Clause
// In which order packets that wait for a VM go on, and which of them are lost where too many wait.
//
// A scheduler is one struct of functions, after the Linux kernel's Qdisc_ops. To add one: write its
// file, and enter it in scheduler.c. It knows of a packet what stands in struct queued, and of time
// what it is told: no clock, no ring, no DPDK. So it is tested in a time that the tests make.
//
// Life cycle: made and freed by the main thread, used between by whoever holds the to-vm queue's
// lock, one thread at a time. It owns what waits, until that is dequeued or lost.
#ifndef WEIR_SWITCH_SCHEDULER_H
#define WEIR_SWITCH_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/drop.h"

enum {
	SCHEDULER_CLASSES = 8
};

// One packet that waits: the first part of whatever holds it.
struct queued {
	struct queued *next;          // in the scheduler's own lists, and in lists of lost ones
	struct queued *older, *newer; // all that wait, as they came
	uint64_t since;               // when it came, in cycles
	uint32_t bytes;   // as rates count: of a TSO frame with all its segments' headers
	uint32_t packets; // likewise
	uint32_t buffers; // of the pool, that it takes
	uint32_t flow;    // keyed hash of its flow
	uint8_t *ip;      // its IP header, which may be marked; NULL: it has none
	uint8_t is_ipv6;
	uint8_t class; // below SCHEDULER_CLASSES; higher ones are more urgent
	uint8_t drop;  // enum drop_reason, once it is lost
	bool refused;  // the queue's own
};

struct scheduler_settings {
	uint64_t limit;   // bytes that may wait; one packet always may
	uint32_t quantum; // SCHEDULER_DRR, _FQ_CODEL: bytes of one turn: a frame of the MTU
	bool ecn;         // SCHEDULER_FQ_CODEL, as what follows
	uint64_t target, interval; // cycles
};

struct scheduler_stats {
	uint64_t packets, bytes, buffers; // that wait now
	uint64_t marks;                   // running total
};

struct scheduler;

struct scheduler_ops {
	size_t size;       // of its own struct, which begins with struct scheduler
	bool sheds_newest; // beyond the limit it is always the newcomer that is lost
	// Takes what it needs from new settings, any time; NULL: it needs nothing.
	void (*change)(struct scheduler *scheduler, const struct scheduler_settings *settings);
	void (*enqueue)(struct scheduler *scheduler, struct queued *packet);
	// The next one to go; NULL: none waits. It may lose others on the way (scheduler_lose).
	struct queued *(*dequeue)(struct scheduler *scheduler, uint64_t now);
	// Too much waits: loses at least one, for this reason. Something waits.
	void (*shed)(struct scheduler *scheduler, enum drop_reason reason);
	// Forgets what waits, and becomes as new; also called first of all, in zeroed memory.
	void (*reset)(struct scheduler *scheduler);
	// Adds what it alone counts; NULL: nothing.
	void (*statistics)(const struct scheduler *scheduler, struct scheduler_stats *stats);
};

// What all schedulers have; kept by the functions below.
struct scheduler {
	const struct scheduler_ops *ops;
	struct queued *oldest, *newest; // all that wait
	struct queued *lost;            // by `next`, not yet taken by scheduler_take_lost
	uint64_t packets, bytes, buffers;
	uint64_t ahead; // bytes that were dequeued and have not gone: they count to the limit, too
	uint64_t limit;
	struct scheduler *next_retired; // main thread's
};

extern const struct scheduler_ops scheduler_fifo, scheduler_prio, scheduler_drr, scheduler_fq_codel;

// NULL: no memory. Main thread.
struct scheduler *scheduler_new(
	enum config_scheduler kind, const struct scheduler_settings *settings);
// Of one that holds nothing. Main thread.
void scheduler_free(struct scheduler *scheduler);

// Other settings while packets wait. What is beyond a lower limit stays, and newcomers are lost
// until there is room again.
void scheduler_change(struct scheduler *scheduler, const struct scheduler_settings *settings);

// Takes a packet, with all fields set but next, older, newer and drop. It, or others, are lost if
// more waits than the limit, or than so many buffers.
void scheduler_enqueue(struct scheduler *scheduler, struct queued *packet, uint64_t buffers_max);
// Loses packets until what waits takes no more buffers, or is a single one.
void scheduler_shed(struct scheduler *scheduler, uint64_t buffers_max);
// The next one; NULL: none waits any more. Others may be lost. now: in cycles, like `since`.
struct queued *scheduler_dequeue(struct scheduler *scheduler, uint64_t now);
// Takes over all that waits in another one, as it came, which is the order of each flow, and
// whatever the limit.
void scheduler_move(struct scheduler *to, struct scheduler *from);
// What was lost since the last call, by `next`, each with its reason; it is the caller's now.
struct queued *scheduler_take_lost(struct scheduler *scheduler);
void scheduler_statistics(const struct scheduler *scheduler, struct scheduler_stats *stats);

// For schedulers: this one, which is in none of its lists any more, is lost.
void scheduler_lose(struct scheduler *scheduler, struct queued *packet, enum drop_reason reason);

#endif

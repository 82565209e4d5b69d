// SPDX-License-Identifier: BSD-3-Clause
// What waits for a VM with rate.to-vm. As long as nothing waits and the rate is not in debt,
// packets go straight into its rings; else they are held (switch/hold.h) and ordered by a
// scheduler, from where the port's owner, the worker of its first queue, takes them when they are
// due. What the receiver's full ring refuses stays ready, and is not lost.
//
// Life cycle: made when a port first gets a rate, freed with the port (switch/queue_apply.c). When
// the rate goes, the queue stays, without a limit, so that what waits is not overtaken.
// Synchronisation: `scheduler` and all that it holds belong to whoever has the queue's lock, which
// is taken once per burst, by workers only, and never with a ring's lock. `ready` is the owner's,
// and is filled anew when all of it has gone. `held` counts both: as long as it is not 0 nothing
// goes past what waits, so no flow changes its order. Whoever raises it from 0 tells the owner
// (switch/queue_inbox.h). What is ready counts to the limit, and to the share of the pool, too.
#ifndef WEIR_SWITCH_QUEUE_H
#define WEIR_SWITCH_QUEUE_H

#include <stdatomic.h>

#include "base/packet.h"
#include "switch/rate.h"
#include "switch/scheduler.h"

enum {
	// A queue that waits for its rate is looked at no sooner than after so long: frames go in
	// bursts, and the worker can sleep in between.
	QUEUE_LOOK_US = 50,
	// And no later than after so long: others may need the buffers that it holds.
	QUEUE_LOOK_MAX_US = 10000,
	// A full ring is looked at again after this time, and then after twice of it, at last each
	// QUEUE_FULL_MAX_US: a guest does not say that it has read.
	QUEUE_FULL_US = 20,
	QUEUE_FULL_MAX_US = 1000,
	// A frame is too long for a ring whose driver has had time for more buffers, and gave none.
	QUEUE_STUCK_US = 100000,
	// No more is made ready once it takes so many buffers: of frames of 64 KiB two.
	QUEUE_READY_BUFFERS = 64,
	// What may wait by default: so much time at the rate, within bounds. Below the lower one
	// TCP with TSO, of which one frame counts as 68 KB, could hardly send more than one at a
	// time.
	QUEUE_MS = 100,
	QUEUE_MIN_BYTES = 256 << 10,
	QUEUE_MAX_BYTES = 4 << 20,
};

struct hold_pool;
struct worker;

// The lasting half of a port's. Zeroed but for what is set before it is published, it is new.
struct to_vm_queue {
	// Set when it is made.
	struct hold_pool *pool;
	struct worker *owner;
	// All workers'.
	struct rate rate __attribute__((aligned(64)));
	_Atomic uint32_t held; // packets, as rates count: a TSO frame as its segments
	_Atomic uint64_t held_bytes;
	_Atomic uint64_t receiver_at; // TSC: when its full ring last refused packets
	_Atomic uint64_t rate_at;     // TSC: when packets last waited for the rate
	atomic_bool locked;
	// Under the lock; readers may look at what is atomic.
	struct scheduler *_Atomic scheduler;
	uint64_t marks_before; // by schedulers that are gone
	_Atomic uint64_t marks;
	_Atomic uint64_t oldest_since; // of what the scheduler holds; 0: nothing
	// The owner's.
	uint64_t version __attribute__((aligned(64))); // of the settings in use
	uint64_t pause;                                // cycles to the next look at a full ring
	uint64_t stuck_since;                          // of the first one ready; 0: it is not
	uint16_t stuck_posted;
	_Atomic uint64_t ready_since;   // of the first one ready; 0: none is
	_Atomic uint32_t ready_buffers; // of the pool, that those take
	unsigned nready;
	struct queued *ready[BURST_MAX];
};

// The compiled half, in the snapshot.
struct queueing {
	struct to_vm_queue *queue; // NULL: it has never had a rate
	struct rate_limit limit;
	struct scheduler *scheduler;
	struct scheduler_settings settings;
	uint64_t version; // changes with scheduler and settings
	uint64_t us;      // cycles
	uint32_t number;  // among the queues of its owner
};

// What of config->queue_bytes and the like it comes to. Any thread.
void queue_settings(struct scheduler_settings *settings, const struct config_rate *config,
	uint16_t mtu, uint64_t tsc_hz);

// Whether nothing waits that a packet would overtake. Workers.
static inline bool queue_is_empty(const struct to_vm_queue *queue)
{
	return !atomic_load_explicit(&queue->held, memory_order_acquire);
}

// Whether a packet of so many bytes can find room behind `coming` others'; else it need not be
// copied to be lost. Workers.
static inline bool queue_has_room(const struct queueing *queueing, uint64_t coming, uint64_t bytes)
{
	const struct to_vm_queue *queue = queueing->queue;
	uint64_t held = atomic_load_explicit(&queue->held_bytes, memory_order_relaxed) + coming;
	return !queueing->scheduler->ops->sheds_newest || !held ||
	       held + bytes <= queueing->settings.limit;
}

// Takes n copies, whose `since` is set to tsc. buffers_max: of the pool, that this queue may hold.
// *lost: what was lost, by `next`, the caller's. True: the owner is to be told. Workers.
bool queue_add(struct to_vm_queue *queue, struct queued *const *packets, unsigned n, uint64_t tsc,
	uint64_t buffers_max, struct queued **lost);

// Uses the settings of another version; nothing is lost by that. Owner.
void queue_change(struct to_vm_queue *queue, const struct queueing *queueing);

// If nothing is ready, makes ready what is due, up to a burst; charges it. Loses what is beyond
// buffers_max by now. *lost: as above. Owner.
void queue_fetch(struct to_vm_queue *queue, const struct rate_limit *limit, uint64_t tsc,
	uint64_t buffers_max, struct queued **lost);

// The first one ready was refused by a ring that has buffers, so it is too few for it; posted: how
// many its driver has ever made available. True: it has not got any more for long, and the packet
// is not to keep the others waiting. Owner.
bool queue_is_stuck(struct to_vm_queue *queue, uint16_t posted, uint64_t us, uint64_t tsc);

// One that is ready has been tried, and its receiver's ring is full: only so much is left of it, as
// rates count. Owner.
void queue_refuse(
	struct to_vm_queue *queue, struct queued *packet, uint64_t bytes, uint64_t packets);

// Those that are ready have been tried: the refused ones stay, the others are put into `done`,
// which has room for BURST_MAX, and are the caller's. How many. Owner.
unsigned queue_settle(struct to_vm_queue *queue, struct queued **done);

// When to look next, after queue_fetch and queue_settle: 0 for the next round, UINT64_MAX when it
// is told to. Owner.
uint64_t queue_again(struct to_vm_queue *queue, const struct queueing *queueing, uint64_t tsc);

// All that waits, by `next`; *queue is as new then. No worker may see it any more. Main thread.
struct queued *queue_empty_out(struct to_vm_queue *queue);

#endif

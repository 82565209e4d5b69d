// SPDX-License-Identifier: BSD-3-Clause
// How a ring keeps the log of dirty pages (vhost/dirty_log.h). A burst writes to few pages often,
// and setting a bit that the VMM looks at costs an atomic access to a line of its CPU. So bits are
// gathered per burst and set once, behind the writes and before the used index.
//
// Only a ring whose port logs has one (ring->log); for any other each of the ring's functions tests
// that once. All functions are called by whoever uses the ring, behind the write that they are told
// of. A write beyond the log is the VMM's fault, and faults the ring; nothing is written there.
#ifndef WEIR_VHOST_RING_LOG_H
#define WEIR_VHOST_RING_LOG_H

#include "vhost/ring_private.h"

enum {
	RING_LOG_SLOTS = 64 // as many as `held` has bits
};

// Bits that are not set yet, gathered by the byte of the log that has them: that byte's number
// gives the slot, and whoever comes later sets what it finds there of another one.
struct ring_log {
	struct dirty_log *log;
	uint64_t used_addr; // guest address of the used ring, as the log has it
	uint64_t held;      // slots in use
	struct {
		uint64_t at; // byte of the log
		uint8_t bits;
	} slots[RING_LOG_SLOTS];
};

// len (at least 1) bytes at a guest address were written, or at an address of this process in one
// region of the guest's memory.
void ring_log_guest(struct ring *ring, uint64_t addr, uint64_t len);
void ring_log_host(struct ring *ring, const uint8_t *host, uint32_t len);

// Sets what was gathered. Before the used index is published.
void ring_log_flush(struct ring *ring);

// The used index and the entries from `from` to next_used were written: sets their bits.
void ring_log_used(struct ring *ring, uint16_t from);

// The flags of the used ring were written, or avail_event behind it: sets the bit.
void ring_log_event(struct ring *ring);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The last frame that was dropped at a port for one reason, and when: its first bytes, for people
// who ask why.
//
// Life cycle: lies in the port, zeroed: no frame yet. Writers are workers, several at once where
// they deliver to one port; readers are other threads. No locks; a sequence number that is odd
// while a writer is inside. A writer that finds one inside leaves its frame out, a reader that
// finds one inside, or a number that has changed, looks again. Bytes are stored as whole words,
// atomically, so that a reader's torn look is thrown away and is no race.
//
// Under a flood of drops a frame is stored only if the last one is DROP_SAMPLES_PER_S-th of a
// second old: what a flood costs is the look at `tsc`.
#ifndef WEIR_SWITCH_DROP_SAMPLE_H
#define WEIR_SWITCH_DROP_SAMPLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	DROP_SAMPLES_PER_S = 1000,
	// Ethernet, two VLAN tags, IPv6 and a neighbour solicitation with an option, in whole
	// words. With what stands beside it a sample fills two cache lines.
	DROP_HEADER_SIZE = 112,
	DROP_HEADER_WORDS = DROP_HEADER_SIZE / 8,
};

struct drop_sample {
	_Atomic uint64_t tsc; // when, on the writers' clock; 0: never
	_Atomic uint32_t seq; // odd: a writer is inside
	_Atomic uint32_t len;
	_Atomic uint64_t words[DROP_HEADER_WORDS];
};

// One read back.
struct drop_header {
	uint64_t tsc;
	uint32_t len; // bytes of the header that are known
	uint8_t bytes[DROP_HEADER_SIZE];
};

// Whether the last sample is at least `interval` old at `tsc`, both in cycles. Worker.
static inline bool drop_sample_due(
	const struct drop_sample *sample, uint64_t tsc, uint64_t interval)
{
	uint64_t last = atomic_load_explicit(&sample->tsc, memory_order_relaxed);
	// Another worker's clock may be ahead by a little.
	return (int64_t)(tsc - last) >= (int64_t)interval;
}

// Stores the first bytes of a frame of which `len` are there; nothing where another writer is
// inside. Worker.
static inline void drop_sample_put(
	struct drop_sample *sample, uint64_t tsc, const uint8_t *data, uint32_t len)
{
	uint32_t seq = atomic_load_explicit(&sample->seq, memory_order_relaxed);
	if (seq & 1 || !atomic_compare_exchange_strong_explicit(&sample->seq, &seq, seq + 1,
			       memory_order_acquire, memory_order_relaxed))
		return;
	atomic_thread_fence(memory_order_release);
	if (len > DROP_HEADER_SIZE)
		len = DROP_HEADER_SIZE;
	uint64_t words[DROP_HEADER_WORDS] = {0};
	memcpy(words, data, len);
	for (unsigned i = 0; i < DROP_HEADER_WORDS; i++)
		atomic_store_explicit(&sample->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&sample->len, len, memory_order_relaxed);
	atomic_store_explicit(&sample->tsc, tsc, memory_order_relaxed);
	atomic_store_explicit(&sample->seq, seq + 2, memory_order_release);
}

// False: there is none yet, or a writer did not let go in time. Any thread.
static inline bool drop_sample_get(const struct drop_sample *sample, struct drop_header *header)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		uint32_t seq = atomic_load_explicit(&sample->seq, memory_order_acquire);
		uint64_t words[DROP_HEADER_WORDS];
		for (unsigned i = 0; i < DROP_HEADER_WORDS; i++)
			words[i] = atomic_load_explicit(&sample->words[i], memory_order_relaxed);
		header->len = atomic_load_explicit(&sample->len, memory_order_relaxed);
		header->tsc = atomic_load_explicit(&sample->tsc, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (!(seq & 1) && seq == atomic_load_explicit(&sample->seq, memory_order_relaxed)) {
			memcpy(header->bytes, words, sizeof(header->bytes));
			return seq != 0;
		}
	}
	return false;
}

#endif

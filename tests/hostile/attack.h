// SPDX-License-Identifier: BSD-3-Clause
// One entry of a ring that is about to be spoiled, and the functions that do it.
#ifndef WEIR_TESTS_HOSTILE_ATTACK_H
#define WEIR_TESTS_HOSTILE_ATTACK_H

#include "tests/hostile/guest.h"
#include "tests/hostile/rng.h"

enum {
	// Sound entries around the spoiled one use the descriptors below.
	FIRST = 8,
	FRAME_SIZE_MAX = BUFFER_SIZE - VNET_SIZE
};

struct attack {
	struct guest *guest;
	struct queue *ring;
	struct rng *rng;
	uint16_t start;     // the ring's index before all entries of this attack
	uint16_t direction; // the flag that a sound descriptor has here: VRING_DESC_F_WRITE to-vm
	// What the mutation decides; as preset: descriptor FIRST, once, the index as it has to be.
	uint16_t head;
	unsigned times;
	bool index_given;
	uint16_t index;
};

typedef void mutate(struct attack *a);

// --- sound building blocks -----------------------------------------------------------------------

// Descriptor FIRST + i, with a frame in its buffer from-vm.
void attack_sound(struct attack *a, unsigned i);
void attack_desc(
	struct attack *a, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, unsigned next);
// Descriptor FIRST points to n entries of the indirect table, which are sound and chained.
void attack_table(struct attack *a, unsigned n);

// Frames of known protocols, all lengths and checksums right. Returns the length.
size_t frame_sound(struct rng *rng, uint8_t *frame, const uint8_t *source);

// --- mutations, by file --------------------------------------------------------------------------

mutate indirect_sound, indirect_across_regions, indirect_odd, indirect_giant, indirect_empty,
	indirect_nested, indirect_nested_later, indirect_outside, indirect_loop, indirect_next,
	indirect_next_beyond, indirect_too_long, indirect_is_ring, indirect_garbage;

mutate frame_noise, frame_broken, frame_short, frame_too_long, frame_group_source, header_noise,
	header_checksum, header_segmentation;

mutate race_address, race_length, race_chain, race_head, race_index, race_table, race_header;
// Whether the mutation at hand is one whose words are still being changed; ends that.
bool race_end(void);
void race_start_thread(void);

#endif

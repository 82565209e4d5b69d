// SPDX-License-Identifier: BSD-3-Clause
#ifndef WEIR_TESTS_HOSTILE_MUTATE_MESSAGE_H
#define WEIR_TESTS_HOSTILE_MUTATE_MESSAGE_H

#include "tests/hostile/guest.h"
#include "tests/hostile/rng.h"

// A mutation fills *m, whole. What it says of the guest's memory keeps to one rule: no ring address
// leads to a page that its file does not have, for that is run_truncations' part.
typedef void mutate_message(const struct guest *g, struct rng *rng, struct message *m);

struct message_mutation {
	const char *name;
	mutate_message *apply;
};

enum {
	MESSAGE_MUTATIONS = 37
};

const struct message_mutation *message_mutation(unsigned i);

// Some request as a good VMM would send it.
void message_sound(const struct guest *g, struct rng *rng, uint32_t request, struct message *m);
uint32_t message_any_request(struct rng *rng);

// --- descriptors of all kinds --------------------------------------------------------------------

void fds_open(void);
// One that stays open.
int fds_any(struct rng *rng);
// A pipe's end whose other end is closed already; both are gone after fds_close_passing.
int fds_passing(struct rng *rng);
void fds_close_passing(void);

// --- memory tables -------------------------------------------------------------------------------

mutate_message memory_overlaps, memory_same_user, memory_zero, memory_wraps, memory_huge,
	memory_offset, memory_unaligned, memory_counts, memory_unmappable, memory_garbage;

#endif

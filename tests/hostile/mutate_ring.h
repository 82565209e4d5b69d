// SPDX-License-Identifier: BSD-3-Clause
#ifndef WEIR_TESTS_HOSTILE_MUTATE_RING_H
#define WEIR_TESTS_HOSTILE_MUTATE_RING_H

#include "tests/hostile/attack.h"

enum {
	RING_MUTATIONS = 57
};

enum outcome {
	EITHER,
	STOPS,  // the switch takes nothing from the spoiled entry on
	GOES_ON // from-vm it takes the entry, whatever becomes of the frame
};

struct ring_mutation {
	const char *name;
	unsigned rings; // bit per ring that it is for
	enum outcome outcome;
	mutate *apply;
	const char *fault; // what the port says of it, where it must stop
};

const struct ring_mutation *ring_mutation(unsigned i);

#endif

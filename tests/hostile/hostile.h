// SPDX-License-Identifier: BSD-3-Clause
// weir-hostile plays a VMM and its guest that break the rules of vhost-user and of virtio rings, in
// ways that a seed decides. It speaks to a running switch through raw sockets and its own memory,
// and shares no code with the switch: what both misread would not be found.
//
// Life of a run: main.c opens the ports; run_rings.c or run_messages.c takes one mutation after the
// other from a table, applies it, sees that the switch goes on, and brings the port back.
// Everything runs on the main thread but `flip.c`, which changes words while the switch reads them.
#ifndef WEIR_TESTS_HOSTILE_HOSTILE_H
#define WEIR_TESTS_HOSTILE_HOSTILE_H

#include "tests/hostile/guest.h"
#include "tests/hostile/rng.h"

enum {
	RING_ANY = 2
};

struct options {
	const char *socket; // of the port that is mutated
	const char *beside; // of a port that sends to it, and shows that the switch goes on
	bool connects;      // the switch listens at both
	uint64_t seed;
	const char *only;                      // the one mutation; NULL: any
	uint64_t from;                         // the first mutation's number
	uint64_t rings, messages, truncations; // how many
	uint64_t ring; // the one ring to mutate, TO_VM or FROM_VM; or RING_ANY
	bool hold;     // leave the last mutation's fault as it is until standard input ends
	bool quiet;    // no line of progress
};

struct count {
	const char *name;
	uint64_t done;
	uint64_t refused; // the ring stopped; the message was answered with an error or a closed
			  // socket
};

// Each runs the mutations that the options ask for and counts them in counts[]; the number of
// entries. Fails by ending the program (fail).
unsigned run_rings(const struct options *o, struct guest *enemy, struct guest *beside,
	const struct count **counts);
unsigned run_messages(const struct options *o, struct guest *enemy, const struct count **counts);
unsigned run_truncations(const struct options *o, struct guest *enemy, struct guest *beside,
	const struct count **counts);

// The ring mutations, for --list: the name; the fault it must end in, or NULL; whether it is for
// this ring. False behind the last one.
bool ring_mutation_at(unsigned i, unsigned ring, const char **name, const char **fault, bool *fits);
bool message_mutation_known(const char *name);

#endif

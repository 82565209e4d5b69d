// SPDX-License-Identifier: BSD-3-Clause
// The keys of a burst's packets, by which their connections are found.
#ifndef WEIR_SWITCH_KEYS_H
#define WEIR_SWITCH_KEYS_H

#include "switch/pipeline.h"

// The packets that have a key, beside pass->keys. Behind those, from its end on, stand the keys of
// fragments to groups, which are not looked up.
struct keyed {
	unsigned count, to_groups;
	struct packet *packets[BURST_MAX];
};

// Makes them, of all packets without a verdict. Those that have none are PACKET_UNDECIDED; of
// fragments, some get their verdict here. Worker.
void keys_make(struct pass *pass, struct keyed *keyed);
// found[i]: the entry of keyed->packets[i], or 0. Worker.
void keys_find(struct pass *pass, const struct keyed *keyed, uint32_t found[BURST_MAX]);

#endif

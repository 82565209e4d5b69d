// SPDX-License-Identifier: BSD-3-Clause
// Network functions: what comes to one of their ports goes out at its partner, or where it came if
// they are one-armed, unchanged and from the buffer that it came in. They read the head of each
// frame, as all do that decide anything. Load thread only.
#ifndef WEIR_BENCH_RELAY_H
#define WEIR_BENCH_RELAY_H

#include <stdint.h>

#include "bench/load/load.h"

// Whether visits are kept from now on. 0 or -ENOMEM.
int relay_start(const struct load_plan *plan);
// One round over all their ports. The frames moved.
unsigned relay_round(void);
// For each flow a bit for each network function that it has visited since the last time, by its
// place among them; none where they are not kept. They stay as they are until the next time.
const uint32_t *relay_take_visits(uint32_t *count);
void relay_end(void);

#endif

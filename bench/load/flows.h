// SPDX-License-Identifier: BSD-3-Clause
// In which order flows are sent. Neighbours in time must not be neighbours in memory, or a cache
// would look better than it is: the order is scattered, and the same on each run.
#ifndef WEIR_BENCH_FLOWS_H
#define WEIR_BENCH_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FLOWS_MAX = 1 << 20
};

struct flows {
	uint32_t *order; // flow numbers; walked from its start to its end, again and again
	uint32_t length;
};

// Round robin: each of `count` flows once per cycle. Zipf: FLOWS_MAX draws by Zipf's law with
// exponent 1, in which the k-th most frequent flow is any number. 0; -EINVAL for a count outside
// 1…FLOWS_MAX; -ENOMEM. Any thread.
int flows_init(struct flows *flows, uint32_t count, bool zipf);
void flows_fini(struct flows *flows);

#endif

// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/flows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

// xorshift64* (Vigna): only has to scatter, and to do so alike everywhere.
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static uint32_t random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((random_next(state) >> 32) * n >> 32);
}

static void shuffled(uint32_t *numbers, uint32_t count, uint64_t *state)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = random_below(state, i + 1);
		numbers[i] = numbers[j];
		numbers[j] = i;
	}
}

// The rank of a share of all draws: the first whose cumulated weight reaches it.
static uint32_t rank_of(const double *cumulated, uint32_t count, double share)
{
	uint32_t low = 0, high = count - 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (cumulated[middle] < share)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int draw_zipf(struct flows *flows, uint32_t count, uint64_t *state)
{
	uint32_t *flow_of = calloc(count, sizeof(*flow_of));
	double *cumulated = calloc(count, sizeof(*cumulated));
	int rc = -ENOMEM;
	if (!flow_of || !cumulated)
		goto out;
	shuffled(flow_of, count, state);
	double total = 0;
	for (uint32_t k = 0; k < count; k++)
		cumulated[k] = total += 1.0 / (k + 1);
	for (uint32_t i = 0; i < flows->length; i++) {
		double share = ldexp((double)(random_next(state) >> 11), -53) * total;
		flows->order[i] = flow_of[rank_of(cumulated, count, share)];
	}
	rc = 0;
out:
	free(cumulated);
	free(flow_of);
	return rc;
}

int flows_init(struct flows *flows, uint32_t count, bool zipf)
{
	uint64_t state = 0x9e3779b97f4a7c15;
	*flows = (struct flows){0};
	if (!count || count > FLOWS_MAX)
		return -EINVAL;
	flows->length = zipf ? FLOWS_MAX : count;
	flows->order = calloc(flows->length, sizeof(*flows->order));
	if (!flows->order)
		return -ENOMEM;
	if (!zipf) {
		shuffled(flows->order, count, &state);
		return 0;
	}
	int rc = draw_zipf(flows, count, &state);
	if (rc)
		flows_fini(flows);
	return rc;
}

void flows_fini(struct flows *flows)
{
	free(flows->order);
	flows->order = NULL;
}

// SPDX-License-Identifier: BSD-3-Clause
// Memory tables that make no sense.
#include <string.h>

#include "tests/hostile/mutate_message.h"

// Where no ring address leads.
#define ELSEWHERE (1ull << 63)

void memory_overlaps(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	m->memory.regions[1].guest_addr = GUEST_BASE + rng_below(rng, MAIN_BYTES);
	m->memory.regions[2].guest_addr = GUEST_BASE - rng_below(rng, SIDE_BYTES);
}

// One address of the VMM's, two places.
void memory_same_user(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	for (unsigned i = 0; i < 3; i++)
		m->memory.regions[i].user_addr = USER_BASE;
	if (rng_one_in(rng, 2)) {
		struct region first = m->memory.regions[0];
		m->memory.regions[0] = m->memory.regions[2];
		m->memory.regions[2] = first;
	}
}

void memory_zero(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	m->memory.regions[rng_below(rng, 3)].size = 0;
}

void memory_wraps(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	struct region *r = &m->memory.regions[1 + rng_below(rng, 2)];
	if (rng_one_in(rng, 2))
		r->guest_addr = -(uint64_t)rng_below(rng, SIDE_BYTES);
	else
		r->user_addr = -(uint64_t)rng_below(rng, SIDE_BYTES);
}

void memory_huge(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	struct region *r = &m->memory.regions[2];
	r->size = 1ull << (30 + rng_below(rng, 34));
	r->user_addr = ELSEWHERE | rng_next(rng) >> 20;
}

void memory_offset(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	struct region *r = &m->memory.regions[rng_below(rng, 3)];
	r->user_addr |= ELSEWHERE;
	r->offset = rng_edge(rng);
}

void memory_unaligned(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	struct region *r = &m->memory.regions[0];
	r->offset = 1 + rng_below(rng, 4095);
	r->size -= rng_below(rng, 5000);
}

// More or fewer regions than there are descriptors, or than there may be.
void memory_counts(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t odd[] = {0, 9, 16, 255, 0x7fffffff, 0xffffffff};
	guest_say_memory(g, m);
	for (unsigned i = 3; i < REGIONS_MAX; i++)
		m->memory.regions[i] = (struct region){
			ELSEWHERE + i * (1ull << 32), SIDE_BYTES, ELSEWHERE + i * (1ull << 32), 0};
	m->memory.nregions = rng_one_in(rng, 2) ? odd[rng_below(rng, 6)] : rng_below(rng, 9);
	m->nfds = (int)rng_below(rng, 10);
	for (int i = 0; i < m->nfds; i++)
		m->fds[i] = g->memory_fd;
	m->size = 8 + REGIONS_MAX * (uint32_t)sizeof(struct region);
}

void memory_unmappable(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	// A table that is as the last one is not looked at.
	m->memory.regions[0].size -= 4096;
	m->fds[rng_below(rng, 3)] = rng_one_in(rng, 2) ? fds_passing(rng) : fds_any(rng);
	for (unsigned i = 0; i < 3; i++)
		if (m->fds[i] != g->memory_fd)
			m->memory.regions[i].user_addr |= ELSEWHERE;
}

void memory_garbage(const struct guest *g, struct rng *rng, struct message *m)
{
	guest_say_memory(g, m);
	for (unsigned i = 0; i < 3; i++)
		m->memory.regions[i] = (struct region){
			rng_edge(rng), rng_edge(rng), ELSEWHERE | rng_next(rng), rng_edge(rng)};
}

// SPDX-License-Identifier: BSD-3-Clause
// Mutations of indirect tables (virtio 1.2, 2.7.5.3). Where the feature was not negotiated, each of
// them is one more thing that the switch has to refuse.
#include <string.h>

#include "tests/hostile/attack.h"

static uint64_t table_addr(const struct attack *a)
{
	return GUEST_BASE + a->ring->place + TABLE_AT;
}

static void table_desc(struct attack *a, unsigned i, uint32_t len, uint16_t flags, unsigned next)
{
	a->ring->table[i] = (struct vring_desc){.addr = buffer_addr(a->ring->index, FIRST + i),
		.len = len,
		.flags = a->direction | flags,
		.next = (uint16_t)next};
}

void attack_table(struct attack *a, unsigned n)
{
	attack_sound(a, 0);
	for (unsigned i = 0; i < n; i++)
		table_desc(a, i, 32, i + 1 < n ? VRING_DESC_F_NEXT : 0, i + 1);
	attack_desc(a, 0, table_addr(a), 16 * n, VRING_DESC_F_INDIRECT, 0);
}

void indirect_sound(struct attack *a)
{
	attack_table(a, 2 + rng_below(a->rng, 60));
}

void indirect_across_regions(struct attack *a)
{
	enum {
		BEFORE = 24
	}; // bytes of the table in the first region: one descriptor and a half
	attack_table(a, 8);
	memcpy(a->guest->memory + MAIN_BYTES - BEFORE, a->ring->table,
		8 * sizeof(struct vring_desc));
	a->ring->desc[FIRST].addr = NEXT_BASE - BEFORE;
}

void indirect_odd(struct attack *a)
{
	attack_table(a, 4);
	a->ring->desc[FIRST].len += 1 + rng_below(a->rng, 15);
}

void indirect_giant(struct attack *a)
{
	attack_table(a, 4);
	a->ring->desc[FIRST].len = 0xfffffff0 - 16 * rng_below(a->rng, 1000);
}

void indirect_empty(struct attack *a)
{
	attack_table(a, 4);
	a->ring->desc[FIRST].len = 0;
}

void indirect_nested(struct attack *a)
{
	attack_table(a, 4);
	a->ring->table[0].flags = VRING_DESC_F_INDIRECT;
}

void indirect_nested_later(struct attack *a)
{
	attack_table(a, 4);
	a->ring->table[1 + rng_below(a->rng, 3)].flags |= VRING_DESC_F_INDIRECT;
}

void indirect_outside(struct attack *a)
{
	attack_table(a, 4);
	a->ring->desc[FIRST].addr = OUTSIDE + 16 * rng_below(a->rng, 1 << 16);
}

void indirect_loop(struct attack *a)
{
	unsigned n = 2 + rng_below(a->rng, 60);
	attack_table(a, n);
	a->ring->table[n - 1].flags |= VRING_DESC_F_NEXT;
	a->ring->table[n - 1].next = (uint16_t)rng_below(a->rng, n);
}

void indirect_next(struct attack *a)
{
	attack_table(a, 4);
	attack_sound(a, 1);
	a->ring->desc[FIRST].flags |= VRING_DESC_F_NEXT;
	a->ring->desc[FIRST].next = FIRST + 1;
}

void indirect_next_beyond(struct attack *a)
{
	attack_table(a, 4);
	a->ring->table[2].next = (uint16_t)(4 + rng_below(a->rng, 0xfff0));
}

void indirect_too_long(struct attack *a)
{
	attack_table(a, 1025 + rng_below(a->rng, TABLE_MAX - 1025));
}

void indirect_is_ring(struct attack *a)
{
	attack_table(a, 4);
	attack_desc(
		a, 0, GUEST_BASE + a->ring->place, 16u * a->ring->size, VRING_DESC_F_INDIRECT, 0);
}

void indirect_garbage(struct attack *a)
{
	unsigned n = 1 + rng_below(a->rng, 200);
	attack_table(a, n);
	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *d = &a->ring->table[i];
		d->addr = GUEST_BASE + rng_below(a->rng, FILE_BYTES);
		d->len = rng_below(a->rng, 3000);
		d->flags = a->direction | (rng_one_in(a->rng, 8) ? 0 : VRING_DESC_F_NEXT);
		d->next = (uint16_t)rng_below(a->rng, n + 1);
	}
}

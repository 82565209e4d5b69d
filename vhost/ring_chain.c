// SPDX-License-Identifier: BSD-3-Clause
// Chains of descriptors, as a guest laid them out: direct, or direct and then one indirect table
// (virtio 1.2, 2.7.5.3). Each descriptor is read once; loops end because descriptors are counted.
#include <string.h>

#include "vhost/ring_private.h"

// As long as the largest ring: no driver may build a longer chain (2.7.5.3.1).
enum {
	TABLE_MAX = 32768
};

void ring_remember_region(struct ring *ring, uint64_t addr)
{
	for (uint32_t i = 0; i < ring->mem->nregions; i++) {
		const struct memory_region *region = &ring->mem->regions[i];
		if (addr >= region->guest_addr && addr - region->guest_addr < region->size)
			ring->near = region;
	}
}

// The descriptor's memory, which regions of guest memory can cut into several pieces.
static enum ring_fault collect_memory(
	struct ring *ring, struct chain *chain, uint64_t addr, uint64_t len)
{
	uint64_t reach;
	uint8_t *host = ring_at(ring, addr, (uint32_t)len, &reach);
	if (likely(host)) {
		chain_collect(chain, host, len);
		return RING_OK;
	}
	if (addr + len < addr)
		return RING_FAULT_BAD_ADDRESS;
	while (len) {
		uint64_t run = len;
		host = memory_at(ring->mem, addr, &run);
		if (!host)
			return RING_FAULT_BAD_ADDRESS;
		chain_collect(chain, host, run);
		addr += run;
		len -= run;
	}
	return RING_OK;
}

// A descriptor of an indirect table; the table, even one descriptor, can span regions.
static bool read_indirect(const struct guest_memory *mem, uint64_t addr, struct vring_desc *desc)
{
	uint64_t run = sizeof(*desc);
	const uint8_t *host = memory_at(mem, addr, &run);
	if (likely(host && run == sizeof(*desc))) {
		*desc = guest_read_desc(host);
		return true;
	}
	for (uint64_t done = 0; done < sizeof(*desc); done += run) {
		run = sizeof(*desc) - done;
		host = memory_at(mem, addr + done, &run);
		if (!host)
			return false;
		memcpy((uint8_t *)desc + done, host, run);
	}
	// What was read stays read: the compiler may not go back to the guest's copy.
	__asm__ volatile("" ::: "memory");
	return true;
}

// The table that descriptors are read from: the ring's own, or one indirect table.
struct table {
	uint64_t addr; // guest address of the indirect one
	uint32_t size; // descriptors
	uint32_t seen; // read from it so far
	bool indirect;
};

static enum ring_fault enter_indirect(
	struct ring *ring, struct table *table, struct vring_desc *desc)
{
	// The WRITE flag of such a descriptor is to be ignored (2.7.5.3.2).
	uint32_t size = desc->len / sizeof(*desc);
	if (table->indirect || !ring->indirect || desc->flags & VRING_DESC_F_NEXT ||
		desc->len % sizeof(*desc) || !size || size > TABLE_MAX ||
		desc->addr + desc->len < desc->addr)
		return RING_FAULT_BAD_INDIRECT;
	*table = (struct table){.addr = desc->addr, .size = size, .seen = 1, .indirect = true};
	if (!read_indirect(ring->mem, table->addr, desc))
		return RING_FAULT_BAD_ADDRESS;
	return desc->flags & VRING_DESC_F_INDIRECT ? RING_FAULT_BAD_INDIRECT : RING_OK;
}

static enum ring_fault follow_next(struct ring *ring, struct table *table, struct vring_desc *desc)
{
	uint16_t next = desc->next;
	if (next >= table->size)
		return table->indirect ? RING_FAULT_BAD_INDIRECT : RING_FAULT_BAD_HEAD;
	if (table->seen++ >= table->size)
		return RING_FAULT_LOOP;
	if (!table->indirect)
		*desc = guest_read_desc(&ring->desc[next]);
	else if (!read_indirect(ring->mem, table->addr + next * sizeof(*desc), desc))
		return RING_FAULT_BAD_ADDRESS;
	return RING_OK;
}

enum ring_fault chain_walk(struct ring *ring, struct vring_desc desc, struct chain *chain)
{
	struct table table = {.size = ring->size, .seen = 1};
	enum ring_fault fault;
	for (unsigned n = 0; n < CHAIN_MAX; n++) {
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			fault = enter_indirect(ring, &table, &desc);
			if (fault)
				return fault;
		}
		if ((desc.flags & VRING_DESC_F_WRITE) != chain->direction)
			return RING_FAULT_BAD_DIRECTION;
		if (!desc.len)
			return RING_FAULT_BAD_LENGTH;
		fault = collect_memory(ring, chain, desc.addr, desc.len);
		if (fault)
			return fault;
		if (chain->full)
			return RING_OK;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return RING_OK;
		fault = follow_next(ring, &table, &desc);
		if (fault)
			return fault;
	}
	return RING_FAULT_CHAIN_TOO_LONG;
}

// SPDX-License-Identifier: BSD-3-Clause
// A guest's memory as mapped into this process: an immutable copy of the vhost-user memory table.
#ifndef WEIR_VHOST_MEMORY_H
#define WEIR_VHOST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MEMORY_REGIONS_MAX = 8
}; // VHOST_MEMORY_MAX_NREGIONS of the vhost library

struct memory_region {
	uint64_t guest_addr; // guest physical
	uint64_t size;       // bytes
	uint8_t *host;
};

struct guest_memory {
	uint32_t nregions;
	struct memory_region regions[MEMORY_REGIONS_MAX];
	// The VMM has taken some of it away: what is read there is zero and what is written is
	// lost. Set by vhost/bus_error.c, once and for all.
	_Atomic bool gone;
};

// The host address of guest_addr, and in *len (in: wanted, out: available, at least 1) how many of
// the bytes are contiguous there. NULL with *len 0 if the address is in no region. Never wraps.
// Any thread; the result lives as long as the memory table.
static inline uint8_t *memory_at(const struct guest_memory *mem, uint64_t guest_addr, uint64_t *len)
{
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const struct memory_region *r = &mem->regions[i];
		uint64_t off = guest_addr - r->guest_addr;
		if (guest_addr >= r->guest_addr && off < r->size) {
			if (*len > r->size - off)
				*len = r->size - off;
			return r->host + off;
		}
	}
	*len = 0;
	return NULL;
}

// The other way round: the guest address in *addr. False if host is in no region. Any thread.
static inline bool memory_guest_address(
	const struct guest_memory *mem, const void *host, uint64_t *addr)
{
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const struct memory_region *r = &mem->regions[i];
		uint64_t off = (uint64_t)((uintptr_t)host - (uintptr_t)r->host);
		if (off < r->size) {
			*addr = r->guest_addr + off;
			return true;
		}
	}
	return false;
}

#endif

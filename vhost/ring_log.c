// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/ring_log.h"

#include <stddef.h>

// By bytes, which are atomic wherever the VMM has the log begin. The bit must not be looked at
// first: the look could come before the write that the bit is for, and the VMM clear it in between.
static void set_bits(struct ring_log *l, unsigned slot)
{
	__atomic_fetch_or(&l->log->bits[l->slots[slot].at], l->slots[slot].bits, __ATOMIC_SEQ_CST);
}

static void gather(struct ring_log *l, uint64_t at, uint8_t bits)
{
	unsigned slot = at % RING_LOG_SLOTS;
	bool held = l->held >> slot & 1;
	if (held && l->slots[slot].at == at) {
		l->slots[slot].bits |= bits;
		return;
	}
	if (held)
		set_bits(l, slot);
	l->slots[slot].at = at;
	l->slots[slot].bits = bits;
	l->held |= 1ull << slot;
}

void ring_log_guest(struct ring *ring, uint64_t addr, uint64_t len)
{
	struct ring_log *l = ring->log;
	uint64_t first = addr / DIRTY_PAGE, last = (addr + len - 1) / DIRTY_PAGE;
	if (unlikely(addr + len - 1 < addr || last / 8 >= l->log->size)) {
		ring_set_fault(ring, RING_FAULT_LOG_TOO_SMALL);
		return;
	}
	for (uint64_t page = first; page <= last; page++)
		gather(l, page / 8, (uint8_t)(1u << page % 8));
}

void ring_log_host(struct ring *ring, const uint8_t *host, uint32_t len)
{
	uint64_t addr;
	if (memory_guest_address(ring->mem, host, &addr))
		ring_log_guest(ring, addr, len);
}

void ring_log_flush(struct ring *ring)
{
	struct ring_log *l = ring->log;
	for (; l->held; l->held &= l->held - 1)
		set_bits(l, (unsigned)__builtin_ctzll(l->held));
	if (unlikely(atomic_load_explicit(&l->log->gone, memory_order_relaxed)))
		ring_set_fault(ring, RING_FAULT_MEMORY_GONE);
}

static void note_entries(struct ring *ring, unsigned first, unsigned n)
{
	ring_log_guest(ring,
		ring->log->used_addr + offsetof(struct vring_used, ring) +
			first * sizeof(struct vring_used_elem),
		n * sizeof(struct vring_used_elem));
}

void ring_log_used(struct ring *ring, uint16_t from)
{
	unsigned n = (uint16_t)(ring->next_used - from), first = from & ring->mask;
	unsigned to_end = ring->size - first;
	ring_log_guest(ring, ring->log->used_addr + offsetof(struct vring_used, idx),
		sizeof(ring->used->idx));
	note_entries(ring, first, n < to_end ? n : to_end);
	if (n > to_end)
		note_entries(ring, 0, n - to_end);
	ring_log_flush(ring);
}

void ring_log_event(struct ring *ring)
{
	uint64_t at = ring->event_idx ? offsetof(struct vring_used, ring) +
						ring->size * sizeof(struct vring_used_elem)
				      : offsetof(struct vring_used, flags);
	ring_log_guest(ring, ring->log->used_addr + at, sizeof(uint16_t));
	ring_log_flush(ring);
}

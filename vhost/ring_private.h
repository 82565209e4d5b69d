// SPDX-License-Identifier: BSD-3-Clause
// What the files of the ring share: reading what a guest can write, exactly once, and walking
// chains of descriptors.
//
// The guest can change its memory between any two of our reads. So an index, a descriptor or a
// header is loaded by a volatile or atomic access into a private variable, and only that variable
// is looked at afterwards. Payload is copied, never looked at.
#ifndef WEIR_VHOST_RING_PRIVATE_H
#define WEIR_VHOST_RING_PRIVATE_H

#include <stdatomic.h>

#include "base/likely.h"
#include "vhost/ring.h"

enum {
	// Entries that can have been read ahead; a power of two, more than two bursts need.
	AHEAD_MAX = 2 * BURST_MAX,
	// Without a hint from ring_put_begin, so many buffers are looked at ahead.
	LOOK_AHEAD = 16,
};

// An entry that the driver has made available, read once. Each ring has AHEAD_MAX of them, which a
// worker of many ports finds in no cache but the second: four are to lie in a line.
struct ring_buffer {
	// Of the chain's first descriptor, if it is the whole chain, sound, and in one region;
	// from-vm, only if that goes on for a full stash. NULL: the chain has to be walked.
	uint8_t *host;
	uint32_t len;
	uint16_t head; // may lie beyond the ring: then there is no descriptor
};

_Static_assert(sizeof(struct ring_buffer) == 16, "four in a line");

// What a ring keeps of the next entries.
struct ring_ahead {
	struct ring_buffer buffers[AHEAD_MAX];
	struct vring_desc descs[AHEAD_MAX]; // the chain's first, where it has to be walked
};

// Words of guest memory at any alignment, read by one access.
struct guest_u64 {
	uint64_t value;
} __attribute__((packed, may_alias));

struct guest_u16 {
	uint16_t value;
} __attribute__((packed, may_alias));

static inline uint16_t guest_read_u16(const void *at)
{
	return ((const volatile struct guest_u16 *)at)->value;
}

static inline uint64_t guest_read_u64(const void *at)
{
	return ((const volatile struct guest_u64 *)at)->value;
}

static inline struct vring_desc guest_read_desc(const void *at)
{
	uint64_t addr = guest_read_u64(at);
	uint64_t rest = guest_read_u64((const uint8_t *)at + 8);
	return (struct vring_desc){.addr = addr,
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48)};
}

static inline uint16_t ring_read_head(const struct ring *ring, uint16_t index)
{
	return __atomic_load_n(&ring->avail->ring[index & ring->mask], __ATOMIC_RELAXED);
}

// By one store: a burst's stores must fit into what the CPU keeps of them.
static inline void write_used(struct vring_used_elem *at, uint32_t id, uint32_t len)
{
	((volatile struct guest_u64 *)at)->value = id | (uint64_t)len << 32;
}

static inline void ring_write_used(struct ring *ring, uint16_t index, uint32_t id, uint32_t len)
{
	write_used(&ring->used->ring[index & ring->mask], id, len);
}

static inline bool ring_ok(const struct ring *ring)
{
	return likely(atomic_load_explicit(&ring->fault, memory_order_relaxed) == RING_OK);
}

// Fetches a line of guest memory to write it. The driver's CPU owns it: a plain prefetch would get
// it shared and the store would ask for it again (measured: 35 cycles per small frame). A no-op
// where the CPU does not know it; the compiler's built-in gives it only to newer targets.
static inline void prefetch_to_write(const void *at)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
}

void ring_set_fault(struct ring *ring, enum ring_fault fault);

// How many entries are available; the driver's index is read again if fewer than want were known.
// 0 after a fault.
unsigned ring_available(struct ring *ring, unsigned want);

// Gives the driver the used index; what it asked for is looked at later.
void ring_publish(struct ring *ring, struct ring_signals *signals);

// --- reading ahead -------------------------------------------------------------------------------

static inline struct ring_buffer *ring_ahead_at(const struct ring *ring, uint16_t index)
{
	return &ring->ahead->buffers[index % AHEAD_MAX];
}

// Of a buffer that has to be walked.
static inline struct vring_desc ring_ahead_desc(
	const struct ring *ring, const struct ring_buffer *buffer)
{
	return ring->ahead->descs[buffer - ring->ahead->buffers];
}

// How many entries from `index` on are read ahead.
static inline unsigned ring_ahead_known(const struct ring *ring, uint16_t index)
{
	uint16_t known = ring->ahead_end - index;
	return likely(known <= AHEAD_MAX) ? known : 0;
}

// Reads the n (≤ AHEAD_MAX) available entries from index `from` on, and prefetches what they name.
void ring_ahead_from_vm(struct ring *ring, uint16_t from, unsigned n);
void ring_ahead_to_vm(struct ring *ring, uint16_t from, unsigned n);

// Fetches the lines of the n next used entries to write them.
static inline void ring_fetch_used(const struct ring *ring, unsigned n)
{
	const unsigned per_line = 64 / sizeof(struct vring_used_elem);
	for (unsigned i = 0; i < n + per_line - 1; i += per_line)
		prefetch_to_write(&ring->used->ring[(ring->next_used + i) & ring->mask]);
}

// Makes the region of addr, if there is one, the near one: the next buffers are likely there too.
void ring_remember_region(struct ring *ring, uint64_t addr);

// The host address of len bytes if the near region has them all, and in *reach how many bytes it
// has from there on. NULL otherwise.
static inline uint8_t *ring_near(
	const struct ring *ring, uint64_t addr, uint32_t len, uint64_t *reach)
{
	const struct memory_region *near = ring->near;
	uint64_t off = addr - near->guest_addr;
	if (unlikely(off >= near->size || near->size - off < len))
		return NULL;
	*reach = near->size - off;
	return near->host + off;
}

// The same for any one region.
static inline uint8_t *ring_at(struct ring *ring, uint64_t addr, uint32_t len, uint64_t *reach)
{
	uint8_t *host = ring_near(ring, addr, len, reach);
	if (likely(host))
		return host;
	ring_remember_region(ring, addr);
	return ring_near(ring, addr, len, reach);
}

// Where a chain's memory is collected.
struct chain {
	struct segment *segments;
	uint32_t room;      // free entries at segments
	uint32_t count;     // used ones
	uint32_t want;      // collect no more than so many bytes
	uint32_t gathered;  // bytes in segments
	uint64_t bytes;     // of the whole chain
	uint16_t direction; // 0 or VRING_DESC_F_WRITE: what each descriptor must have
	bool full;          // room did not suffice; the chain was not walked to its end
};

// Adds a run of the chain's memory, as far as it is wanted.
static inline void chain_collect(struct chain *chain, const uint8_t *host, uint64_t len)
{
	chain->bytes += len;
	uint32_t open = chain->want - chain->gathered;
	if (!open)
		return;
	if (unlikely(chain->count == chain->room)) {
		chain->full = true;
		return;
	}
	if (len > open)
		len = open;
	chain->segments[chain->count++] = (struct segment){.base = host, .len = (uint32_t)len};
	chain->gathered += (uint32_t)len;
}

// Walks the chain that begins with the descriptor `first` to its end, and collects the memory of
// its first `want` bytes. RING_OK or what is wrong with it.
enum ring_fault chain_walk(struct ring *ring, struct vring_desc first, struct chain *chain);

#endif

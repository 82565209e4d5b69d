// SPDX-License-Identifier: BSD-3-Clause
// Reading ahead. Heads, descriptors and buffers lie in lines that the driver's CPU has just
// written, and fetching one takes longer than handling a small frame. So available entries are read
// into private memory, and what they name is prefetched, a burst before it is needed: while one
// burst is handled, the lines of the next are on their way.
//
// A descriptor that is available is the device's, so nothing is lost by reading it early; it is
// still read once.
#include "vhost/ring_private.h"

enum {
	LINE = 64,
	// A chain of one descriptor has no flag but its direction.
	FLAGS = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT
};

// What the loops below need of the ring, so that the compiler need not load it again after each
// look at guest memory.
struct view {
	const struct vring_desc *desc;
	struct ring_ahead *ahead;
	struct memory_region near;
	uint16_t size;
	uint16_t heads[AHEAD_MAX];
};

// Most drivers go around their descriptors: the next ones are fetched while the heads that name
// them are still on their way.
static inline void fetch_guessed(const struct ring *ring, unsigned n)
{
	const unsigned per_line = LINE / sizeof(struct vring_desc);
	for (unsigned i = 0; i < n; i += per_line)
		__builtin_prefetch(&ring->desc[(ring->next_head + i) & ring->mask]);
}

// First pass: the heads; their descriptors are prefetched.
static inline void read_heads(const struct ring *ring, struct view *v, uint16_t from, unsigned n)
{
	const uint16_t *entries = ring->avail->ring;
	const uint16_t mask = ring->mask;
	v->desc = ring->desc;
	v->ahead = ring->ahead;
	v->near = *ring->near;
	v->size = ring->size;
	for (unsigned i = 0; i < n; i++) {
		uint16_t head = __atomic_load_n(&entries[(from + i) & mask], __ATOMIC_RELAXED);
		v->heads[i] = head;
		if (likely(head < v->size))
			__builtin_prefetch(&v->desc[head]);
	}
}

// The host address of len bytes that lie in one region, most likely in the one at hand; or NULL.
static inline uint8_t *host_of(struct ring *ring, struct view *v, uint64_t addr, uint32_t len)
{
	uint64_t off = addr - v->near.guest_addr;
	if (unlikely(off >= v->near.size || v->near.size - off < len)) {
		ring_remember_region(ring, addr);
		v->near = *ring->near;
		off = addr - v->near.guest_addr;
		if (off >= v->near.size || v->near.size - off < len)
			return NULL;
	}
	return v->near.host + off;
}

// Of a head that lies beyond the ring, zeros: no length and no direction.
static inline struct vring_desc read_desc(const struct view *v, uint16_t head)
{
	return likely(head < v->size) ? guest_read_desc(&v->desc[head]) : (struct vring_desc){0};
}

// Has to be walked, or has no descriptor.
static inline void keep_desc(
	const struct view *v, unsigned at, uint16_t head, struct vring_desc desc)
{
	v->ahead->buffers[at] = (struct ring_buffer){.head = head};
	v->ahead->descs[at] = desc;
}

static inline void keep_host(
	const struct view *v, unsigned at, uint16_t head, uint8_t *host, uint32_t len)
{
	v->ahead->buffers[at] = (struct ring_buffer){.host = host, .len = len, .head = head};
}

void ring_ahead_from_vm(struct ring *ring, uint16_t from, unsigned n)
{
	const uint32_t min = ring->vnet_size + FRAME_MIN;
	const uint32_t stash = ring->vnet_size + STASH_HEADERS;
	struct view v;
	fetch_guessed(ring, n);
	read_heads(ring, &v, from, n);
	for (unsigned i = 0; i < n; i++) {
		const unsigned at = (from + i) % AHEAD_MAX;
		const struct vring_desc desc = read_desc(&v, v.heads[i]);
		uint8_t *host = NULL;
		if (unlikely(desc.flags & FLAGS))
			__builtin_prefetch(&v.desc[desc.next & ring->mask]);
		else if (likely(desc.len - min <= FRAME_MAX - FRAME_MIN))
			host = host_of(ring, &v, desc.addr, desc.len < stash ? stash : desc.len);
		if (unlikely(!host)) {
			keep_desc(&v, at, v.heads[i], desc);
			continue;
		}
		keep_host(&v, at, v.heads[i], host, desc.len);
		__builtin_prefetch(host);
		__builtin_prefetch(host + LINE);
		if (desc.len > 2 * LINE) {
			__builtin_prefetch(host + 2 * LINE);
			__builtin_prefetch(host + 3 * LINE);
		}
	}
	ring->ahead_end = (uint16_t)(from + n);
	ring->next_head = v.heads[n - 1] + 1;
}

void ring_ahead_to_vm(struct ring *ring, uint16_t from, unsigned n)
{
	struct view v;
	read_heads(ring, &v, from, n);
	for (unsigned i = 0; i < n; i++) {
		const unsigned at = (from + i) % AHEAD_MAX;
		const struct vring_desc desc = read_desc(&v, v.heads[i]);
		uint8_t *host = NULL;
		if (likely((desc.flags & FLAGS) == VRING_DESC_F_WRITE))
			host = host_of(ring, &v, desc.addr, desc.len);
		if (unlikely(!host)) {
			keep_desc(&v, at, v.heads[i], desc);
			continue;
		}
		keep_host(&v, at, v.heads[i], host, desc.len);
		prefetch_to_write(host);
		prefetch_to_write(host + LINE);
	}
	ring->ahead_end = (uint16_t)(from + n);
}

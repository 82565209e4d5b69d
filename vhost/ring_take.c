// SPDX-License-Identifier: BSD-3-Clause
// The from-vm side: frames out of a guest's ring. A burst goes through three passes, so that the
// cache misses of its frames overlap: heads, descriptors, headers. Almost every frame is one
// descriptor in one region and takes the short way (take_flat); anything else is gathered.
#include <string.h>

#include "vhost/ring_copy.h"
#include "vhost/ring_private.h"

// The virtio-net header, by value: two words as read.
struct claim {
	uint64_t low; // flags, gso_type, hdr_len, gso_size, csum_start
	uint16_t csum_offset;
};

static uint8_t claimed_offload(uint8_t flags, uint8_t gso_type)
{
	uint8_t offload = 0;
	if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		offload |= OFFLOAD_CSUM_PARTIAL;
	if (flags & VIRTIO_NET_HDR_F_DATA_VALID)
		offload |= OFFLOAD_CSUM_VALID;
	if (gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return offload;
	if (gso_type & VIRTIO_NET_HDR_GSO_ECN)
		offload |= OFFLOAD_ECN;
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return offload | OFFLOAD_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return offload | OFFLOAD_TSO6;
	default: // UDP segmentation is never offered
		return offload | OFFLOAD_UNKNOWN_GSO;
	}
}

static inline void fill_packet(
	struct packet *p, uint8_t *data, uint32_t len, uint16_t head_len, struct claim claim)
{
	uint8_t flags = (uint8_t)claim.low;
	uint8_t gso_type = (uint8_t)(claim.low >> 8);
	*p = (struct packet){
		.data = data,
		.len = len,
		.head_len = head_len,
		.hdr_len = (uint16_t)(claim.low >> 16),
		.gso_size = (uint16_t)(claim.low >> 32),
		.csum_start = (uint16_t)(claim.low >> 48),
		.csum_offset = claim.csum_offset,
	};
	if (flags | gso_type)
		p->offload = claimed_offload(flags, gso_type);
}

// One descriptor, wholly in one region that goes on for at least a full stash: the stash is copied
// in blocks of 64 bytes, past the frame's end if need be. Only the switch sees those bytes.
static inline void take_flat(
	struct ring *ring, struct burst *burst, const uint8_t *host, uint32_t len)
{
	struct packet *p = &burst->packets[burst->count];
	uint8_t *data = burst->stash[burst->count] + STASH_HEADROOM;
	uint16_t vnet_size = ring->vnet_size;
	struct claim claim = {guest_read_u64(host), guest_read_u16(host + 8)};

	len -= vnet_size;
	host += vnet_size;
	copy_64(data, host);
	if (len > 64) {
		copy_64(data + 64, host + 64);
		copy_64(data + 128, host + 128);
	}
	if (likely(len <= STASH_HEADERS)) {
		fill_packet(p, data, len, (uint16_t)len, claim);
	} else {
		struct segment *body = &burst->segments[burst->nsegments++];
		*body = (struct segment){host + STASH_HEADERS, len - STASH_HEADERS};
		fill_packet(p, data, len, STASH_HEADERS, claim);
		p->body = body;
		p->nbody = 1;
	}
	burst->count++;
}

// Moves the first n bytes of the segments to dst, and the segments' start behind them. Returns how
// many segments are used up.
static unsigned strip(struct segment *segments, uint8_t *dst, uint32_t n)
{
	unsigned i = 0;
	while (n) {
		struct segment *s = &segments[i];
		uint32_t run = s->len < n ? s->len : n;
		copy_bytes(dst, s->base, run);
		s->base += run;
		s->len -= run;
		dst += run;
		n -= run;
		i += !s->len;
	}
	return i;
}

// Takes the virtio-net header off the segments.
static unsigned strip_claim(struct segment *segments, uint16_t vnet_size, struct claim *claim)
{
	uint8_t vnet[sizeof(struct virtio_net_hdr_mrg_rxbuf)];
	struct segment *s = segments;
	if (likely(s->len >= vnet_size)) {
		*claim = (struct claim){guest_read_u64(s->base), guest_read_u16(s->base + 8)};
		s->base += vnet_size;
		s->len -= vnet_size;
		return !s->len;
	}
	unsigned used = strip(segments, vnet, vnet_size);
	*claim = (struct claim){guest_read_u64(vnet), guest_read_u16(vnet + 8)};
	return used;
}

static void fill_gathered(struct ring *ring, struct burst *burst, const struct chain *chain)
{
	struct packet *p = &burst->packets[burst->count];
	uint8_t *data = burst->stash[burst->count] + STASH_HEADROOM;
	uint64_t len = chain->bytes - ring->vnet_size;
	uint16_t head_len = len < STASH_HEADERS ? (uint16_t)len : STASH_HEADERS;
	struct claim claim;

	unsigned used = strip_claim(chain->segments, ring->vnet_size, &claim);
	used += strip(chain->segments + used, data, head_len);
	// What was read stays read: the compiler may not go back to the guest's copy.
	__asm__ volatile("" ::: "memory");
	fill_packet(p, data, len > UINT32_MAX ? UINT32_MAX : (uint32_t)len, head_len, claim);
	burst->count++;
	if (unlikely(len < FRAME_MIN)) {
		packet_drop(p, DROP_FRAME_TOO_SHORT);
		return;
	}
	if (unlikely(len > FRAME_MAX)) {
		packet_drop(p, DROP_FRAME_TOO_LONG);
		return;
	}
	p->body = chain->segments + used;
	p->nbody = (uint16_t)(chain->count - used);
	burst->nsegments += (uint16_t)chain->count;
}

// Any chain. False if it was not taken: the ring is faulted, or the burst's segments are used up
// and the chain will be read anew by the next ring_take.
static bool take_chain(struct ring *ring, struct burst *burst, struct vring_desc first)
{
	struct chain chain = {
		.segments = &burst->segments[burst->nsegments],
		.room = BURST_SEGMENTS - burst->nsegments,
		.want = ring->vnet_size + FRAME_MAX,
	};
	enum ring_fault fault = chain_walk(ring, first, &chain);
	if (unlikely(fault != RING_OK)) {
		ring_set_fault(ring, fault);
		return false;
	}
	if (unlikely(chain.full)) {
		// A burst's segments hold any chain but one that was cut up on purpose.
		if (!burst->nsegments)
			ring_set_fault(ring, RING_FAULT_CHAIN_TOO_LONG);
		return false;
	}
	if (unlikely(chain.bytes < ring->vnet_size)) {
		ring_set_fault(ring, RING_FAULT_BAD_LENGTH);
		return false;
	}
	fill_gathered(ring, burst, &chain);
	return true;
}

// First pass: the heads of the next n chains, into ring->taken. Returns how many are sound.
static unsigned read_heads(struct ring *ring, unsigned n)
{
	const struct vring_desc *desc = ring->desc;
	for (unsigned i = 0; i < n; i++) {
		uint16_t head = ring_read_head(ring, (uint16_t)(ring->next_avail + i));
		if (unlikely(head >= ring->size))
			return i;
		ring->taken[i] = head;
		__builtin_prefetch(&desc[head]);
	}
	return n;
}

// Second pass: the descriptor, and its memory if take_flat can have it.
static inline uint8_t *read_first(struct ring *ring, uint16_t head, struct vring_desc *desc)
{
	const uint16_t not_flat = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT;
	const uint32_t min = ring->vnet_size + FRAME_MIN;
	uint64_t reach;
	struct vring_desc first = guest_read_desc(&ring->desc[head]);
	uint8_t *host = ring_at(ring, first.addr, first.len, &reach);
	*desc = first;
	if (likely(host)) {
		__builtin_prefetch(host);
		__builtin_prefetch(host + 64);
	}
	if (unlikely(first.flags & not_flat)) {
		__builtin_prefetch(&ring->desc[first.next & ring->mask]);
		return NULL;
	}
	if (unlikely(!host || first.len - min > FRAME_MAX - FRAME_MIN ||
		     reach < (uint64_t)ring->vnet_size + STASH_HEADERS))
		return NULL;
	return host;
}

unsigned ring_take(struct ring *ring, struct burst *burst, unsigned max)
{
	struct vring_desc first[BURST_MAX];
	uint8_t *flat[BURST_MAX];
	burst->count = 0;
	burst->nsegments = 0;
	ring->ntaken = 0;
	if (!ring_ok(ring))
		return 0;
	if (max > BURST_MAX)
		max = BURST_MAX;
	unsigned n = ring_available(ring, max);
	if (n > max)
		n = max;
	unsigned sound = read_heads(ring, n);
	for (unsigned i = 0; i < sound; i++)
		flat[i] = read_first(ring, ring->taken[i], &first[i]);
	unsigned i;
	for (i = 0; i < sound; i++) {
		if (likely(flat[i]) && likely(burst->nsegments < BURST_SEGMENTS))
			take_flat(ring, burst, flat[i], first[i].len);
		else if (unlikely(!take_chain(ring, burst, first[i])))
			break;
	}
	if (unlikely(i == sound && sound < n))
		ring_set_fault(ring, RING_FAULT_BAD_HEAD);
	ring->next_avail += (uint16_t)i;
	ring->ntaken = (uint16_t)i;
	return burst->count;
}

void ring_complete(struct ring *ring)
{
	unsigned n = ring->ntaken;
	if (!n)
		return;
	for (unsigned i = 0; i < n; i++)
		ring_write_used(ring, (uint16_t)(ring->next_used + i), ring->taken[i], 0);
	ring->next_used += (uint16_t)n;
	ring->ntaken = 0;
	ring_publish(ring);
}

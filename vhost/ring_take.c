// SPDX-License-Identifier: BSD-3-Clause
// The from-vm side: frames out of a guest's ring. Heads and descriptors are read ahead
// (ring_ahead.c), so that the cache misses of a burst's frames overlap. Almost every frame is one
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

// All that ring_take tells of a packet; what only the parser writes is left as it was.
static inline void fill_packet(
	struct packet *p, uint8_t *data, uint32_t len, uint16_t head_len, struct claim claim)
{
	uint8_t flags = (uint8_t)claim.low;
	uint8_t gso_type = (uint8_t)(claim.low >> 8);
	p->data = data;
	p->body = NULL;
	p->len = len;
	p->head_len = head_len;
	p->nbody = 0;
	p->verdict = VERDICT_NONE;
	p->drop = DROP_NONE;
	p->vnet = claim.low >> 16 | (uint64_t)claim.csum_offset << 48;
	p->offload = unlikely(flags | gso_type) ? claimed_offload(flags, gso_type) : 0;
}

// One descriptor, wholly in one region that goes on for at least a full stash: the stash is copied
// in blocks of 64 bytes, past the frame's end if need be. Only the switch sees those bytes.
static inline void take_flat(
	struct burst *burst, unsigned i, const uint8_t *host, uint32_t len, uint16_t vnet_size)
{
	struct packet *p = &burst->packets[i];
	uint8_t *data = burst->stash[i] + STASH_HEADROOM;
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

static void fill_gathered(
	struct ring *ring, struct burst *burst, unsigned i, const struct chain *chain)
{
	struct packet *p = &burst->packets[i];
	uint8_t *data = burst->stash[i] + STASH_HEADROOM;
	uint64_t len = chain->bytes - ring->vnet_size;
	uint16_t head_len = len < STASH_HEADERS ? (uint16_t)len : STASH_HEADERS;
	struct claim claim;

	unsigned used = strip_claim(chain->segments, ring->vnet_size, &claim);
	used += strip(chain->segments + used, data, head_len);
	// What was read stays read: the compiler may not go back to the guest's copy.
	__asm__ volatile("" ::: "memory");
	fill_packet(p, data, len > UINT32_MAX ? UINT32_MAX : (uint32_t)len, head_len, claim);
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
static bool take_chain(struct ring *ring, struct burst *burst, unsigned i, struct vring_desc first)
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
	fill_gathered(ring, burst, i, &chain);
	return true;
}

// Takes the next n available entries as far as they are sound; how many were taken.
static unsigned take_entries(struct ring *ring, struct burst *burst, unsigned n)
{
	const struct ring_buffer *ahead = ring->ahead->buffers;
	const uint16_t vnet_size = ring->vnet_size;
	const unsigned next = ring->next_avail;
	for (unsigned i = 0; i < n; i++) {
		const struct ring_buffer *b = &ahead[(next + i) % AHEAD_MAX];
		ring->taken[i] = b->head;
		// Its descriptor is not kept, and a short frame needs no segment; but the next may.
		if (unlikely(burst->nsegments == BURST_SEGMENTS))
			return i;
		if (likely(b->host)) {
			take_flat(burst, i, b->host, b->len, vnet_size);
		} else if (unlikely(b->head >= ring->size)) {
			ring_set_fault(ring, RING_FAULT_BAD_HEAD);
			return i;
		} else if (unlikely(!take_chain(ring, burst, i, ring_ahead_desc(ring, b)))) {
			return i;
		}
	}
	return n;
}

// Reads n entries ahead, as far as they are not.
static void read_ahead(struct ring *ring, unsigned n)
{
	unsigned known = ring_ahead_known(ring, ring->next_avail);
	if (known < n)
		ring_ahead_from_vm(ring, (uint16_t)(ring->next_avail + known), n - known);
}

unsigned ring_take(struct ring *ring, struct burst *burst, unsigned max)
{
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
	if (!n)
		return 0;
	read_ahead(ring, n);
	ring_fetch_used(ring, n);
	n = take_entries(ring, burst, n);
	burst->count = (uint16_t)n;
	ring->next_avail += (uint16_t)n;
	ring->ntaken = (uint16_t)n;
	// The next burst's, as far as the driver's index is known without another look.
	unsigned more = (uint16_t)(ring->avail_seen - ring->next_avail);
	read_ahead(ring, more < BURST_MAX ? more : BURST_MAX);
	return n;
}

void ring_untake(struct ring *ring, unsigned n)
{
	// What was read ahead is theirs again: of two bursts nothing is overwritten.
	ring->next_avail -= (uint16_t)n;
	ring->ntaken -= (uint16_t)n;
}

void ring_complete(struct ring *ring, struct ring_signals *signals)
{
	unsigned n = ring->ntaken;
	if (!n)
		return;
	struct vring_used_elem *used = ring->used->ring;
	const unsigned next = ring->next_used, mask = ring->mask;
	for (unsigned i = 0; i < n; i++)
		write_used(&used[(next + i) & mask], ring->taken[i], 0);
	ring->next_used += (uint16_t)n;
	ring->ntaken = 0;
	ring_publish(ring, signals);
}

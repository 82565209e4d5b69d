// SPDX-License-Identifier: BSD-3-Clause
// The to-vm side: frames into a guest's buffers. Buffers are read ahead, up to a burst of them, so
// that their cache misses overlap. Almost every frame fits one buffer of one descriptor and takes
// the short way (put_flat); anything else is first laid out and then poured.
//
// Until a frame is laid out completely nothing is written and nothing consumed. Then: payload,
// head, virtio-net header, used entries; the log of dirty pages, if there is one, and the used
// index follow at the end of the burst.
#include <errno.h>

#include "vhost/ring_copy.h"
#include "vhost/ring_log.h"
#include "vhost/ring_private.h"

// --- one frame -----------------------------------------------------------------------------------

static inline void write_vnet(
	uint8_t *dst, const struct frame *frame, uint16_t nbuffers, bool longer)
{
	uint64_t low;
	memcpy(&low, &frame->vnet, sizeof(low));
	memcpy(dst, &low, sizeof(low));
	memcpy(dst + 8, &frame->vnet.csum_offset, 2);
	if (longer)
		memcpy(dst + 10, &nbuffers, 2);
}

// Into one descriptor of one buffer.
static inline void put_flat(const struct ring *ring, const struct frame *frame, uint8_t *dst)
{
	frame_write(frame, dst + ring->vnet_size);
	write_vnet(dst, frame, 1, ring->vnet_size > sizeof(struct virtio_net_hdr));
}

// Over the pieces of the layout.
static void put_pieces(const struct ring *ring, const struct frame *frame, uint16_t nbuffers)
{
	uint8_t vnet[sizeof(struct virtio_net_hdr_mrg_rxbuf)];
	const struct segment *pieces = ring->layout->pieces;
	frame_pour(frame, pieces, ring->vnet_size);
	write_vnet(vnet, frame, nbuffers, true);
	frame_pour_bytes(pieces, 0, vnet, ring->vnet_size);
}

// --- buffers -------------------------------------------------------------------------------------

// The k-th buffer from next_avail on. NULL: the driver has not made it available, or the ring is
// faulted.
static inline const struct ring_buffer *buffer_at(struct ring *ring, unsigned k)
{
	uint16_t index = (uint16_t)(ring->next_avail + k);
	if (unlikely(!ring_ahead_known(ring, index))) {
		unsigned n = ring_available(ring, k + 1);
		if (n <= k)
			return NULL;
		n -= k;
		ring_ahead_to_vm(ring, index, n < LOOK_AHEAD ? n : LOOK_AHEAD);
	}
	const struct ring_buffer *buffer = ring_ahead_at(ring, index);
	if (unlikely(buffer->head >= ring->size)) {
		ring_set_fault(ring, RING_FAULT_BAD_HEAD);
		return NULL;
	}
	return buffer;
}

// Reads up to n buffers ahead, as far as they are not and the driver has made so many available.
static void read_ahead(struct ring *ring, unsigned n)
{
	unsigned known = ring_ahead_known(ring, ring->next_avail);
	if (known >= n)
		return;
	unsigned available = ring_available(ring, n);
	if (available < n)
		n = available;
	if (known < n)
		ring_ahead_to_vm(ring, (uint16_t)(ring->next_avail + known), n - known);
}

// Adds the memory of one buffer to the layout. Its length in *bytes, or an error of ring_put.
static int lay_out_buffer(struct ring *ring, const struct ring_buffer *buffer, struct chain *chain)
{
	enum ring_fault fault = RING_OK;
	chain->bytes = 0;
	if (likely(buffer->host))
		chain_collect(chain, buffer->host, buffer->len);
	else
		fault = chain_walk(ring, ring_ahead_desc(ring, buffer), chain);
	// With mergeable buffers each one may turn out to be a frame's first.
	if (!fault && !chain->full && chain->bytes < ring->vnet_size)
		fault = RING_FAULT_BAD_LENGTH;
	if (unlikely(fault != RING_OK)) {
		ring_set_fault(ring, fault);
		return -EIO;
	}
	return unlikely(chain->full) ? -EMSGSIZE : 0;
}

// Finds room for `need` bytes. The number of buffers, their used entries in the layout; or an error
// of ring_put.
static int lay_out(struct ring *ring, uint32_t need)
{
	struct ring_layout *layout = ring->layout;
	unsigned max = ring->mergeable ? ring->size : 1;
	unsigned n = 0;
	struct chain chain = {.segments = layout->pieces,
		.room = LAYOUT_PIECES,
		.want = need,
		.direction = VRING_DESC_F_WRITE};
	while (chain.gathered < need) {
		if (n == max)
			return -EMSGSIZE;
		const struct ring_buffer *buffer = buffer_at(ring, n);
		if (!buffer)
			return ring_ok(ring) ? -ENOBUFS : -EIO;
		uint32_t before = chain.gathered;
		int err = lay_out_buffer(ring, buffer, &chain);
		if (err)
			return err;
		layout->used[n++] = (struct vring_used_elem){
			.id = buffer->head, .len = chain.gathered - before};
	}
	return (int)n;
}

static void note_layout(struct ring *ring, uint32_t bytes)
{
	for (const struct segment *s = ring->layout->pieces; bytes; bytes -= s++->len)
		ring_log_host(ring, s->base, s->len);
}

static int put_spread(struct ring *ring, const struct frame *frame, uint32_t need)
{
	int n = lay_out(ring, need);
	if (unlikely(n < 0))
		return n;
	put_pieces(ring, frame, (uint16_t)n);
	if (unlikely(ring->log))
		note_layout(ring, need);
	for (int i = 0; i < n; i++) {
		const struct vring_used_elem *used = &ring->layout->used[i];
		ring_write_used(ring, ring->next_used++, used->id, used->len);
	}
	ring->next_avail += (uint16_t)n;
	return 0;
}

// --- the interface -------------------------------------------------------------------------------

void ring_put_begin(struct ring *ring, struct ring_layout *layout, unsigned nframes)
{
	ring->layout = layout;
	if (!ring_ok(ring))
		return;
	if (nframes > BURST_MAX)
		nframes = BURST_MAX;
	ring_fetch_used(ring, nframes);
	read_ahead(ring, nframes);
}

int ring_put(struct ring *ring, const struct frame *frame)
{
	if (!ring_ok(ring))
		return -EIO;
	const struct ring_buffer *buffer = buffer_at(ring, 0);
	if (unlikely(!buffer))
		return ring_ok(ring) ? -ENOBUFS : -EIO;
	uint32_t need = ring->vnet_size + frame->head_len + frame->body_len;
	if (unlikely(!buffer->host || buffer->len < need))
		return put_spread(ring, frame, need);
	put_flat(ring, frame, buffer->host);
	if (unlikely(ring->log))
		ring_log_host(ring, buffer->host, need);
	ring_write_used(ring, ring->next_used++, buffer->head, need);
	ring->next_avail++;
	return 0;
}

// Not inlined: small frames, which have none, keep their loop in registers.
static __attribute__((noinline)) void put_plain_body(uint8_t *dst, const struct packet *p)
{
	uint32_t left = p->len - p->head_len;
	dst += p->head_len;
	for (const struct segment *s = p->body; left; s++) {
		uint32_t run = s->len < left ? s->len : left;
		copy_bytes(dst, s->base, run);
		dst += run;
		left -= run;
	}
}

unsigned ring_put_plain(struct ring *ring, struct packet *const *packets, unsigned n)
{
	const struct ring_buffer *ahead = ring->ahead->buffers;
	struct vring_used_elem *used = ring->used->ring;
	const unsigned mask = ring->mask, vnet_size = ring->vnet_size;
	unsigned next_avail = ring->next_avail, next_used = ring->next_used;
	bool usable = ring_ok(ring) && likely(!ring->log);
	unsigned known = usable ? ring_ahead_known(ring, ring->next_avail) : 0;
	unsigned i;
	if (n > known)
		n = known;
	for (i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		const struct ring_buffer *buffer = &ahead[(next_avail + i) % AHEAD_MAX];
		uint8_t *dst = buffer->host;
		uint32_t need = vnet_size + p->len;
		// One that has to be walked has no length here.
		if (unlikely(buffer->len < need))
			break;
		if (p->len != p->head_len)
			put_plain_body(dst + vnet_size, p);
		copy_bytes(dst + vnet_size, p->data, p->head_len);
		// No flag, no GSO; num_buffers, where there is one, is 1.
		memset(dst, 0, sizeof(struct virtio_net_hdr));
		if (likely(vnet_size > sizeof(struct virtio_net_hdr)))
			memcpy(dst + 10, &(const uint16_t){1}, 2);
		write_used(&used[(next_used + i) & mask], buffer->head, need);
	}
	ring->next_avail = (uint16_t)(next_avail + i);
	ring->next_used = (uint16_t)(next_used + i);
	return i;
}

void ring_put_end(struct ring *ring, struct ring_signals *signals)
{
	if (ring->next_used == ring->published)
		return;
	ring_publish(ring, signals);
	if (ring_ok(ring))
		read_ahead(ring, BURST_MAX);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "kit_guest: %s\n", what);
	abort();
}

// Nothing is zeroed, so that a sanitizer or a comparison notices what was never written.
static void *exact(size_t size)
{
	void *p = malloc(size);
	check(p != NULL, "out of memory");
	memset(p, 0xa5, size);
	return p;
}

// --- memory --------------------------------------------------------------------------------------

void kit_guest_init(struct kit_guest *g, const struct kit_region *regions, unsigned n)
{
	check(n > 0 && n <= MEMORY_REGIONS_MAX, "1 to 8 regions");
	*g = (struct kit_guest){.mem.nregions = n};
	uint64_t addr = 0x1000;
	for (unsigned i = 0; i < n; i++) {
		if (regions[i].gap_before)
			addr += 0x100000000;
		g->mem.regions[i] = (struct memory_region){.guest_addr = addr,
			.size = regions[i].size,
			.host = exact(regions[i].size)};
		addr += regions[i].size;
	}
	g->cursor = 0x1000;
}

void kit_guest_init_usual(struct kit_guest *g, uint64_t size)
{
	uint64_t third = size / 3;
	const struct kit_region regions[] = {
		{.size = third + 5}, {.size = third - 3}, {.size = third + 1, .gap_before = true}};
	kit_guest_init(g, regions, 3);
}

void kit_guest_fini(struct kit_guest *g)
{
	for (unsigned i = 0; i < g->mem.nregions; i++)
		free(g->mem.regions[i].host);
}

uint64_t kit_alloc(struct kit_guest *g, uint32_t len)
{
	// Twice around: from the cursor to the end, then from the start.
	for (unsigned turn = 0; turn < 2; turn++) {
		uint64_t addr = g->cursor;
		uint64_t from = 0; // start of the run of neighbouring regions
		for (unsigned i = 0; i < g->mem.nregions; i++) {
			const struct memory_region *r = &g->mem.regions[i];
			uint64_t end = r->guest_addr + r->size;
			if (!i || r->guest_addr != r[-1].guest_addr + r[-1].size)
				from = r->guest_addr;
			if (addr < from)
				addr = from;
			if (addr + len <= end) {
				g->cursor = addr + len;
				return addr;
			}
		}
		g->cursor = 0;
	}
	check(false, "a buffer larger than the guest's memory");
	return 0;
}

uint64_t kit_border(const struct kit_guest *g, unsigned i, uint32_t before)
{
	const struct memory_region *r = &g->mem.regions[i];
	check(i + 1 < g->mem.nregions && r[1].guest_addr == r->guest_addr + r->size, "no border");
	return r[1].guest_addr - before;
}

static uint8_t *byte_at(struct kit_guest *g, uint64_t addr)
{
	for (unsigned i = 0; i < g->mem.nregions; i++) {
		const struct memory_region *r = &g->mem.regions[i];
		if (addr >= r->guest_addr && addr < r->guest_addr + r->size)
			return r->host + (addr - r->guest_addr);
	}
	check(false, "address outside guest memory");
	return NULL;
}

void kit_write(struct kit_guest *g, uint64_t addr, const void *from, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		*byte_at(g, addr + i) = ((const uint8_t *)from)[i];
}

void kit_read(struct kit_guest *g, uint64_t addr, void *to, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = *byte_at(g, addr + i);
}

// --- rings ---------------------------------------------------------------------------------------

static bool has(const struct kit_driver *d, unsigned feature)
{
	return d->features >> feature & 1;
}

void kit_driver_init(
	struct kit_driver *d, struct kit_guest *g, uint16_t size, uint16_t start, uint64_t features)
{
	*d = (struct kit_driver){
		.g = g,
		.features = features,
		.size = size,
		.avail_idx = start,
		.published = start,
		.used_seen = start,
		.nfree = size,
		.desc = exact(16U * size),
		.avail = exact(6U + 2U * size),
		.used = exact(6U + 8U * size),
		.free = exact(2U * size),
		.chains = calloc(size, sizeof(struct kit_chain)),
		.call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	check(d->chains && d->call_fd >= 0, "cannot make a driver");
	bool longer = has(d, VIRTIO_NET_F_MRG_RXBUF) || has(d, VIRTIO_F_VERSION_1);
	d->vnet_size = longer ? 12 : 10;
	d->avail->idx = d->used->idx = start;
	d->avail->flags = d->used->flags = 0;
	d->avail->ring[size] = start; // used_event
	*(uint16_t *)&d->used->ring[size] = start;
	// Out of order, as a driver's free list is after a while.
	for (unsigned i = 0; i < size; i++)
		d->free[i] = (uint16_t)(i ^ (size > 4 ? 3 : 0));
}

void kit_driver_fini(struct kit_driver *d)
{
	for (unsigned i = 0; i < d->size; i++)
		free(d->chains[i].pieces);
	free(d->desc);
	free(d->avail);
	free(d->used);
	free(d->free);
	free(d->chains);
	close(d->call_fd);
}

struct ring_setup kit_driver_setup(const struct kit_driver *d)
{
	return (struct ring_setup){.desc = d->desc,
		.avail = d->avail,
		.used = d->used,
		.size = d->size,
		.next_avail = d->published,
		.next_used = d->used_seen,
		.features = d->features,
		.mem = &d->g->mem,
		.call_fd = d->call_fd};
}

// The indirect table of pieces, its entries in reverse order but for the first: `next` matters.
static struct kit_piece make_table(
	struct kit_driver *d, const struct kit_piece *pieces, unsigned n, uint16_t flags)
{
	struct kit_piece table = {.len = 16 * n};
	table.addr = kit_alloc(d->g, table.len);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = i ? n - i : 0;
		bool last = i + 1 == n;
		struct vring_desc desc = {.addr = pieces[i].addr,
			.len = pieces[i].len,
			.flags = (uint16_t)(flags | (last ? 0 : VRING_DESC_F_NEXT)),
			.next = last ? 0xffff : (uint16_t)(n - (i + 1))};
		kit_write(d->g, table.addr + 16 * at, &desc, sizeof(desc));
	}
	return table;
}

static void remember(
	struct kit_driver *d, uint16_t head, const struct kit_piece *pieces, unsigned n)
{
	struct kit_chain *chain = &d->chains[head];
	chain->pieces = realloc(chain->pieces, n * sizeof(*pieces));
	check(chain->pieces != NULL, "out of memory");
	memcpy(chain->pieces, pieces, n * sizeof(*pieces));
	chain->npieces = n;
}

int kit_post(struct kit_driver *d, const struct kit_piece *pieces, unsigned n, unsigned ndirect,
	bool device_writes)
{
	unsigned total = ndirect + (n > ndirect);
	if (total > d->nfree)
		return -1;
	uint16_t flags = device_writes ? VRING_DESC_F_WRITE : 0;
	uint16_t head = d->free[d->nfree - 1];
	for (unsigned i = 0; i < total; i++) {
		uint16_t at = d->free[--d->nfree];
		bool last = i + 1 == total;
		struct kit_piece piece = i < ndirect ? pieces[i]
						     : make_table(d, pieces + i, n - i, flags);
		d->desc[at] = (struct vring_desc){.addr = piece.addr,
			.len = piece.len,
			.flags = (uint16_t)(i < ndirect ? flags : VRING_DESC_F_INDIRECT),
			.next = last ? 0xffff : d->free[d->nfree - 1]};
		if (!last)
			d->desc[at].flags |= VRING_DESC_F_NEXT;
	}
	remember(d, head, pieces, n);
	d->avail->ring[d->avail_idx++ % d->size] = head;
	return head;
}

void kit_publish(struct kit_driver *d)
{
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_RELEASE);
	d->published = d->avail_idx;
}

bool kit_publish_notifies(struct kit_driver *d)
{
	uint16_t before = d->published;
	kit_publish(d);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!has(d, VIRTIO_RING_F_EVENT_IDX))
		return !(d->used->flags & VRING_USED_F_NO_NOTIFY);
	uint16_t event = *(uint16_t *)&d->used->ring[d->size];
	// The specification's words: one of the new entries is the one that was named.
	for (uint16_t i = before; i != d->published; i++) {
		if (i == event)
			return true;
	}
	return false;
}

static void give_back(struct kit_driver *d, uint16_t head)
{
	uint16_t at = head;
	for (;;) {
		uint16_t flags = d->desc[at].flags;
		uint16_t next = d->desc[at].next;
		d->free[d->nfree++] = at;
		if (!(flags & VRING_DESC_F_NEXT))
			return;
		at = next;
	}
}

bool kit_pop(struct kit_driver *d, struct kit_used *out)
{
	if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->used_seen)
		return false;
	const struct vring_used_elem *e = &d->used->ring[d->used_seen++ % d->size];
	check(e->id < d->size && d->chains[e->id].npieces, "a used head that was not posted");
	*out = (struct kit_used){.head = e->id,
		.len = e->len,
		.npieces = d->chains[e->id].npieces,
		.pieces = d->chains[e->id].pieces};
	d->chains[e->id].npieces = 0;
	give_back(d, (uint16_t)e->id);
	return true;
}

void kit_want_signal(struct kit_driver *d, bool want)
{
	if (has(d, VIRTIO_RING_F_EVENT_IDX))
		d->avail->ring[d->size] = (uint16_t)(d->used_seen - !want);
	else
		d->avail->flags = want ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
}

unsigned kit_signals(struct kit_driver *d)
{
	uint64_t n = 0;
	return read(d->call_fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

// --- frames --------------------------------------------------------------------------------------

uint64_t kit_random(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

void kit_layout_random(
	struct kit_layout *l, uint64_t *state, uint32_t total, unsigned max, bool indirect)
{
	if (max > KIT_PIECES_MAX)
		max = KIT_PIECES_MAX;
	unsigned want = 1 + (unsigned)(kit_random(state) % max);
	l->n = 0;
	while (total) {
		uint32_t len = total;
		if (l->n + 1 < want) {
			uint32_t around = 2 * total / (want - l->n) + 1;
			len = 1 + (uint32_t)(kit_random(state) % around);
			len = len < total ? len : total;
		}
		l->lens[l->n++] = len;
		total -= len;
	}
	l->ndirect = indirect ? (unsigned)(kit_random(state) % l->n) : l->n;
}

void kit_layout_even(struct kit_layout *l, uint32_t total, uint32_t step)
{
	l->n = 0;
	for (; total; total -= l->lens[l->n++]) {
		check(l->n < KIT_PIECES_MAX, "too many pieces");
		l->lens[l->n] = step < total ? step : total;
	}
	l->ndirect = l->n;
}

// False if descriptors are short. Then no memory is used either, so that memory is used again in
// the order in which it comes back.
static bool place(struct kit_driver *d, const struct kit_layout *l, struct kit_piece *pieces)
{
	if (l->ndirect + (l->n > l->ndirect) > d->nfree)
		return false;
	for (unsigned i = 0; i < l->n; i++)
		pieces[i] = (struct kit_piece){kit_alloc(d->g, l->lens[i]), l->lens[i]};
	return true;
}

int kit_send(struct kit_driver *d, const struct virtio_net_hdr *vnet, const uint8_t *frame,
	uint32_t len, const struct kit_layout *l)
{
	static _Thread_local uint8_t bytes[KIT_VNET_MAX + KIT_FRAME_MAX];
	struct kit_piece pieces[KIT_PIECES_MAX];
	check(len <= KIT_FRAME_MAX, "frame too long for the kit");
	memset(bytes, 0, KIT_VNET_MAX);
	memcpy(bytes, vnet, sizeof(*vnet));
	memcpy(bytes + d->vnet_size, frame, len);
	if (!place(d, l, pieces))
		return -1;
	uint32_t done = 0;
	for (unsigned i = 0; i < l->n; i++) {
		kit_write(d->g, pieces[i].addr, bytes + done, pieces[i].len);
		done += pieces[i].len;
	}
	check(done == d->vnet_size + len, "a layout of another length");
	return kit_post(d, pieces, l->n, l->ndirect, false);
}

int kit_post_buffer(struct kit_driver *d, const struct kit_layout *l)
{
	struct kit_piece pieces[KIT_PIECES_MAX];
	return place(d, l, pieces) ? kit_post(d, pieces, l->n, l->ndirect, true) : -1;
}

// Appends what the device wrote to one buffer. False if it wrote more than there is room for.
static bool append(struct kit_driver *d, const struct kit_used *used, uint8_t *to, uint32_t *len)
{
	uint32_t left = used->len;
	for (unsigned i = 0; i < used->npieces && left; i++) {
		uint32_t run = used->pieces[i].len < left ? used->pieces[i].len : left;
		if (*len + run > KIT_VNET_MAX + KIT_FRAME_MAX)
			return false;
		kit_read(d->g, used->pieces[i].addr, to + *len, run);
		*len += run;
		left -= run;
	}
	return !left;
}

int kit_receive(
	struct kit_driver *d, struct virtio_net_hdr_mrg_rxbuf *vnet, uint8_t frame[KIT_FRAME_MAX])
{
	static _Thread_local uint8_t bytes[KIT_VNET_MAX + KIT_FRAME_MAX];
	struct kit_used used;
	uint32_t len = 0;
	if (!kit_pop(d, &used))
		return -1;
	if (!append(d, &used, bytes, &len) || len < d->vnet_size)
		return -2;
	memset(vnet, 0, sizeof(*vnet));
	memcpy(vnet, bytes, d->vnet_size);
	unsigned n = d->vnet_size == 12 ? vnet->num_buffers : 1;
	if (!n || (n != 1 && !has(d, VIRTIO_NET_F_MRG_RXBUF)))
		return -2;
	for (unsigned i = 1; i < n; i++) {
		if (!kit_pop(d, &used) || !append(d, &used, bytes, &len))
			return -2;
	}
	memcpy(frame, bytes + d->vnet_size, len - d->vnet_size);
	return (int)(len - d->vnet_size);
}

void kit_put_end(struct ring *ring)
{
	struct ring_signals signals = {0};
	ring_put_end(ring, &signals);
	ring_signals_send(&signals);
}

void kit_complete(struct ring *ring)
{
	struct ring_signals signals = {0};
	ring_complete(ring, &signals);
	ring_signals_send(&signals);
}

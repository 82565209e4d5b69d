// SPDX-License-Identifier: BSD-3-Clause
// Two guests with one ring each, every byte of them written by the input, also between the calls.
// Asserted: the switch's side stays in bounds (AddressSanitizer: each region and each part of a
// ring is an allocation of its exact size), packets are sane, and each call either makes progress,
// reports that nothing can be done, or faults the ring for good.
//
// Input: a set-up byte per guest, then operations of one byte and their arguments, little endian.
// When the input is used up, all arguments are zero.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/ring.h"

#define REQUIRE(x) \
	do { \
		if (!(x)) \
			abort(); \
	} while (0)

struct input {
	const uint8_t *at, *end;
};

static uint8_t next_u8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint16_t next_u16(struct input *in)
{
	uint16_t low = next_u8(in);
	return (uint16_t)(low | next_u8(in) << 8);
}

enum {
	NREGIONS = 4,
	TABLES = 3
};

struct guest {
	struct guest_memory mem;
	struct ring_setup setup;
	struct ring ring;
};

static struct guest guests[2]; // 0 sends, 1 receives
static struct burst burst;
static struct ring_layout layout;
static struct ring_signals signals;
// Of both guests: what is in it does not matter here, but that nothing beside it is written. It
// ends with the page that holds the last byte of memory.
static uint8_t dirty[((0x100000000 + 70000 - 1) / DIRTY_PAGE) / 8 + 1];
static struct dirty_log dirty_log = {.bits = dirty, .size = sizeof(dirty)};
static bool holding; // frames of burst are not completed yet

static void make_guest(struct guest *g, uint8_t how)
{
	// The first three are neighbours; the last has room for frames that are too long.
	static const uint32_t sizes[NREGIONS] = {700, 33, 3000, 70000};
	static const uint64_t addrs[NREGIONS] = {0x100, 0x100 + 700, 0x100 + 733, 0x100000000};
	uint16_t size = (uint16_t)(1 << how % 8);
	g->mem.nregions = NREGIONS;
	for (unsigned i = 0; i < NREGIONS; i++) {
		g->mem.regions[i] = (struct memory_region){
			.guest_addr = addrs[i], .size = sizes[i], .host = calloc(1, sizes[i])};
	}
	g->setup = (struct ring_setup){.desc = calloc(size, 16),
		.avail = calloc(1, 6U + 2U * size),
		.used = calloc(1, 6U + 8U * size),
		.size = size,
		.features = (uint64_t) !(how & 8) << VIRTIO_RING_F_INDIRECT_DESC |
			    (uint64_t) !(how & 16) << VIRTIO_NET_F_MRG_RXBUF |
			    (uint64_t) !(how & 32) << VIRTIO_F_VERSION_1 |
			    (uint64_t) !(how & 64) << VIRTIO_RING_F_EVENT_IDX,
		.mem = &g->mem,
		.call_fd = -1,
		.log = how & 128 ? &dirty_log : NULL,
		.used_addr = 0x2ffd};
	REQUIRE(ring_init(&g->ring, &g->setup) == 0);
}

static void free_guest(struct guest *g)
{
	ring_fini(&g->ring);
	for (unsigned i = 0; i < NREGIONS; i++)
		free(g->mem.regions[i].host);
	free(g->setup.desc);
	free(g->setup.avail);
	free(g->setup.used);
}

// --- what the guests do --------------------------------------------------------------------------

static uint64_t any_address(struct input *in)
{
	uint16_t where = next_u16(in);
	// Addresses near the regions, or anywhere.
	switch (where >> 14) {
	case 0:
	case 1:
		return where;
	case 2:
		return 0x100000000 + (where & 0x3fff) * 5U;
	default:
		return UINT64_MAX - next_u16(in);
	}
}

static struct vring_desc any_desc(struct input *in)
{
	struct vring_desc d = {.addr = any_address(in)};
	uint16_t len = next_u16(in);
	uint8_t flags = next_u8(in);
	d.len = flags & 0x80 ? (uint32_t)len << 16 : flags & 0x40 ? len * 2U : len;
	d.flags = flags & 0x3f;
	d.next = flags & 0x20 ? next_u16(in) : next_u8(in);
	return d;
}

// Descriptor number `at` of the ring, or of an indirect table at the start of a region.
static void write_desc(struct guest *g, struct input *in)
{
	uint8_t at = next_u8(in);
	uint8_t table = next_u8(in) % (TABLES + 1);
	struct vring_desc d = any_desc(in);
	if (!table) {
		g->setup.desc[at & (g->setup.size - 1)] = d;
		return;
	}
	const struct memory_region *r = &g->mem.regions[table - 1];
	uint64_t off = 16ULL * at;
	for (unsigned i = 0; i < sizeof(d) && off + i < r->size; i++)
		r->host[off + i] = ((const uint8_t *)&d)[i];
}

static void write_memory(struct guest *g, struct input *in)
{
	const struct memory_region *r = &g->mem.regions[next_u8(in) % NREGIONS];
	uint64_t off = next_u16(in) % r->size;
	for (unsigned n = next_u8(in) % 64; n && off < r->size; n--)
		r->host[off++] = next_u8(in);
}

static void write_avail(struct guest *g, struct input *in)
{
	uint8_t n = next_u8(in);
	struct vring_avail *avail = g->setup.avail;
	// Sixteen heads become available, or any number from the ring's point of view.
	for (unsigned i = 0; i < (n & 15); i++)
		avail->ring[avail->idx++ & (g->setup.size - 1)] = next_u8(in);
	if (n & 0x80)
		avail->idx = next_u16(in);
	if (n & 0x40)
		avail->flags = avail->ring[g->setup.size] = next_u16(in);
}

// --- what the switch does ------------------------------------------------------------------------

static bool inside(const struct guest *g, const struct segment *s)
{
	for (unsigned i = 0; i < NREGIONS; i++) {
		const struct memory_region *r = &g->mem.regions[i];
		if (s->base >= r->host && s->base < r->host + r->size)
			return s->len <= (uint64_t)(r->host + r->size - s->base);
	}
	return false;
}

static void check_packet(const struct packet *p)
{
	REQUIRE(p->head_len <= STASH_HEADERS && p->head_len <= p->len);
	if (p->verdict == VERDICT_DROP) {
		REQUIRE(p->nbody == 0 && (p->len < FRAME_MIN || p->len > FRAME_MAX));
		return;
	}
	uint64_t len = p->head_len;
	for (unsigned i = 0; i < p->nbody; i++) {
		REQUIRE(inside(&guests[0], &p->body[i]));
		len += p->body[i].len;
	}
	REQUIRE(len == p->len && len >= FRAME_MIN && len <= FRAME_MAX);
	REQUIRE(p->head_len == STASH_HEADERS || p->nbody == 0);
}

static void take(uint8_t max)
{
	struct ring *ring = &guests[0].ring;
	bool pending = ring_pending(ring);
	uint16_t before = ring->next_avail;
	if (holding)
		return;
	unsigned n = ring_take(ring, &burst, max);
	REQUIRE(n == burst.count && n <= max && n <= BURST_MAX);
	REQUIRE((uint16_t)(ring->next_avail - before) == n);
	REQUIRE(burst.nsegments <= BURST_SEGMENTS);
	REQUIRE(n || !pending || !max || ring->fault != RING_OK);
	for (unsigned i = 0; i < n; i++)
		check_packet(&burst.packets[i]);
	holding = n > 0;
}

// Some of what was taken, at its end, goes back.
static void untake(unsigned n)
{
	struct ring *ring = &guests[0].ring;
	if (!holding || n > burst.count)
		return;
	ring_untake(ring, n);
	burst.count -= (uint16_t)n;
	REQUIRE(ring->ntaken == burst.count);
	holding = burst.count > 0;
}

static void complete(void)
{
	struct ring *ring = &guests[0].ring;
	ring_complete(ring, &signals);
	ring_signals_send(&signals);
	holding = false;
	REQUIRE(ring->next_used == ring->next_avail);
	REQUIRE(guests[0].setup.used->idx == ring->next_used);
}

static void put(const struct packet *p, struct input *in)
{
	struct ring *ring = &guests[1].ring;
	uint16_t avail = ring->next_avail, used = ring->next_used;
	struct frame f = {.head = p->data,
		.head_len = p->head_len,
		.body = p->body,
		.body_len = p->len - p->head_len};
	uint8_t how = next_u8(in);
	if (how & 1 && f.head_len > 20) {
		f.csum_start = how >> 4;
		f.csum_at = (uint16_t)(f.csum_start + 3);
		f.csum_udp = how & 2;
	}
	if (how & 4 && f.body_len) {
		f.body_off = f.body_len / 2;
		f.body_len -= f.body_off;
	}
	if (how & 8 && ring_put_plain(ring, &(struct packet *){(struct packet *)(uintptr_t)p}, 1)) {
		REQUIRE(ring->next_avail == (uint16_t)(avail + 1));
		REQUIRE(ring->next_used == (uint16_t)(used + 1));
		return;
	}
	int err = ring_put(ring, &f);
	uint16_t consumed = ring->next_avail - avail;
	REQUIRE(!err || err == -ENOBUFS || err == -EMSGSIZE || err == -EIO);
	REQUIRE(!err == (consumed > 0) && consumed == (uint16_t)(ring->next_used - used));
	REQUIRE((err == -EIO) == (ring->fault != RING_OK));
	REQUIRE(ring->mergeable || consumed <= 1);
}

static void put_all(struct input *in)
{
	if (!holding)
		return;
	ring_put_begin(&guests[1].ring, &layout, next_u8(in) % 64);
	for (unsigned i = 0; i < burst.count; i++) {
		if (burst.packets[i].verdict != VERDICT_DROP)
			put(&burst.packets[i], in);
	}
	ring_put_end(&guests[1].ring, &signals);
	ring_signals_send(&signals);
	REQUIRE(guests[1].ring.published == guests[1].ring.next_used);
}

static void notify(struct guest *g)
{
	ring_arm(&g->ring);
	(void)ring_pending(&g->ring);
	ring_disarm(&g->ring);
}

static void step(struct input *in)
{
	uint8_t op = next_u8(in);
	struct guest *g = &guests[op & 1];
	switch (op >> 1 & 7) {
	case 0:
	case 1:
		write_desc(g, in);
		break;
	case 2:
		write_avail(g, in);
		break;
	case 3:
		write_memory(g, in);
		break;
	case 4:
		take(op >> 4 ? 2 * (op >> 4) : 40);
		break;
	case 5:
		put_all(in);
		break;
	case 6:
		complete();
		break;
	default:
		if (op & 0x80)
			untake(1 + (op >> 4 & 7));
		else
			notify(g);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	holding = false;
	for (unsigned i = 0; i < 2; i++)
		make_guest(&guests[i], next_u8(&in));
	for (unsigned n = 0; n < 300 && in.at < in.end; n++)
		step(&in);
	// In the end everything that is left moves or faults.
	for (unsigned n = 0; n < 5000 && (holding || ring_pending(&guests[0].ring)); n++) {
		take(BURST_MAX);
		put_all(&in);
		complete();
	}
	REQUIRE(!holding && !ring_pending(&guests[0].ring));
	for (unsigned i = 0; i < 2; i++)
		free_guest(&guests[i]);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
// The log of dirty pages: frames of random layouts go from one guest to another, and what has
// changed in the memory of either is compared with what the log says.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit_guest.h"

#define FEATURE(f) (1ULL << (f))
#define MODERN     FEATURE(VIRTIO_F_VERSION_1)
#define INDIRECT   FEATURE(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT      FEATURE(VIRTIO_RING_F_EVENT_IDX)
#define MERGEABLE  FEATURE(VIRTIO_NET_F_MRG_RXBUF)

enum {
	MEMORY = 1 << 20,
	RING = 1024,
	USED_BYTES = 6 + 8 * RING,
	// Where the VMM says that the used ring lies; it begins a few bytes before a page does.
	USED_ADDR = 0x8000ff8,
};

// One side: a guest, its ring, its log, and its memory as it was.
struct side {
	struct kit_guest guest;
	struct kit_driver driver;
	struct ring ring;
	struct dirty_log log;
	uint8_t *before[MEMORY_REGIONS_MAX];
	uint8_t used_before[USED_BYTES];
	uint64_t logged, changed; // pages, in all
};

static struct side sender, receiver;
static struct burst burst;
static struct ring_layout layout;

static uint64_t pages_of(const struct kit_guest *g)
{
	const struct memory_region *last = &g->mem.regions[g->mem.nregions - 1];
	return (last->guest_addr + last->size - 1) / DIRTY_PAGE + 1;
}

static void remember(struct side *s)
{
	for (unsigned i = 0; i < s->guest.mem.nregions; i++)
		memcpy(s->before[i], s->guest.mem.regions[i].host, s->guest.mem.regions[i].size);
	memcpy(s->used_before, s->driver.used, USED_BYTES);
}

static void start_ring(struct side *s)
{
	struct ring_setup setup = kit_driver_setup(&s->driver);
	setup.log = &s->log;
	setup.used_addr = USED_ADDR;
	cr_assert_eq(ring_init(&s->ring, &setup), 0);
}

static void start_side(struct side *s, uint16_t index, uint64_t features)
{
	kit_guest_init_usual(&s->guest, MEMORY);
	for (unsigned i = 0; i < s->guest.mem.nregions; i++)
		s->before[i] = malloc(s->guest.mem.regions[i].size);
	kit_driver_init(&s->driver, &s->guest, RING, index, features);
	// Not a byte more than there are pages for: a sanitizer sees a bit beyond it.
	s->log = (struct dirty_log){.size = (pages_of(&s->guest) + 7) / 8};
	s->log.bits = calloc(1, s->log.size);
	s->logged = s->changed = 0;
	remember(s);
	start_ring(s);
}

static void stop_side(struct side *s)
{
	ring_fini(&s->ring);
	kit_driver_fini(&s->driver);
	for (unsigned i = 0; i < s->guest.mem.nregions; i++)
		free(s->before[i]);
	free(s->log.bits);
	kit_guest_fini(&s->guest);
}

static bool is_logged(const struct side *s, uint64_t page)
{
	return s->log.bits[page / 8] >> page % 8 & 1;
}

// Each page that has changed is in the log. Counts how many have.
static uint64_t check_bytes(
	struct side *s, uint64_t addr, const uint8_t *before, const uint8_t *now, uint64_t len)
{
	uint64_t changed = 0;
	for (uint64_t at = 0; at < len;) {
		uint64_t run = DIRTY_PAGE - (addr + at) % DIRTY_PAGE;
		if (run > len - at)
			run = len - at;
		if (memcmp(before + at, now + at, run) != 0) {
			changed++;
			cr_assert(is_logged(s, (addr + at) / DIRTY_PAGE),
				"guest address 0x%llx was written and not logged",
				(unsigned long long)(addr + at));
		}
		at += run;
	}
	return changed;
}

// What the VMM does: looks and clears.
static void check_log(struct side *s)
{
	for (unsigned i = 0; i < s->guest.mem.nregions; i++) {
		const struct memory_region *r = &s->guest.mem.regions[i];
		s->changed += check_bytes(s, r->guest_addr, s->before[i], r->host, r->size);
	}
	s->changed += check_bytes(
		s, USED_ADDR, s->used_before, (const uint8_t *)s->driver.used, USED_BYTES);
	for (uint64_t i = 0; i < s->log.size; i++)
		s->logged += (unsigned)__builtin_popcount(s->log.bits[i]);
	memset(s->log.bits, 0, s->log.size);
}

// --- traffic -------------------------------------------------------------------------------------

static void post_buffers(uint64_t *random, uint32_t max_len)
{
	static struct kit_layout l;
	for (unsigned n = 1 + kit_random(random) % 30; n; n--) {
		uint32_t len = max_len ? max_len : 12 + (uint32_t)(kit_random(random) % 3000);
		kit_layout_random(&l, random, len, 1 + kit_random(random) % 6,
			receiver.ring.indirect && kit_random(random) & 1);
		uint16_t outstanding = receiver.driver.avail_idx - receiver.driver.used_seen;
		if (outstanding * (len + 100) > MEMORY / 2 ||
			kit_post_buffer(&receiver.driver, &l) < 0)
			break;
	}
	kit_publish(&receiver.driver);
}

static void send_frames(uint64_t *random, uint32_t max_len)
{
	static struct kit_layout l;
	static uint8_t bytes[KIT_FRAME_MAX];
	const struct virtio_net_hdr vnet = {0};
	for (unsigned n = 1 + kit_random(random) % 12; n; n--) {
		uint32_t len = FRAME_MIN + (uint32_t)(kit_random(random) % (max_len - FRAME_MIN));
		for (uint32_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)kit_random(random);
		kit_layout_random(&l, random, sender.driver.vnet_size + len,
			1 + kit_random(random) % 5, sender.ring.indirect && kit_random(random) & 1);
		if (kit_send(&sender.driver, &vnet, bytes, len, &l) < 0)
			break;
	}
	kit_publish(&sender.driver);
}

// As tx does it: the straight line first, and what that leaves by itself, some in segments.
static unsigned deliver(uint64_t *random)
{
	struct packet *packets[BURST_MAX];
	unsigned put = 0;
	unsigned count = ring_take(&sender.ring, &burst, BURST_MAX);
	for (unsigned i = 0; i < count; i++)
		packets[i] = &burst.packets[i];
	ring_put_begin(&receiver.ring, &layout, count);
	for (unsigned i = ring_put_plain(&receiver.ring, packets, count); i < count; i++) {
		const struct packet *p = packets[i];
		struct frame f = {.head = p->data,
			.head_len = p->head_len,
			.body = p->body,
			.body_len = p->len - p->head_len};
		if (p->head_len > 60 && kit_random(random) & 1) {
			f.csum_at = 50;
			f.csum_start = 34;
		}
		if (f.body_len > 100 && kit_random(random) & 1)
			f.body_len /= 2;
		put += !ring_put(&receiver.ring, &f);
		if (f.body_len && f.body_len < p->len - p->head_len) {
			f.body_off = f.body_len;
			put += !ring_put(&receiver.ring, &f);
		}
	}
	kit_put_end(&receiver.ring);
	kit_complete(&sender.ring);
	return put;
}

static void check_traffic(uint64_t seed, uint64_t features, uint64_t mergeable, uint32_t buffer)
{
	static uint8_t frame[KIT_FRAME_MAX];
	struct virtio_net_hdr_mrg_rxbuf vnet;
	struct kit_used used;
	unsigned put = 0;
	// Soon the rings start over, in the middle of a burst.
	start_side(&sender, (uint16_t)(0 - 31 * seed), features);
	start_side(&receiver, (uint16_t)(0 - 101 * seed), features | mergeable);
	for (unsigned round = 0; round < 150; round++) {
		send_frames(&seed, buffer ? buffer - 12 : 9000);
		post_buffers(&seed, buffer);
		remember(&sender);
		remember(&receiver);
		put += deliver(&seed);
		check_log(&sender);
		check_log(&receiver);
		while (kit_receive(&receiver.driver, &vnet, frame) >= 0)
			;
		while (kit_pop(&sender.driver, &used))
			;
	}
	cr_assert_eq(sender.ring.fault, RING_OK);
	cr_assert_eq(receiver.ring.fault, RING_OK);
	cr_assert_gt(put, 300);
	cr_assert_gt(receiver.changed, put / 2);
	// A write may leave a page as it was, but seldom does.
	uint64_t logged = sender.logged + receiver.logged;
	uint64_t changed = sender.changed + receiver.changed;
	cr_assert_leq(logged, changed + changed / 10, "%llu pages logged, %llu changed",
		(unsigned long long)logged, (unsigned long long)changed);
	stop_side(&sender);
	stop_side(&receiver);
}

Test(ring_log, mergeable_buffers)
{
	check_traffic(1, MODERN | EVENT, MERGEABLE, 0);
	check_traffic(2, MODERN | EVENT | INDIRECT, MERGEABLE, 0);
	check_traffic(3, MODERN | INDIRECT, MERGEABLE, 0);
}

Test(ring_log, whole_buffers)
{
	check_traffic(4, MODERN | EVENT, 0, 3000);
	check_traffic(5, MODERN | EVENT | INDIRECT, 0, 9000);
	check_traffic(6, 0, 0, 3000); // a short header, flags
}

// One descriptor in one region for each frame and buffer, as drivers have it.
Test(ring_log, plain_frames)
{
	static struct kit_layout l;
	static uint8_t bytes[1500];
	const struct virtio_net_hdr vnet = {0};
	uint64_t random = 7;
	start_side(&sender, 0, MODERN | EVENT);
	start_side(&receiver, 0, MODERN | EVENT | MERGEABLE);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 10; i++) {
			memset(bytes, (int)(round * 10 + i + 1), sizeof(bytes));
			uint32_t len = i % 2 ? 60 : 1500;
			kit_layout_even(&l, 12 + len, 12 + len);
			kit_send(&sender.driver, &vnet, bytes, len, &l);
			kit_layout_even(&l, 1526, 1526);
			kit_post_buffer(&receiver.driver, &l);
		}
		kit_publish(&sender.driver);
		kit_publish(&receiver.driver);
		remember(&sender);
		remember(&receiver);
		cr_assert_geq(deliver(&random), 10);
		check_log(&sender);
		check_log(&receiver);
	}
	cr_assert_gt(receiver.changed, 20);
	stop_side(&sender);
	stop_side(&receiver);
}

// --- fields that are written outside a burst -----------------------------------------------------

static void check_event(uint64_t features)
{
	start_side(&sender, 100, features);
	// ring_init asks the driver not to notify.
	check_log(&sender);
	cr_assert_eq(sender.changed, 1);
	cr_assert_eq(sender.logged, 1);
	void (*const writers[])(struct ring *) = {ring_arm, ring_disarm};
	for (unsigned i = 0; i < 2; i++) {
		remember(&sender);
		sender.changed = sender.logged = 0;
		writers[i](&sender.ring);
		check_log(&sender);
		cr_assert_eq(sender.changed, 1);
		cr_assert_eq(sender.logged, 1);
	}
	stop_side(&sender);
}

Test(ring_log, arming_and_disarming)
{
	check_event(MODERN | EVENT);
	check_event(MODERN);
}

// --- what is the VMM's fault ---------------------------------------------------------------------

// A log that ends before the memory that is written, or before the used ring.
static void check_too_small(uint64_t size)
{
	static struct kit_layout l;
	uint64_t random = 11;
	start_side(&receiver, 0, MODERN | MERGEABLE);
	start_side(&sender, 0, MODERN);
	uint8_t *bits = receiver.log.bits;
	receiver.log.size = size;
	receiver.log.bits = calloc(1, size + 64);
	send_frames(&random, 1500);
	kit_layout_even(&l, 1526, 1526);
	// Beyond 4 GiB.
	receiver.guest.cursor = receiver.guest.mem.regions[2].guest_addr;
	for (unsigned i = 0; i < 40; i++)
		kit_post_buffer(&receiver.driver, &l);
	kit_publish(&receiver.driver);
	deliver(&random);
	cr_assert_eq(receiver.ring.fault, RING_FAULT_LOG_TOO_SMALL);
	cr_assert_eq(sender.ring.fault, RING_OK);
	for (unsigned i = 0; i < 64; i++)
		cr_assert_eq(receiver.log.bits[size + i], 0, "a bit %u bytes behind the log", i);
	free(receiver.log.bits);
	receiver.log.bits = bits;
	stop_side(&sender);
	stop_side(&receiver);
}

Test(ring_log, a_log_that_is_too_small)
{
	check_too_small(USED_ADDR / DIRTY_PAGE / 8 + 1);
	check_too_small(USED_ADDR / DIRTY_PAGE / 8);
	check_too_small(1);
}

// What was put into memory that is gone is not told to the guest.
Test(ring_log, memory_taken_away)
{
	uint64_t random = 13;
	start_side(&sender, 0, MODERN);
	start_side(&receiver, 0, MODERN | MERGEABLE);
	send_frames(&random, 1500);
	post_buffers(&random, 0);
	receiver.guest.mem.gone = true;
	deliver(&random);
	cr_assert_eq(receiver.ring.fault, RING_FAULT_MEMORY_GONE);
	cr_assert_eq(receiver.driver.used->idx, 0);
	cr_assert_eq(sender.ring.fault, RING_OK);
	cr_assert_neq(sender.driver.used->idx, 0);

	sender.log.gone = true;
	send_frames(&random, 1500);
	deliver(&random);
	cr_assert_eq(sender.ring.fault, RING_FAULT_MEMORY_GONE);
	stop_side(&sender);
	stop_side(&receiver);
}

// SPDX-License-Identifier: BSD-3-Clause
// Properties: frames of random layouts go from one guest to another and arrive unchanged, in order;
// and a guest that rewrites its rings while they are read hurts nobody but itself.
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/kit_guest.h"

#define FEATURE(f) (1ULL << (f))
#define USUAL \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
		FEATURE(VIRTIO_RING_F_EVENT_IDX))

static struct kit_guest guests[2];
static struct kit_driver sender, receiver;
static struct ring from_vm, to_vm;
static struct burst burst;
static struct ring_layout layout;

static void start(uint16_t size, uint16_t index, uint64_t sender_features, uint64_t features)
{
	for (unsigned i = 0; i < 2; i++)
		kit_guest_init_usual(&guests[i], 4 << 20);
	kit_driver_init(&sender, &guests[0], size, index, sender_features);
	kit_driver_init(&receiver, &guests[1], size, (uint16_t)~index, features);
	struct ring_setup setup = kit_driver_setup(&sender);
	cr_assert_eq(ring_init(&from_vm, &setup), 0);
	setup = kit_driver_setup(&receiver);
	cr_assert_eq(ring_init(&to_vm, &setup), 0);
}

static void stop(void)
{
	ring_fini(&from_vm);
	ring_fini(&to_vm);
	kit_driver_fini(&sender);
	kit_driver_fini(&receiver);
	kit_guest_fini(&guests[0]);
	kit_guest_fini(&guests[1]);
}

// Frame number n: its length and its bytes follow from n.
static uint32_t reference(uint32_t n, uint8_t *bytes)
{
	static const uint32_t scales[] = {100, 100, 300, 1600, 9100, FRAME_MAX};
	uint64_t random = 0x9e3779b97f4a7c15 * (n + 1);
	uint32_t scale = scales[kit_random(&random) % 6];
	uint32_t len = FRAME_MIN + (uint32_t)(kit_random(&random) % (scale - FRAME_MIN + 1));
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t word = kit_random(&random);
		memcpy(bytes + i, &word, len - i < 8 ? len - i : 8);
	}
	return len;
}

static void post_buffers(uint64_t *random, uint32_t max_len)
{
	static struct kit_layout l;
	for (unsigned n = 1 + kit_random(random) % 40; n; n--) {
		uint32_t len = max_len ? max_len : 12 + (uint32_t)(kit_random(random) % 3000);
		kit_layout_random(
			&l, random, len, 1 + kit_random(random) % 6, kit_random(random) & 1);
		// The kit reuses memory: no more than half of it may be outstanding.
		uint16_t outstanding = receiver.avail_idx - receiver.used_seen;
		if (outstanding * (len + 100) > 2 << 20 || kit_post_buffer(&receiver, &l) < 0)
			break;
	}
	kit_publish(&receiver);
}

static void send_frames(uint64_t *random, uint32_t *sent)
{
	static struct kit_layout l;
	static uint8_t bytes[KIT_FRAME_MAX];
	for (unsigned n = kit_random(random) % 6; n; n--) {
		uint32_t len = reference(*sent, bytes);
		const struct virtio_net_hdr vnet = {.hdr_len = (uint16_t)*sent};
		unsigned max = 1 + (unsigned)(kit_random(random) % (n == 3 ? 300 : 4));
		kit_layout_random(&l, random, sender.vnet_size + len, max,
			from_vm.indirect && kit_random(random) & 1);
		if (kit_send(&sender, &vnet, bytes, len, &l) < 0)
			break;
		++*sent;
	}
	kit_publish(&sender);
}

// Delivers a burst. What finds no buffers is lost: `lost[n]` says so.
static void switch_burst(uint32_t *taken, bool *lost)
{
	unsigned count = ring_take(&from_vm, &burst, BURST_MAX);
	ring_put_begin(&to_vm, &layout, count);
	for (unsigned i = 0; i < count; i++) {
		const struct packet *p = &burst.packets[i];
		const struct frame f = {.vnet.hdr_len = p->hdr_len,
			.head = p->data,
			.head_len = p->head_len,
			.body = p->body,
			.body_len = p->len - p->head_len};
		cr_assert_eq(p->verdict, VERDICT_NONE);
		int err = ring_put(&to_vm, &f);
		cr_assert(!err || err == -ENOBUFS || err == -EMSGSIZE);
		lost[(*taken)++] = err;
	}
	kit_put_end(&to_vm);
	kit_complete(&from_vm);
	cr_assert_eq(from_vm.fault, RING_OK);
	cr_assert_eq(to_vm.fault, RING_OK);
}

static void receive_frames(uint32_t *received, uint32_t taken, const bool *lost)
{
	static uint8_t got[KIT_FRAME_MAX], want[KIT_FRAME_MAX];
	struct virtio_net_hdr_mrg_rxbuf vnet;
	for (; *received < taken; ++*received) {
		if (lost[*received])
			continue;
		uint32_t len = reference(*received, want);
		cr_assert_eq(kit_receive(&receiver, &vnet, got), (int)len);
		cr_assert_eq(vnet.hdr.hdr_len, (uint16_t)*received);
		cr_assert_eq(memcmp(got, want, len), 0, "frame %u", *received);
	}
	cr_assert_eq(kit_receive(&receiver, &vnet, got), -1);
}

static void check_random(
	uint64_t seed, uint64_t sender_features, uint64_t features, uint32_t buffer)
{
	enum {
		ROUNDS = 400
	};
	static bool lost[ROUNDS * 8];
	uint32_t sent = 0, taken = 0, received = 0, arrived = 0;
	struct kit_used used;
	start(512, (uint16_t)(seed * 65400), sender_features, features);
	for (unsigned round = 0; round < ROUNDS; round++) {
		send_frames(&seed, &sent);
		post_buffers(&seed, buffer);
		switch_burst(&taken, lost);
		receive_frames(&received, taken, lost);
		while (kit_pop(&sender, &used))
			cr_assert_eq(used.len, 0);
	}
	cr_assert_eq(taken, sent);
	for (uint32_t i = 0; i < taken; i++)
		arrived += !lost[i];
	cr_assert_gt(arrived, sent / 2, "%u of %u", arrived, sent);
	stop();
}

Test(ring_random, mergeable)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		check_random(seed, USUAL, USUAL | FEATURE(VIRTIO_NET_F_MRG_RXBUF), 0);
}

Test(ring_random, legacy_sender_and_big_buffers)
{
	check_random(7, FEATURE(VIRTIO_RING_F_INDIRECT_DESC), USUAL, 12 + FRAME_MAX);
	check_random(8, 0, FEATURE(VIRTIO_RING_F_INDIRECT_DESC), 12 + FRAME_MAX);
}

// --- a guest that changes its rings while they are read ------------------------------------------

// By design this races: it is here for AddressSanitizer, and for the answer to be sane.
static _Atomic bool enough;

struct vandal {
	struct kit_driver *driver;
	uint64_t tables[32]; // guest addresses of indirect tables to play with
};

static uint64_t any_address(struct kit_guest *g, uint64_t random)
{
	const struct memory_region *r = &g->mem.regions[random % g->mem.nregions];
	static const uint32_t before_end[] = {1, 3, 64, 203, 204, 205, 2000, 5000};
	return (random >> 4) % 16 ? r->guest_addr + (random >> 8) % (r->size - 5000)
				  : r->guest_addr + r->size - before_end[(random >> 12) % 8];
}

// Mostly sound descriptors, now and then an evil one: else the first read ends it.
static struct vring_desc any_desc(const struct vandal *v, uint64_t *random, uint16_t size)
{
	static const uint32_t lens[] = {12, 13, 26, 100, 204, 205, 1526, 4000};
	uint64_t r = kit_random(random);
	struct vring_desc d = {.addr = any_address(v->driver->g, r),
		.len = lens[(r >> 40) % 8],
		.flags = r >> 50 & 1 ? VRING_DESC_F_NEXT : 0,
		.next = (uint16_t)((r >> 20) % size)};
	if ((r >> 52) % 8 == 0) {
		d.addr = v->tables[(r >> 30) % 32];
		d.len = 16 * (1 + (uint32_t)(r >> 55) % 8);
		d.flags = VRING_DESC_F_INDIRECT;
	}
	if ((r >> 44) % 4096 == 0)
		d.len = (uint32_t)r;
	return d;
}

static void *rewrite(void *arg)
{
	const struct vandal *v = arg;
	struct kit_driver *d = v->driver;
	uint64_t random = 99;
	while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
		struct vring_desc desc = any_desc(v, &random, d->size);
		uint16_t flags = d == &receiver ? VRING_DESC_F_WRITE : 0;
		uint64_t r = kit_random(&random);
		desc.flags |= flags;
		d->desc[r % d->size] = desc;
		desc = any_desc(v, &random, 8);
		desc.flags |= flags;
		uint64_t at = v->tables[(r >> 8) % 32] + 16 * (r >> 16 & 7);
		kit_write(d->g, at, &desc, sizeof(desc));
		d->avail->ring[r % d->size] = (uint16_t)((r >> 30) % d->size);
		uint16_t used = __atomic_load_n(&d->used->idx, __ATOMIC_RELAXED);
		__atomic_store_n(&d->avail->idx, (uint16_t)(used + r % 40), __ATOMIC_RELEASE);
	}
	return NULL;
}

static void restart(struct ring *ring, const struct kit_driver *d)
{
	struct ring_setup setup = kit_driver_setup(d);
	setup.next_avail = setup.next_used = ring->next_used;
	ring_fini(ring);
	cr_assert_eq(ring_init(ring, &setup), 0);
}

static void check_packets(const struct burst *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		const struct packet *p = &b->packets[i];
		uint64_t len = p->head_len;
		cr_assert_leq(p->head_len, STASH_HEADERS);
		for (unsigned k = 0; k < p->nbody; k++) {
			const uint8_t *from = p->body[k].base;
			bool inside = false;
			len += p->body[k].len;
			for (unsigned r = 0; r < guests[0].mem.nregions; r++) {
				const struct memory_region *m = &guests[0].mem.regions[r];
				inside |= from >= m->host &&
					  from + p->body[k].len <= m->host + m->size;
			}
			cr_assert(inside);
		}
		cr_assert(p->verdict == VERDICT_DROP || len == p->len);
	}
}

static void put_all(void)
{
	ring_put_begin(&to_vm, &layout, burst.count);
	for (unsigned i = 0; i < burst.count; i++) {
		const struct packet *p = &burst.packets[i];
		if (p->verdict == VERDICT_DROP)
			continue;
		struct frame f = {.head = p->data,
			.head_len = p->head_len,
			.body = p->body,
			.body_len = p->len - p->head_len,
			.csum_at = p->head_len > 60 && i % 4 == 0 ? 50 : 0,
			.csum_start = 34};
		ring_put(&to_vm, &f);
	}
	kit_put_end(&to_vm);
}

static void check_hostile(struct kit_driver *victim)
{
	pthread_t thread;
	struct vandal vandal = {.driver = victim};
	uint64_t random = 5;
	unsigned faults = 0;
	uint64_t frames = 0;
	for (unsigned i = 0; i < 32; i++)
		vandal.tables[i] = kit_alloc(victim->g, 128);
	for (unsigned i = 0; i < victim->size; i++) {
		victim->desc[i] = any_desc(&vandal, &random, victim->size);
		victim->avail->ring[i] = (uint16_t)i;
	}
	atomic_store(&enough, false);
	cr_assert_eq(pthread_create(&thread, NULL, rewrite, &vandal), 0);
	// Until both were seen often: on a busy machine the other thread may sleep for long.
	for (uint32_t round = 0; round < 10000 || faults < 50 || frames < 3000; round++) {
		uint32_t sent = round;
		if (victim == &receiver) {
			struct kit_used used;
			send_frames(&random, &sent);
			while (kit_pop(&sender, &used))
				;
		}
		frames += ring_take(&from_vm, &burst, BURST_MAX);
		check_packets(&burst);
		if (victim == &sender) {
			struct virtio_net_hdr_mrg_rxbuf vnet;
			static uint8_t got[KIT_FRAME_MAX];
			post_buffers(&random, 0);
			put_all();
			while (kit_receive(&receiver, &vnet, got) >= 0)
				;
		} else {
			put_all();
		}
		kit_complete(&from_vm);
		struct ring *ring = victim == &sender ? &from_vm : &to_vm;
		if (ring->fault != RING_OK) {
			faults++;
			restart(ring, victim);
		}
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	const struct ring *other = victim == &sender ? &to_vm : &from_vm;
	cr_assert_eq(other->fault, RING_OK, "the other: %s", ring_fault_text(other->fault));
}

Test(ring_random, hostile_sender, .timeout = 120)
{
	start(64, 0, USUAL, USUAL | FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	check_hostile(&sender);
	stop();
}

Test(ring_random, hostile_receiver, .timeout = 120)
{
	start(64, 0, USUAL, USUAL | FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	check_hostile(&receiver);
	stop();
}

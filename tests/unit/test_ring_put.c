// SPDX-License-Identifier: BSD-3-Clause
// To-vm: frames go into buffers of any layout, or leave no trace.
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/kit_guest.h"

#define FEATURE(f) (1ULL << (f))
#define BIG        (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC))
#define MERGEABLE  (BIG | FEATURE(VIRTIO_NET_F_MRG_RXBUF))

static struct kit_guest guest;
static struct kit_driver driver;
static struct ring ring;
static struct ring_layout layout;
static uint8_t bytes[KIT_FRAME_MAX];
static uint8_t got[KIT_FRAME_MAX];
static struct virtio_net_hdr_mrg_rxbuf vnet;

static void start_at(uint16_t size, uint16_t index, uint64_t features)
{
	kit_guest_init_usual(&guest, 1 << 20);
	kit_driver_init(&driver, &guest, size, index, features);
	struct ring_setup setup = kit_driver_setup(&driver);
	cr_assert_eq(ring_init(&ring, &setup), 0);
	uint64_t random = 4711;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)kit_random(&random);
}

static void start(uint16_t size, uint64_t features)
{
	start_at(size, 0, features);
}

static void stop(void)
{
	ring_fini(&ring);
	kit_driver_fini(&driver);
	kit_guest_fini(&guest);
}

static void post(unsigned count, const struct kit_layout *l)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_geq(kit_post_buffer(&driver, l), 0);
	kit_publish(&driver);
}

static void post_even(unsigned count, uint32_t total, uint32_t step, bool indirect)
{
	static struct kit_layout l;
	kit_layout_even(&l, total, step);
	if (indirect)
		l.ndirect = 0;
	post(count, &l);
}

// A frame of the first len bytes: head_len of them in its head, the rest in a body of segments of
// body_step bytes.
static struct frame make_frame(uint32_t len, uint32_t head_len, uint32_t body_step)
{
	static struct segment body[FRAME_MAX];
	static uint8_t head[KIT_FRAME_MAX];
	struct frame f = {.vnet = {.flags = 1, .hdr_len = 0x1122, .csum_offset = 0x3344},
		.head = head,
		.head_len = head_len < len ? head_len : len,
		.body = body};
	memcpy(head, bytes, f.head_len);
	f.body_len = len - f.head_len;
	uint32_t at = f.head_len;
	for (unsigned i = 0; at < len; i++) {
		uint32_t run = len - at < body_step ? len - at : body_step;
		body[i] = (struct segment){bytes + at, run};
		at += run;
	}
	return f;
}

static void expect_received(uint32_t len)
{
	memset(got, 0, sizeof(got));
	cr_assert_eq(kit_receive(&driver, &vnet, got), (int)len);
	cr_assert_eq(memcmp(got, bytes, len), 0);
	cr_assert_eq(vnet.hdr.flags, 1);
	cr_assert_eq(vnet.hdr.hdr_len, 0x1122);
	cr_assert_eq(vnet.hdr.csum_offset, 0x3344);
}

static void deliver(uint32_t len)
{
	static const uint32_t steps[] = {FRAME_MAX, 4096, 1, 33};
	struct frame f = make_frame(len, 192, steps[len % 4]);
	ring_put_begin(&ring, &layout, 1);
	cr_assert_eq(ring_put(&ring, &f), 0, "length %u: %s", len, ring_fault_text(ring.fault));
	cr_assert_eq(kit_receive(&driver, &vnet, got), -1, "published too early");
	kit_put_end(&ring);
	expect_received(len);
}

static const uint32_t lengths[] = {14, 15, 60, 64, 191, 192, 193, 256, 448, 449, 1514, 9014};
#define FOR_LENGTHS(len) \
	for (unsigned k_ = 0; k_ < sizeof(lengths) / sizeof(*lengths) && (len = lengths[k_], 1); \
		k_++)

Test(ring_put, one_buffer_of_exact_size)
{
	uint32_t len;
	start(64, MERGEABLE);
	FOR_LENGTHS(len)
	{
		post_even(1, 12 + len, UINT32_MAX, false);
		deliver(len);
		cr_assert_eq(vnet.num_buffers, 1);
	}
	stop();
}

// --- plain packets -------------------------------------------------------------------------------

static struct packet make_packet(const struct frame *f)
{
	return (struct packet){.data = f->head,
		.len = f->head_len + f->body_len,
		.head_len = (uint16_t)f->head_len,
		.body = f->body};
}

Test(ring_put, plain_packets_arrive_as_others_do)
{
	static const uint64_t features[] = {0, BIG, MERGEABLE};
	static const uint32_t steps[] = {UINT32_MAX, 100};
	for (unsigned i = 0; i < 6; i++) {
		uint32_t len;
		start(64, features[i / 2]);
		FOR_LENGTHS(len)
		{
			struct frame f = make_frame(len, 192, steps[i % 2]);
			struct packet p = make_packet(&f);
			post_even(1, 12 + len, UINT32_MAX, false);
			ring_put_begin(&ring, &layout, 1);
			cr_assert_eq(ring_put_plain(&ring, &(struct packet *){&p}, 1), 1);
			kit_put_end(&ring);
			memset(got, 0, sizeof(got));
			cr_assert_eq(kit_receive(&driver, &vnet, got), (int)len);
			cr_assert_arr_eq(got, bytes, len);
			cr_expect_eq(vnet.hdr.flags | vnet.hdr.gso_type | vnet.hdr.csum_offset, 0);
			cr_expect_eq(vnet.num_buffers, i / 2 ? 1 : vnet.num_buffers);
		}
		stop();
	}
}

// It stops where it cannot go on, and leaves the rest to ring_put.
Test(ring_put, plain_packets_stop_at_the_first_that_does_not_fit)
{
	struct packet *packets[4];
	struct frame f = make_frame(64, 192, UINT32_MAX);
	struct packet p = make_packet(&f);
	for (unsigned i = 0; i < 4; i++)
		packets[i] = &p;
	start(64, MERGEABLE);
	post_even(2, 12 + 64, UINT32_MAX, false);
	post_even(1, 12 + 63, UINT32_MAX, false); // one byte short
	post_even(1, 12 + 64, UINT32_MAX, false);
	cr_expect_eq(ring_put_plain(&ring, packets, 4), 0, "nothing was read ahead");
	ring_put_begin(&ring, &layout, 4);
	cr_expect_eq(ring_put_plain(&ring, packets, 4), 2);
	cr_expect_eq(ring.next_avail, 2);
	cr_expect_eq(ring_put(&ring, &f), 0, "over two buffers");
	cr_expect_eq(ring.next_avail, 4);
	cr_expect_eq(ring_put_plain(&ring, packets, 1), 0, "no buffer is left");
	ring.fault = RING_FAULT_LOOP;
	cr_expect_eq(ring_put_plain(&ring, packets, 1), 0);
	stop();
}

Test(ring_put, not_mergeable)
{
	uint32_t len;
	static const uint64_t features[] = {0, BIG};
	for (unsigned i = 0; i < 2; i++) {
		start(1024, features[i]);
		cr_assert_eq(ring.vnet_size, i ? 12 : 10);
		FOR_LENGTHS(len)
		{
			post_even(1, 12 + len, UINT32_MAX, false);
			deliver(len);
			post_even(1, 12 + len, 64, false); // direct chain
			deliver(len);
			if (i) {
				cr_assert_eq(vnet.num_buffers, 1);
				post_even(1, 70000, 4096, true); // as Linux posts them
				deliver(len);
			}
		}
		stop();
	}
}

Test(ring_put, header_split_at_every_byte)
{
	start(64, MERGEABLE);
	for (uint32_t cut = 1; cut < 12 + 200; cut++) {
		for (unsigned ndirect = 0; ndirect <= 2; ndirect++) {
			post(1, &(struct kit_layout){
					.n = 2, .ndirect = ndirect, .lens = {cut, 12 + 250 - cut}});
			deliver(250);
		}
	}
	stop();
}

Test(ring_put, one_byte_per_descriptor)
{
	start(1024, MERGEABLE);
	post_even(1, 12 + 300, 1, false);
	deliver(300);
	post_even(1, 12 + 900, 1, true);
	deliver(900);
	stop();
}

Test(ring_put, buffer_across_regions)
{
	start(64, MERGEABLE);
	for (uint32_t before = 1; before < 12 + 300; before++) {
		guest.cursor = kit_border(&guest, 0, before);
		post_even(1, 312, UINT32_MAX, false);
		deliver(300);
	}
	stop();
}

Test(ring_put, merged_over_many_small_buffers)
{
	start_at(4096, 65000, MERGEABLE);
	static const uint32_t sizes[] = {12, 13, 100, 1526};
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned turn = 0; turn < 3; turn++) {
			uint32_t len = 1024 * sizes[i] - 12;
			len = len < 9000 ? len - turn : 9000 - turn;
			unsigned need = (12 + len + sizes[i] - 1) / sizes[i];
			post_even(need, sizes[i], 1 + sizes[i] / 2, turn == 2);
			deliver(len);
			cr_assert_eq(vnet.num_buffers, need);
		}
	}
	stop();
}

Test(ring_put, frame_of_64_kib)
{
	start(256, MERGEABLE);
	for (unsigned turn = 0; turn < 8; turn++) {
		post_even(43, 1526, UINT32_MAX, false);
		deliver(65226);
		cr_assert_eq(vnet.num_buffers, 43);
	}
	for (unsigned turn = 0; turn < 4; turn++) {
		post_even(1, 12 + FRAME_MAX, UINT32_MAX, false);
		deliver(FRAME_MAX - turn);
	}
	stop();
}

Test(ring_put, burst_is_published_once)
{
	start(64, MERGEABLE);
	post_even(40, 1526, UINT32_MAX, false);
	ring_put_begin(&ring, &layout, 5); // fewer than follow
	for (uint32_t i = 0; i < 40; i++) {
		struct frame f = make_frame(60 + i, 192, 100);
		cr_assert_eq(ring_put(&ring, &f), 0);
	}
	cr_assert_eq(kit_receive(&driver, &vnet, got), -1);
	kit_put_end(&ring);
	for (uint32_t i = 0; i < 40; i++)
		expect_received(60 + i);
	cr_assert_eq(ring.next_used, 40);
	cr_assert_eq(ring.next_avail, 40);
	stop();
}

Test(ring_put, body_from_an_offset)
{
	start(64, MERGEABLE);
	for (uint32_t off = 0; off < 300; off++) {
		post_even(1, 2048, 700, false);
		struct frame f = make_frame(1500, 20, 50);
		// The frame without the first off bytes of its body.
		f.body_off = off;
		f.body_len -= off;
		ring_put_begin(&ring, &layout, 1);
		cr_assert_eq(ring_put(&ring, &f), 0);
		kit_put_end(&ring);
		cr_assert_eq(kit_receive(&driver, &vnet, got), (int)(1500 - off));
		cr_assert_eq(memcmp(got, bytes, 20), 0);
		cr_assert_eq(memcmp(got + 20, bytes + 20 + off, 1480 - off), 0);
	}
	stop();
}

// --- refusals: nothing is consumed ---------------------------------------------------------------

static void expect_refusal(uint32_t len, int error)
{
	uint16_t avail = ring.next_avail, used = ring.next_used;
	struct frame f = make_frame(len, 192, 1000);
	ring_put_begin(&ring, &layout, 1);
	cr_assert_eq(ring_put(&ring, &f), error);
	kit_put_end(&ring);
	cr_assert_eq(ring.next_avail, avail);
	cr_assert_eq(ring.next_used, used);
	cr_assert_eq(kit_receive(&driver, &vnet, got), -1);
	cr_assert_eq(ring.fault, RING_OK);
}

Test(ring_put, no_buffers)
{
	start(4, MERGEABLE);
	expect_refusal(60, -ENOBUFS);
	post_even(3, 100, UINT32_MAX, false);
	expect_refusal(289, -ENOBUFS);
	deliver(288);
	cr_assert_eq(vnet.num_buffers, 3);
	expect_refusal(60, -ENOBUFS);
	stop();
}

// What the driver makes available in the middle of a burst is found.
Test(ring_put, index_is_read_again)
{
	start(64, MERGEABLE);
	ring_put_begin(&ring, &layout, 32);
	struct frame f = make_frame(60, 192, 100);
	cr_assert_eq(ring_put(&ring, &f), -ENOBUFS);
	for (unsigned i = 0; i < 50; i++) {
		post_even(1, 100, UINT32_MAX, false);
		cr_assert_eq(ring_put(&ring, &f), 0);
		cr_assert_eq(ring_put(&ring, &f), -ENOBUFS);
	}
	kit_put_end(&ring);
	for (unsigned i = 0; i < 50; i++)
		expect_received(60);
	stop();
}

Test(ring_put, buffer_too_small)
{
	start(64, BIG);
	post_even(2, 12 + 100, 50, false);
	expect_refusal(101, -EMSGSIZE);
	deliver(100);
	expect_refusal(65000, -EMSGSIZE);
	deliver(99);
	expect_refusal(65000, -ENOBUFS);
	stop();
}

Test(ring_put, whole_ring_too_small)
{
	start(4, MERGEABLE);
	post_even(4, 100, UINT32_MAX, false);
	expect_refusal(389, -EMSGSIZE);
	deliver(388);
	cr_assert_eq(vnet.num_buffers, 4);
	stop();
}

// A layout of more pieces than one frame may be cut into is refused, not overrun.
Test(ring_put, too_many_pieces)
{
	start(64, MERGEABLE);
	post_even(20, 1000, 1, true);
	expect_refusal(15000, -EMSGSIZE);
	deliver(7000);
	stop();
}

// --- checksums -----------------------------------------------------------------------------------

// RFC 1071 the plain way: big-endian words, byte after byte.
static uint16_t reference_checksum(const uint8_t *p, uint32_t n, uint32_t sum)
{
	for (uint32_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void check_csum(uint32_t len, uint32_t head_len, uint32_t csum_start, uint32_t step)
{
	struct frame f = make_frame(len, head_len, step);
	f.csum_start = (uint16_t)csum_start;
	f.csum_at = (uint16_t)(csum_start + 6 + csum_start % 2 * 2);
	f.csum_init = 0x12345 + len; // words as loaded: bytes swapped for the reference
	ring_put_begin(&ring, &layout, 1);
	cr_assert_eq(ring_put(&ring, &f), 0);
	kit_put_end(&ring);
	cr_assert_eq(kit_receive(&driver, &vnet, got), (int)len);

	uint16_t field = (uint16_t)(got[f.csum_at] << 8 | got[f.csum_at + 1]);
	got[f.csum_at] = got[f.csum_at + 1] = 0;
	uint32_t init = (f.csum_init & 0xffff) + (f.csum_init >> 16);
	init = __builtin_bswap16((uint16_t)init) + (init >> 16 ? 0x100 : 0);
	cr_assert_eq(field, reference_checksum(got + csum_start, len - csum_start, init),
		"len %u head %u start %u step %u", len, head_len, csum_start, step);
	got[f.csum_at] = bytes[f.csum_at];
	got[f.csum_at + 1] = bytes[f.csum_at + 1];
	cr_assert_eq(memcmp(got, bytes, len), 0);
}

Test(ring_put, checksum_at_odd_boundaries)
{
	static const uint32_t steps[] = {1, 2, 3, 15, 16, 17, 33, 64, 1000, FRAME_MAX};
	static const uint32_t layouts[] = {UINT32_MAX, 1, 7, 64, 333};
	start(2048, MERGEABLE);
	for (uint32_t len = 60; len < 400; len += 17) {
		for (unsigned i = 0; i < 10; i++) {
			for (unsigned k = 0; k < 5; k++) {
				post_even(1, 12 + len, layouts[k], false);
				check_csum(len, 54 + i, 34 + i % 3, steps[i]);
			}
		}
	}
	for (unsigned i = 4; i < 10; i++) {
		post_even(44, 1526, i % 2 ? 501 : UINT32_MAX, false);
		check_csum(65000 + i, 190 + i % 3, 34 + i % 2, steps[i]);
		while (kit_receive(&driver, &vnet, got) > 0)
			;
	}
	stop();
}

Test(ring_put, checksum_of_zero_is_0xffff_for_udp_only)
{
	start(64, MERGEABLE);
	for (unsigned udp = 0; udp < 2; udp++) {
		post_even(1, 200, UINT32_MAX, false);
		struct frame f = make_frame(100, 60, 10);
		memset(f.head, 0, 60);
		f.head[40] = f.head[41] = 0xff; // the only word that counts: its complement is zero
		f.body_len = 0;
		f.csum_start = 34;
		f.csum_at = 50;
		f.csum_udp = udp;
		ring_put_begin(&ring, &layout, 1);
		cr_assert_eq(ring_put(&ring, &f), 0);
		kit_put_end(&ring);
		cr_assert_eq(kit_receive(&driver, &vnet, got), 60);
		cr_assert_eq(got[50] << 8 | got[51], udp ? 0xffff : 0);
	}
	stop();
}

// SPDX-License-Identifier: BSD-3-Clause
// From-vm: frames of any layout come out of the ring as they went in.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/kit_guest.h"

#define FEATURE(f) (1ULL << (f))
#define USUAL      (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC))

static struct kit_guest guest;
static struct kit_driver driver;
static struct ring ring;
static struct burst burst;
static uint8_t frame[KIT_FRAME_MAX];

static void start_at(uint16_t size, uint16_t index, uint64_t features)
{
	kit_guest_init_usual(&guest, 1 << 20);
	kit_driver_init(&driver, &guest, size, index, features);
	struct ring_setup setup = kit_driver_setup(&driver);
	cr_assert_eq(ring_init(&ring, &setup), 0);
	uint64_t random = 42;
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)kit_random(&random);
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

static void expect_frame(const struct packet *p, const uint8_t *bytes, uint32_t len)
{
	static uint8_t got[KIT_FRAME_MAX];
	cr_assert_eq(p->len, len);
	cr_assert_eq(p->head_len, len < STASH_HEADERS ? len : STASH_HEADERS);
	memcpy(got, p->data, p->head_len);
	uint32_t at = p->head_len;
	for (unsigned i = 0; i < p->nbody; i++) {
		cr_assert_leq(at + p->body[i].len, len);
		memcpy(got + at, p->body[i].base, p->body[i].len);
		at += p->body[i].len;
	}
	cr_assert_eq(at, len);
	cr_assert_eq(memcmp(got, bytes, len), 0);
}

static void send_layout(uint32_t len, const struct kit_layout *l)
{
	const struct virtio_net_hdr vnet = {.hdr_len = 0x1234};
	cr_assert_geq(kit_send(&driver, &vnet, frame, len, l), 0);
	kit_publish(&driver);
}

// Sends one frame by that layout and takes it.
static void round_trip(uint32_t len, const struct kit_layout *l)
{
	struct kit_used used;
	send_layout(len, l);
	cr_assert(ring_pending(&ring));
	cr_assert_eq(
		ring_take(&ring, &burst, BURST_MAX), 1, "fault: %s", ring_fault_text(ring.fault));
	const struct packet *p = &burst.packets[0];
	cr_assert_eq(p->verdict, VERDICT_NONE);
	cr_assert_eq(p->hdr_len, 0x1234);
	cr_assert_eq(p->offload, 0);
	expect_frame(p, frame, len);
	cr_assert_not(kit_pop(&driver, &used), "completed before its time");
	kit_complete(&ring);
	cr_assert(kit_pop(&driver, &used));
	cr_assert_eq(used.len, 0);
	cr_assert_not(kit_pop(&driver, &used));
	cr_assert_not(ring_pending(&ring));
}

static const uint32_t lengths[] = {14, 60, 64, 65, 128, 129, 191, 192, 193, 1514, 9014, FRAME_MAX};
#define FOR_LENGTHS(len) \
	for (unsigned k_ = 0; k_ < sizeof(lengths) / sizeof(*lengths) && (len = lengths[k_], 1); \
		k_++)

Test(ring_take, one_descriptor)
{
	uint32_t len;
	start(64, USUAL);
	FOR_LENGTHS(len)
	round_trip(len, &(struct kit_layout){.n = 1, .ndirect = 1, .lens = {12 + len}});
	stop();
}

Test(ring_take, header_of_its_own_without_version_1)
{
	uint32_t len;
	start(64, 0);
	cr_assert_eq(ring.vnet_size, 10);
	FOR_LENGTHS(len)
	{
		round_trip(len, &(struct kit_layout){.n = 2, .ndirect = 2, .lens = {10, len}});
		round_trip(len, &(struct kit_layout){.n = 1, .ndirect = 1, .lens = {10 + len}});
	}
	stop();
}

Test(ring_take, header_split_at_every_byte)
{
	start(64, USUAL);
	for (uint32_t cut = 1; cut <= 12 + 14; cut++) {
		for (unsigned ndirect = 0; ndirect <= 2; ndirect++)
			round_trip(
				200, &(struct kit_layout){
					     .n = 2, .ndirect = ndirect, .lens = {cut, 212 - cut}});
	}
	stop();
}

Test(ring_take, one_byte_per_descriptor)
{
	static struct kit_layout l;
	start(1024, USUAL);
	kit_layout_even(&l, 12 + 500, 1);
	round_trip(500, &l);
	l.ndirect = 0;
	round_trip(500, &l);
	l.ndirect = 100;
	round_trip(500, &l);
	kit_layout_even(&l, CHAIN_MAX, 1);
	round_trip(CHAIN_MAX - 12, &l);
	stop();
}

Test(ring_take, memory_across_regions)
{
	start(64, USUAL);
	for (uint32_t before = 1; before < 12 + 300; before++) {
		guest.cursor = kit_border(&guest, 0, before);
		round_trip(300, &(struct kit_layout){.n = 1, .ndirect = 1, .lens = {312}});
	}
	stop();
}

Test(ring_take, indirect_table_across_regions)
{
	start(64, USUAL);
	for (uint32_t before = 1; before < 48; before++) {
		const struct kit_layout l = {.n = 3, .lens = {20, 30, 312 - 50}};
		// The pieces are placed first, the table behind them.
		guest.cursor = kit_border(&guest, 0, before + 312);
		round_trip(300, &l);
	}
	stop();
}

Test(ring_take, bursts_past_the_end_of_16_bit_indexes)
{
	start_at(64, 65500, USUAL);
	for (unsigned n = 1; n < 40; n++) {
		struct kit_used used;
		unsigned count = n < BURST_MAX ? n : BURST_MAX;
		for (unsigned i = 0; i < n; i++) {
			const struct virtio_net_hdr none = {0};
			const struct kit_layout l = {.n = 1, .ndirect = 1, .lens = {12 + 60 + i}};
			cr_assert_geq(kit_send(&driver, &none, frame + i, 60 + i, &l), 0);
		}
		kit_publish(&driver);
		cr_assert_eq(ring_take(&ring, &burst, 99), count);
		for (unsigned i = 0; i < count; i++)
			expect_frame(&burst.packets[i], frame + i, 60 + i);
		kit_complete(&ring);
		cr_assert_eq(ring_take(&ring, &burst, 99), n - count);
		kit_complete(&ring);
		for (unsigned i = 0; i < n; i++)
			cr_assert(kit_pop(&driver, &used));
		cr_assert_not(kit_pop(&driver, &used));
	}
	cr_assert_lt(ring.next_avail, 1000);
	cr_assert_eq(ring.next_avail, ring.next_used);
	stop();
}

Test(ring_take, no_more_than_asked_for)
{
	start(64, USUAL);
	const struct kit_layout l = {.n = 1, .ndirect = 1, .lens = {72}};
	for (unsigned i = 0; i < 5; i++)
		send_layout(60, &l);
	cr_assert_eq(ring_take(&ring, &burst, 2), 2);
	kit_complete(&ring);
	cr_assert_eq(ring_take(&ring, &burst, 2), 2);
	kit_complete(&ring);
	cr_assert_eq(ring_take(&ring, &burst, 2), 1);
	kit_complete(&ring);
	cr_assert_eq(ring_take(&ring, &burst, 2), 0);
	stop();
}

Test(ring_take, too_short_and_too_long_are_dropped_by_name)
{
	struct kit_used used;
	start(64, USUAL);
	for (uint32_t len = 0; len < FRAME_MIN; len++) {
		send_layout(len, &(struct kit_layout){.n = 1, .ndirect = 1, .lens = {12 + len}});
		cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 1);
		cr_assert_eq(burst.packets[0].verdict, VERDICT_DROP);
		cr_assert_eq(burst.packets[0].drop, DROP_FRAME_TOO_SHORT);
		cr_assert_eq(burst.packets[0].len, len);
		kit_complete(&ring);
		cr_assert(kit_pop(&driver, &used));
	}
	const uint32_t len = FRAME_MAX + 1;
	for (unsigned n = 1; n <= 2; n++) {
		send_layout(len,
			&(struct kit_layout){
				.n = n, .ndirect = n, .lens = {n == 1 ? 12 + len : 40, len - 28}});
		cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 1);
		cr_assert_eq(burst.packets[0].verdict, VERDICT_DROP);
		cr_assert_eq(burst.packets[0].drop, DROP_FRAME_TOO_LONG);
		cr_assert_eq(burst.packets[0].len, len);
		cr_assert_eq(burst.packets[0].nbody, 0);
		kit_complete(&ring);
		cr_assert(kit_pop(&driver, &used));
	}
	stop();
}

Test(ring_take, offloads_as_claimed)
{
	const struct {
		uint8_t flags, gso_type, offload;
	} claims[] = {
		{0, 0, 0}, {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, OFFLOAD_CSUM_PARTIAL},
		{VIRTIO_NET_HDR_F_DATA_VALID, 0, OFFLOAD_CSUM_VALID},
		{1, VIRTIO_NET_HDR_GSO_TCPV4, OFFLOAD_CSUM_PARTIAL | OFFLOAD_TSO4},
		{1, VIRTIO_NET_HDR_GSO_TCPV6, OFFLOAD_CSUM_PARTIAL | OFFLOAD_TSO6},
		{0, VIRTIO_NET_HDR_GSO_TCPV4 | 0x80, OFFLOAD_TSO4 | OFFLOAD_ECN},
		{0, VIRTIO_NET_HDR_GSO_UDP, OFFLOAD_UNKNOWN_GSO},
		{0, 5, OFFLOAD_UNKNOWN_GSO}, // UDP_L4
		{0, 2, OFFLOAD_UNKNOWN_GSO},
		{0, 0x80, OFFLOAD_UNKNOWN_GSO | OFFLOAD_ECN}, // ECN of nothing
	};
	start(64, USUAL);
	for (unsigned i = 0; i < 2 * sizeof(claims) / sizeof(*claims); i++) {
		const struct virtio_net_hdr vnet = {.flags = claims[i / 2].flags,
			.gso_type = claims[i / 2].gso_type,
			.hdr_len = 54,
			.gso_size = 1448,
			.csum_start = 34,
			.csum_offset = 16};
		const struct kit_layout l = {
			.n = 1 + i % 2, .ndirect = 1 + i % 2, .lens = {i % 2 ? 7 : 212, 205}};
		cr_assert_geq(kit_send(&driver, &vnet, frame, 200, &l), 0);
		kit_publish(&driver);
		memset(&burst, 0xff, sizeof(burst));
		cr_assert_eq(ring_take(&ring, &burst, 1), 1);
		const struct packet *p = &burst.packets[0];
		cr_assert_eq(p->offload, claims[i / 2].offload, "claim %u", i / 2);
		cr_assert_eq(p->hdr_len, 54);
		cr_assert_eq(p->gso_size, 1448);
		cr_assert_eq(p->csum_start, 34);
		cr_assert_eq(p->csum_offset, 16);
		cr_assert_eq(p->verdict + p->drop, 0);
		cr_assert_eq(p->data, burst.stash[0] + STASH_HEADROOM);
		kit_complete(&ring);
	}
	stop();
}

// A burst's segments are used up before its frames are: the rest comes with the next call.
Test(ring_take, segments_run_out)
{
	static struct kit_layout l;
	unsigned taken = 0, calls = 0;
	start(4096, USUAL);
	kit_layout_even(&l, 12 + 700, 1);
	for (unsigned i = 0; i < 5; i++)
		send_layout(700, &l);
	for (; taken < 5; calls++) {
		unsigned n = ring_take(&ring, &burst, BURST_MAX);
		cr_assert_gt(n, 0);
		for (unsigned i = 0; i < n; i++)
			expect_frame(&burst.packets[i], frame, 700);
		taken += n;
		kit_complete(&ring);
	}
	cr_assert_gt(calls, 1);
	cr_assert_eq(ring.fault, RING_OK);
	stop();
}

// SPDX-License-Identifier: BSD-3-Clause
// Copies of packets that wait: byte for byte what came, in no more buffers than are said, and as
// good for a receiver as the packet itself.
#include "switch/hold.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "kit_wire.h"
#include "switch/hold_pool.h"
#include "switch/parse.h"

static const uint64_t secret[2] = {0x6a09e667f3bcc909, 0xbb67ae8584caa73b};
static struct wire w;
static struct parcel parcel;
static void *buffers[HOLD_BUFFERS_MAX];

static struct held *hold(const struct packet *p)
{
	unsigned n = hold_buffers(p);
	cr_assert_leq(n, HOLD_BUFFERS_MAX);
	for (unsigned i = 0; i < n; i++)
		buffers[i] = aligned_alloc(64, HOLD_BUFFER);
	return hold_copy(p, buffers, secret);
}

static void let_go(struct held *held)
{
	void *all[HOLD_BUFFERS_MAX];
	unsigned n = hold_list(held, all);
	cr_assert_eq(n, held->queued.buffers);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(all[i], buffers[i], "buffer %u of %u", i, n);
		free(all[i]);
	}
}

static void check_bytes(const struct packet *p, const uint8_t *bytes, uint32_t len)
{
	cr_assert_eq(p->len, len);
	cr_assert_arr_eq(p->data, bytes, p->head_len);
	uint32_t at = p->head_len;
	for (uint16_t i = 0; i < p->nbody; at += p->body[i++].len)
		cr_assert_arr_eq(p->body[i].base, bytes + at, p->body[i].len);
	cr_assert_eq(at, len);
}

static void make_udp(uint32_t payload)
{
	wire_ethernet(&w);
	wire_ipv4(&w, 0);
	wire_udp(&w);
	wire_payload(&w, payload);
	wire_finish(&w);
}

static void load(uint32_t piece)
{
	uint32_t head = w.len < STASH_HEADERS ? w.len : STASH_HEADERS;
	parcel_load(&parcel, w.bytes, w.len, head, piece);
	parse_packet(&parcel.packet);
}

Test(hold, all_lengths_and_layouts)
{
	for (uint32_t payload = 18; payload < 65000; payload += payload < 3000 ? 1 : 977) {
		const uint32_t pieces[] = {1 + payload / 7, 2048, 65536};
		make_udp(payload);
		load(pieces[payload % 3]);
		struct held *held = hold(&parcel.packet);
		check_bytes(&held->packet, w.bytes, w.len);
		let_go(held);
		parcel_free(&parcel);
	}
}

Test(hold, most_frames_take_one_buffer)
{
	make_udp(1500 - 28);
	load(65536);
	cr_expect_eq(hold_buffers(&parcel.packet), 1);
	parcel_free(&parcel);
	struct packet longest = {.len = FRAME_MAX, .head_len = FRAME_MIN};
	cr_expect_leq(hold_buffers(&longest), HOLD_BUFFERS_MAX);
}

// Pushed for another receiver of a flood, and popped for this one; or the other way.
Test(hold, tags_may_be_pushed_and_popped)
{
	make_udp(500);
	load(65536);
	struct held *held = hold(&parcel.packet);
	packet_set_tag(&held->packet, 0x8100, 5);
	cr_expect_eq(held->packet.len, w.len + 4);
	packet_set_tag(&held->packet, 0, 0);
	check_bytes(&held->packet, w.bytes, w.len);
	let_go(held);
	packet_set_tag(&parcel.packet, 0x8100, 5);
	held = hold(&parcel.packet);
	cr_expect_eq(held->packet.head_len, STASH_HEADERS + 4);
	packet_set_tag(&held->packet, 0, 0);
	check_bytes(&held->packet, w.bytes, w.len);
	let_go(held);
	parcel_free(&parcel);
}

static struct queued queued_of(void)
{
	load(65536);
	struct held *held = hold(&parcel.packet);
	struct queued q = held->queued;
	q.ip = q.ip ? (uint8_t *)(q.ip - held->packet.data) : NULL;
	let_go(held);
	parcel_free(&parcel);
	return q;
}

Test(hold, what_a_scheduler_is_told)
{
	make_udp(500);
	w.bytes[w.l3 + 1] = 46 << 2 | 1; // EF
	struct queued q = queued_of();
	cr_expect_eq((uintptr_t)q.ip, w.l3);
	cr_expect_eq(q.bytes, w.len);
	cr_expect_eq(q.packets, 1);
	cr_expect_eq(q.class, 5);
	cr_expect_not(q.is_ipv6);
	wire_ethernet(&w);
	wire_tag(&w, 0x8100, 3 << 13 | 5);
	wire_ipv6(&w);
	wire_udp(&w);
	wire_payload(&w, 100);
	wire_finish(&w);
	w.bytes[w.l3] = 0x6c; // CS6
	q = queued_of();
	cr_expect_eq((uintptr_t)q.ip, w.l3);
	cr_expect_eq(q.class, 6);
	cr_expect(q.is_ipv6);
	// Without IP: by the tag, and without one above all.
	wire_ethernet(&w);
	wire_tag(&w, 0x8100, 3 << 13 | 5);
	wire_type(&w, 0x88b5);
	wire_payload(&w, 60);
	q = queued_of();
	cr_expect_null(q.ip);
	cr_expect_eq(q.class, 3);
	wire_ethernet(&w);
	wire_type(&w, 0x88b5);
	wire_payload(&w, 60);
	q = queued_of();
	cr_expect_eq(q.class, 6);
}

// Though its tag or its IP header says that it is of the lowest class: it would be lost first, and
// with it the neighbour.
Test(hold, who_finds_neighbours_is_of_a_high_class)
{
	wire_ethernet(&w);
	wire_tag(&w, 0x8100, 5);
	wire_type(&w, 0x0806);
	wire_payload(&w, 60);
	cr_expect_eq(queued_of().class, 6);
	for (unsigned type = 128; type < 140; type++) {
		wire_ethernet(&w);
		wire_tag(&w, 0x8100, 5);
		wire_ipv6(&w);
		wire_l4(&w, IPPROTO_ICMPV6, 8);
		wire_payload(&w, 24);
		wire_finish(&w);
		w.bytes[w.l4] = (uint8_t)type;
		w.bytes[w.l3 + 1] &= 0x0f;
		w.bytes[w.l3] = 0x60;
		cr_expect_eq(queued_of().class, type >= 133 && type <= 137 ? 6 : 0, "%u", type);
	}
	// The same byte of another protocol.
	make_udp(20);
	w.bytes[w.l4] = 135;
	w.bytes[w.l3 + 1] = 0;
	cr_expect_eq(queued_of().class, 0);
}

Test(hold, a_tso_frame_counts_as_its_segments)
{
	wire_ethernet(&w);
	wire_ipv4(&w, 0);
	wire_tcp(&w, 12);
	wire_payload(&w, 10000);
	wire_finish(&w);
	parcel_load(&parcel, w.bytes, w.len, STASH_HEADERS, 4096);
	parcel.packet.offload = OFFLOAD_TSO4 | OFFLOAD_CSUM_PARTIAL;
	parcel.packet.gso_size = 1448;
	parcel.packet.csum_start = w.l4;
	parcel.packet.csum_offset = 16;
	parse_packet(&parcel.packet);
	struct held *held = hold(&parcel.packet);
	cr_expect_eq(held->queued.packets, 7);
	cr_expect_eq(held->queued.bytes, 10000 + 7 * 66);
	cr_expect_eq(held->queued.buffers, 1 + (w.len - STASH_HEADERS + 2047) / 2048);
	cr_expect_eq(held->packet.offload, OFFLOAD_TSO4 | OFFLOAD_CSUM_PARTIAL);
	let_go(held);
	// Without those that its receiver has got already.
	parcel.packet.flags |= PACKET_BEGUN;
	parcel.packet.segments_gone = 4;
	held = hold(&parcel.packet);
	cr_expect_eq(held->queued.packets, 3);
	cr_expect_eq(held->queued.bytes, 10000 - 4 * 1448 + 3 * 66);
	cr_expect_eq(held->packet.segments_gone, 4);
	let_go(held);
	parcel_free(&parcel);
}

// n stuck queues leave one part of n + 1, and each has a little anyway.
Test(hold, what_one_queue_may_hold)
{
	struct hold_pool pool = {.total = 4096, .used = 3000};
	cr_expect_eq(hold_pool_share(&pool), 1096);
	atomic_store(&pool.used, 4200);
	cr_expect_eq(hold_pool_share(&pool), 0);
	atomic_store(&pool.least, 34);
	cr_expect_eq(hold_pool_share(&pool), 34);
	atomic_store(&pool.used, 4000);
	cr_expect_eq(hold_pool_share(&pool), 96);
}

// Flows fall together by chance only, and for another secret others do.
Test(hold, flows_are_spread_by_a_key)
{
	uint32_t hashes[256], together = 0;
	for (uint32_t i = 0; i < 256; i++) {
		make_udp(20);
		wire_store16(w.bytes + w.l4, (uint16_t)(1000 + i));
		load(65536);
		hashes[i] = packet_flow_keyed(&parcel.packet, secret);
		cr_expect_eq(hashes[i], packet_flow_keyed(&parcel.packet, secret));
		const uint64_t other[2] = {secret[0] + 2, secret[1]};
		cr_expect_neq(hashes[i], packet_flow_keyed(&parcel.packet, other));
		parcel_free(&parcel);
		for (uint32_t k = 0; k < i; k++)
			together += hashes[k] % 1024 == hashes[i] % 1024;
	}
	// Of 32,640 pairs one in 1,024 is expected to: 32.
	cr_expect(together > 8 && together < 70, "%u pairs", together);
}

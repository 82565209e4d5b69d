// SPDX-License-Identifier: BSD-3-Clause
// Segmentation against a reference that builds each segment as a packet of its own, and what each
// kind of receiver is given.
#include "switch/segment.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "switch/parse.h"
#include "tests/unit/kit_wire.h"

#define F(bit) (1ull << (VIRTIO_NET_F_GUEST_##bit))
enum {
	PARTIAL = OFFLOAD_CSUM_PARTIAL,
	TSO4 = OFFLOAD_TSO4,
	TSO6 = OFFLOAD_TSO6
};
enum {
	FIN = 1,
	PSH = 8,
	CWR = 0x80
};

static struct wire wire, want;
static struct parcel parcel;
static struct segmenter seg;
static uint8_t got[WIRE_MAX];

struct shape {
	int version; // 4 or 6
	int proto;
	unsigned tags;
	uint32_t l3_options; // or bytes of an IPv6 extension header
	uint32_t l4_options;
	uint32_t payload;
	uint16_t gso_size; // 0: no TSO
	uint32_t head_len;
	uint32_t piece;
	uint8_t flags; // TCP
};

static void build(const struct shape *sh)
{
	wire_ethernet(&wire);
	for (unsigned i = 0; i < sh->tags; i++)
		wire_tag(&wire, 0x8100, 10);
	if (sh->version == 4)
		wire_ipv4(&wire, sh->l3_options);
	else
		wire_ipv6(&wire);
	if (sh->version == 6 && sh->l3_options)
		wire_extension(&wire, IPPROTO_DSTOPTS, sh->l3_options);
	if (sh->proto == IPPROTO_TCP) {
		wire_tcp(&wire, sh->l4_options);
		wire.bytes[wire.l4 + 13] = sh->flags;
	} else {
		wire_udp(&wire);
	}
	wire_payload(&wire, sh->payload);
	wire_finish(&wire);
}

// As a guest would send it: with a partial checksum, whose field is no use to anybody.
static struct packet *sent(const struct shape *sh)
{
	build(sh);
	memcpy(got, wire.bytes, wire.len);
	uint16_t at = sh->proto == IPPROTO_TCP ? 16 : 6;
	memset(got + wire.l4 + at, 0xee, 2);
	parcel_load(&parcel, got, wire.len, sh->head_len ? sh->head_len : STASH_HEADERS, sh->piece);
	struct packet *p = &parcel.packet;
	p->offload = PARTIAL;
	if (sh->gso_size)
		p->offload |= sh->version == 4 ? TSO4 : TSO6;
	p->gso_size = sh->gso_size;
	p->csum_start = wire.l4;
	p->csum_offset = at;
	parse_packet(p);
	cr_assert_eq(p->verdict, VERDICT_NONE, "%s", drop_name(p->drop));
	return p;
}

// The nth segment, as the sender would have built it without TSO.
static void reference(const struct shape *sh, uint32_t n)
{
	uint32_t from = n * sh->gso_size;
	uint32_t len = sh->payload - from < sh->gso_size ? sh->payload - from : sh->gso_size;
	want = wire;
	memcpy(want.bytes + want.payload, wire.bytes + wire.payload + from, len);
	want.len = want.payload + len;
	uint8_t *l3 = want.bytes + want.l3, *l4 = want.bytes + want.l4;
	if (sh->version == 4)
		wire_store16(l3 + 4, (uint16_t)(wire_load16(l3 + 4) + n));
	uint32_t seq = (uint32_t)wire_load16(l4 + 4) << 16 | wire_load16(l4 + 6);
	wire_store16(l4 + 4, (uint16_t)((seq + from) >> 16));
	wire_store16(l4 + 6, (uint16_t)(seq + from));
	l4[13] = sh->flags;
	if (from + len < sh->payload)
		l4[13] &= (uint8_t) ~(FIN | PSH);
	if (n)
		l4[13] &= (uint8_t)~CWR;
	wire_finish(&want);
}

// Finishes a partial checksum as a receiver does: from what stands in the field to the frame's end.
static void finish(const struct frame *frame, uint8_t *bytes, uint32_t len)
{
	cr_assert_eq(frame->vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	uint32_t start = frame->vnet.csum_start, at = start + frame->vnet.csum_offset;
	cr_assert_lt(at + 1, len);
	uint16_t check = wire_checksum(bytes + start, len - start, 0);
	wire_store16(bytes + at, check ? check : 0xffff);
}

static void expect_segments(const struct shape *sh, uint64_t features)
{
	struct packet *p = sent(sh);
	struct packet before = *p;
	uint8_t stash[STASH_SIZE];
	memcpy(stash, parcel.block, STASH_HEADROOM + p->head_len);
	cr_assert_eq(segment_begin(&seg, p, features, 65535), DROP_NONE);
	uint32_t count = (sh->payload + sh->gso_size - 1) / sh->gso_size;
	cr_expect_eq(segment_count(&seg), count);
	struct frame frame;
	for (uint32_t n = 0; n < count; n++) {
		cr_assert_eq(segment_next(&seg, &frame), 1, "segment %u", n);
		cr_expect(!frame.body_len || frame.body_off < frame.body->len);
		uint32_t len = frame_assemble(&frame, got);
		if (features & F(CSUM))
			finish(&frame, got, len);
		else
			cr_expect_eq(frame.vnet.flags, 0);
		cr_expect_eq(frame.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		cr_expect_eq(frame.vnet.gso_size, 0);
		reference(sh, n);
		cr_assert_eq(len, want.len, "segment %u: %u bytes, not %u", n, len, want.len);
		for (uint32_t i = 0; i < len; i++)
			cr_assert_eq(got[i], want.bytes[i], "segment %u byte %u: %x, not %x", n, i,
				got[i], want.bytes[i]);
	}
	cr_expect_eq(segment_next(&seg, &frame), 0);
	cr_expect_eq(segment_next(&seg, &frame), 0, "and stays at the end");
	cr_expect_eq(segment_count(&seg), count);
	cr_expect_arr_eq(p, &before, sizeof(before), "other receivers get the same packet");
	cr_expect_arr_eq(stash, parcel.block, STASH_HEADROOM + p->head_len);
	parcel_free(&parcel);
}

static const struct shape tcp4 = {.version = 4,
	.proto = IPPROTO_TCP,
	.l4_options = 12,
	.payload = 10000,
	.gso_size = 1448,
	.flags = FIN | PSH | CWR | 0x10};
static const struct shape tcp6 = {.version = 6,
	.proto = IPPROTO_TCP,
	.l4_options = 12,
	.payload = 10000,
	.gso_size = 1428,
	.flags = FIN | PSH | CWR | 0x10};

static void expect_both_ways(const struct shape *sh)
{
	expect_segments(sh, 0);
	expect_segments(sh, F(CSUM));
}

Test(segment, headers_of_all_kinds)
{
	for (int v = 4; v <= 6; v += 2)
		for (unsigned tags = 0; tags <= 2; tags++)
			for (uint32_t options = 0; options <= 40; options += 20) {
				struct shape sh = v == 4 ? tcp4 : tcp6;
				sh.tags = tags;
				sh.l3_options = v == 4 ? options : options / 8 * 8;
				sh.l4_options = options;
				expect_both_ways(&sh);
			}
}

Test(segment, sizes)
{
	static const uint16_t sizes[] = {48, 49, 63, 64, 137, 138, 139, 1447, 1448, 9000, 0xffff};
	static const int deltas[] = {-1, 0, 1};
	for (int v = 4; v <= 6; v += 2)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (unsigned d = 0; d < 3; d++) {
				struct shape sh = v == 4 ? tcp4 : tcp6;
				sh.gso_size = sizes[i];
				sh.payload = sizes[i] * 3u + (uint32_t)deltas[d];
				if (sh.payload > 65000)
					sh.payload = sizes[i] * 2u < 65000 ? sizes[i] * 2u : 0;
				if (sh.payload)
					expect_both_ways(&sh);
			}
}

// Payload that stands in the stash, from none of it to three segments of it.
Test(segment, stash_boundary)
{
	for (int v = 4; v <= 6; v += 2) {
		struct shape sh = v == 4 ? tcp4 : tcp6;
		sh.payload = 300;
		sh.gso_size = 48;
		uint32_t headers = v == 4 ? 66 : 86;
		for (sh.head_len = headers; sh.head_len <= 192; sh.head_len++)
			expect_both_ways(&sh);
		sh.payload = 60; // all of it
		expect_both_ways(&sh);
	}
}

Test(segment, scattered_body)
{
	for (uint32_t piece = 1; piece < 120; piece += 7) {
		struct shape sh = tcp4;
		sh.piece = piece;
		sh.payload = 1000;
		sh.gso_size = 100;
		expect_both_ways(&sh);
		sh.head_len = 66;
		expect_both_ways(&sh);
	}
}

Test(segment, largest_frames)
{
	struct shape sh = tcp4;
	sh.payload = 65535 - 20 - 32;
	expect_both_ways(&sh);
	sh.gso_size = SEGMENT_GSO_MIN;
	expect_both_ways(&sh);
	sh = tcp6;
	sh.payload = 65535 - 40 - 32;
	expect_both_ways(&sh);
}

Test(segment, too_many_segments)
{
	struct shape sh = tcp4;
	sh.gso_size = SEGMENT_GSO_MIN - 1;
	struct packet *p = sent(&sh);
	cr_expect_eq(segment_begin(&seg, p, 0, 1500), DROP_SEGMENT_FAILED);
	cr_expect_eq(segment_begin(&seg, p, F(CSUM), 1500), DROP_SEGMENT_FAILED);
	uint64_t all = F(CSUM) | F(TSO4) | F(ECN);
	cr_expect_eq(segment_begin(&seg, p, all, 1500), DROP_NONE, "it cuts nothing itself");
	parcel_free(&parcel);
}

// A ring may be full behind any segment: those that are left are the same whenever they go, also
// for a receiver that could take all of it by now.
Test(segment, it_goes_on_where_it_ended)
{
	for (unsigned i = 0; i < 3; i++) {
		struct shape sh = i % 2 ? tcp6 : tcp4;
		sh.payload = 1000;
		sh.gso_size = 100;
		sh.piece = i ? 70 : 0;
		sh.head_len = i == 2 ? 66 : 0;
		struct packet *p = sent(&sh);
		for (uint16_t gone = 1; gone < 10; gone++) {
			struct frame frame;
			p->flags |= PACKET_BEGUN;
			p->segments_gone = gone;
			uint64_t all = F(CSUM) | F(TSO4) | F(TSO6) | F(ECN);
			cr_assert_eq(segment_begin(&seg, p, all, 1500), DROP_NONE);
			cr_expect_eq(segment_count(&seg), 10);
			for (uint32_t n = gone; n < 10; n++) {
				cr_assert_eq(segment_next(&seg, &frame), 1, "segment %u", n);
				uint32_t len = frame_assemble(&frame, got);
				finish(&frame, got, len);
				reference(&sh, n);
				cr_expect_eq(len, want.len);
				cr_expect_arr_eq(got, want.bytes, len, "segment %u of %u", n, i);
			}
			cr_expect_eq(segment_next(&seg, &frame), 0);
		}
		parcel_free(&parcel);
	}
}

// --- pass-through ------------------------------------------------------------------------------

static struct frame only(struct packet *p, uint64_t features)
{
	struct frame frame, none;
	cr_assert_eq(segment_begin(&seg, p, features, 65535), DROP_NONE);
	cr_expect_eq(segment_count(&seg), 1);
	cr_assert_eq(segment_next(&seg, &frame), 1);
	cr_expect_eq(segment_next(&seg, &none), 0);
	return frame;
}

static void expect_passes(const struct shape *sh, uint64_t features, uint8_t gso_type)
{
	struct packet *p = sent(sh);
	struct frame frame = only(p, features);
	cr_expect_eq(frame.vnet.gso_type, gso_type);
	cr_expect_eq(frame.vnet.gso_size, sh->gso_size);
	cr_expect_eq(frame.vnet.hdr_len, sh->gso_size ? wire.payload : 0);
	cr_expect_eq(frame.vnet.csum_start, wire.l4);
	cr_expect_eq(frame.csum_at, 0);
	uint32_t len = frame_assemble(&frame, got);
	finish(&frame, got, len);
	cr_expect_eq(len, wire.len);
	cr_expect_arr_eq(got, wire.bytes, len);
	parcel_free(&parcel);
}

Test(segment, receivers_with_tso)
{
	struct shape sh = tcp4;
	uint64_t all = F(CSUM) | F(TSO4) | F(TSO6) | F(ECN);
	uint8_t ecn = VIRTIO_NET_HDR_GSO_ECN;
	expect_passes(&sh, all, VIRTIO_NET_HDR_GSO_TCPV4 | ecn);
	expect_passes(&tcp6, all, VIRTIO_NET_HDR_GSO_TCPV6 | ecn);
	sh.flags = 0x18;
	expect_passes(&sh, all, VIRTIO_NET_HDR_GSO_TCPV4);
	expect_passes(&sh, F(CSUM) | F(TSO4), VIRTIO_NET_HDR_GSO_TCPV4);
	sh.gso_size = 100;
	expect_passes(&sh, F(CSUM) | F(TSO4), VIRTIO_NET_HDR_GSO_TCPV4);
	sh.tags = 2;
	sh.payload = 65535 - 20 - 32;
	expect_passes(&sh, F(CSUM) | F(TSO4), VIRTIO_NET_HDR_GSO_TCPV4);
}

Test(segment, receivers_with_half_of_tso)
{
	expect_segments(&tcp4, F(CSUM) | F(TSO6) | F(ECN));
	expect_segments(&tcp6, F(CSUM) | F(TSO4) | F(ECN));
	expect_segments(&tcp4, F(TSO4) | F(ECN));  // TSO needs GUEST_CSUM
	expect_segments(&tcp4, F(CSUM) | F(TSO4)); // and CWR needs GUEST_ECN
	expect_segments(&tcp6, F(CSUM) | F(TSO6));
}

static void expect_completed(const struct shape *sh)
{
	struct packet *p = sent(sh);
	struct frame frame = only(p, F(TSO4) | F(TSO6));
	cr_expect_eq(frame.vnet.flags, 0);
	cr_expect_neq(frame.csum_at, 0);
	cr_expect_neq(frame.head, p->data, "the ring writes into it");
	uint32_t len = frame_assemble(&frame, got);
	cr_expect_eq(len, wire.len);
	cr_expect_arr_eq(got, wire.bytes, len, "%u bytes of payload", sh->payload);
	parcel_free(&parcel);
}

Test(segment, checksums_are_completed)
{
	static const int protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	for (int v = 4; v <= 6; v += 2)
		for (int i = 0; i < 2; i++)
			for (uint32_t payload = 0; payload < 1500; payload += 1 + payload / 4) {
				struct shape sh = {.version = v,
					.proto = protos[i],
					.payload = payload,
					.tags = payload % 3,
					.piece = 33};
				expect_completed(&sh);
				expect_passes(&sh, F(CSUM), VIRTIO_NET_HDR_GSO_NONE);
			}
}

// RFC 768: a sum of zero is sent as all ones, since zero means that there is none.
Test(segment, udp_checksum_zero)
{
	struct shape sh = {.version = 4, .proto = IPPROTO_UDP, .payload = 2};
	build(&sh);
	uint8_t *l4 = wire.bytes + wire.l4;
	uint16_t check = wire_load16(l4 + 6);
	// The port takes up the rest of the sum.
	uint32_t sport = wire_load16(l4) + check;
	wire_store16(l4, (uint16_t)((sport & 0xffff) + (sport >> 16)));
	wire_finish(&wire);
	cr_assert_eq(wire_load16(l4 + 6), 0xffff);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	parcel.packet.offload = PARTIAL;
	parcel.packet.csum_start = wire.l4;
	parcel.packet.csum_offset = 6;
	parse_packet(&parcel.packet);
	struct frame frame = only(&parcel.packet, 0);
	cr_expect(frame.csum_udp);
	frame_assemble(&frame, got);
	cr_expect_eq(wire_load16(got + wire.l4 + 6), 0xffff);
	parcel_free(&parcel);
}

Test(segment, padding_is_not_summed)
{
	struct shape sh = {.version = 4, .proto = IPPROTO_UDP, .payload = 1};
	build(&sh);
	uint32_t end = wire.len;
	wire_payload(&wire, 17);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	parcel.packet.offload = PARTIAL;
	parcel.packet.csum_start = wire.l4;
	parcel.packet.csum_offset = 6;
	parse_packet(&parcel.packet);
	struct frame frame = only(&parcel.packet, 0);
	cr_expect_eq(frame_assemble(&frame, got), end);
	cr_expect_arr_eq(got, wire.bytes, end);
	parcel_free(&parcel);
}

Test(segment, finished_packets_pass_as_they_are)
{
	struct shape sh = {.version = 4, .proto = IPPROTO_TCP, .payload = 500};
	build(&sh);
	for (int valid = 0; valid < 2; valid++)
		for (int csum = 0; csum < 2; csum++) {
			parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
			struct packet *p = &parcel.packet;
			parse_packet(p);
			p->offload = valid ? OFFLOAD_CSUM_VALID : 0;
			struct frame frame = only(p, csum ? F(CSUM) : 0);
			cr_expect_eq(
				frame.vnet.flags, valid && csum ? VIRTIO_NET_HDR_F_DATA_VALID : 0);
			cr_expect_eq(frame.csum_at, 0);
			cr_expect_eq(frame.head, p->data);
			cr_expect_eq(frame_assemble(&frame, got), wire.len);
			cr_expect_arr_eq(got, wire.bytes, wire.len);
			parcel_free(&parcel);
		}
}

// A tag that is pushed for this receiver moves what the receiver is told.
Test(segment, after_a_tag_is_pushed)
{
	struct packet *p = sent(&tcp4);
	packet_set_tag(p, 0x8100, 9);
	struct frame frame = only(p, F(CSUM) | F(TSO4) | F(ECN));
	cr_expect_eq(frame.vnet.csum_start, wire.l4 + 4);
	cr_expect_eq(frame.vnet.hdr_len, wire.payload + 4);
	cr_assert_eq(segment_begin(&seg, p, 0, 1500), DROP_NONE);
	uint32_t n = 0;
	while (segment_next(&seg, &frame)) {
		uint32_t len = frame_assemble(&frame, got);
		reference(&tcp4, n++);
		cr_expect_eq(len, want.len + 4);
		cr_expect_arr_eq(got + 16, want.bytes + 12, want.len - 12);
	}
	cr_expect_eq(n, 7);
	parcel_free(&parcel);
}

// --- MTU ---------------------------------------------------------------------------------------

static void expect_limit(const struct shape *sh, uint64_t features, uint16_t limit)
{
	struct packet *p = sent(sh);
	cr_expect_eq(segment_begin(&seg, p, features, limit), DROP_NONE);
	cr_expect_eq(segment_begin(&seg, p, features, limit - 1), DROP_TO_VM_MTU);
	parcel_free(&parcel);
}

Test(segment, mtu)
{
	uint64_t all = F(CSUM) | F(TSO4) | F(TSO6) | F(ECN);
	struct shape udp = {.version = 4, .proto = IPPROTO_UDP, .payload = 1472};
	expect_limit(&udp, all, 1500);
	udp.tags = 2;
	expect_limit(&udp, 0, 1500);
	struct shape sh = tcp4;
	expect_limit(&sh, all, 1500);
	expect_limit(&sh, 0, 1500);
	sh.tags = 1;
	expect_limit(&sh, 0, 1500);
	sh = tcp6;
	expect_limit(&sh, all, 1500);
	expect_limit(&sh, 0, 1500);
	// Unknown protocols count all behind the tags.
	wire_ethernet(&wire);
	wire_tag(&wire, 0x8100, 1);
	wire_type(&wire, 0x88b5);
	wire_payload(&wire, 1000);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	parse_packet(&parcel.packet);
	cr_expect_eq(segment_begin(&seg, &parcel.packet, 0, 1000), DROP_NONE);
	cr_expect_eq(segment_begin(&seg, &parcel.packet, 0, 999), DROP_TO_VM_MTU);
	parcel_free(&parcel);
}

// SPDX-License-Identifier: BSD-3-Clause
// What parse_packet makes of the claims in a sender's virtio-net header.
#include "switch/parse.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/unit/kit_wire.h"

enum {
	PARTIAL = OFFLOAD_CSUM_PARTIAL,
	TSO4 = OFFLOAD_TSO4,
	TSO6 = OFFLOAD_TSO6
};
enum {
	CWR = 0x80
};

static struct wire wire;
static struct parcel parcel;

// A TCP (or UDP) packet over IPv4 or IPv6 with that many bytes of payload.
static void build(int version, uint8_t proto, uint32_t payload)
{
	wire_ethernet(&wire);
	if (version == 4)
		wire_ipv4(&wire, 0);
	else
		wire_ipv6(&wire);
	if (proto == IPPROTO_TCP)
		wire_tcp(&wire, 12);
	else if (proto == IPPROTO_UDP)
		wire_udp(&wire);
	else
		wire_l4(&wire, proto, 12);
	wire_payload(&wire, payload);
	wire_finish(&wire);
}

static struct packet *parse(uint8_t offload, uint16_t gso_size, int start, int offset)
{
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 0);
	struct packet *p = &parcel.packet;
	p->offload = offload;
	p->gso_size = gso_size;
	p->hdr_len = 0xbeef;
	p->csum_start = (uint16_t)start;
	p->csum_offset = (uint16_t)offset;
	parse_packet(p);
	return p;
}

// The claim holds, and this is left of it.
static void expect_left(uint8_t claim, uint16_t gso_size, uint8_t left)
{
	bool udp = wire.bytes[wire.next_at] == IPPROTO_UDP;
	struct packet *p = parse(claim, gso_size, wire.l4, udp ? 6 : 16);
	cr_expect_eq(p->verdict, VERDICT_NONE, "%s", drop_name(p->drop));
	cr_expect_eq(p->offload, left, "claimed %x, left %x, not %x", claim, p->offload, left);
	parcel_free(&parcel);
}

static void expect_drop(uint8_t claim, uint16_t gso_size, int start, int offset, int reason)
{
	struct packet *p = parse(claim, gso_size, start, offset);
	cr_expect_eq(p->verdict, VERDICT_DROP, "claim %x", claim);
	cr_expect_eq(p->drop, reason, "claim %x: %s", claim, drop_name(p->drop));
	parcel_free(&parcel);
}

static void expect_bad(uint8_t claim, uint16_t gso_size)
{
	bool udp = wire.bytes[wire.next_at] == IPPROTO_UDP;
	expect_drop(claim, gso_size, wire.l4, udp ? 6 : 16, DROP_BAD_OFFLOAD);
}

Test(offload, claims_that_hold)
{
	for (int version = 4; version <= 6; version += 2) {
		uint8_t tso = version == 4 ? TSO4 : TSO6;
		build(version, IPPROTO_TCP, 3000);
		expect_left(PARTIAL, 0, PARTIAL);
		expect_left(PARTIAL | tso, 1448, PARTIAL | tso);
		expect_left(PARTIAL | tso, 8, PARTIAL | tso);
		expect_left(PARTIAL | tso, 2999, PARTIAL | tso);
		build(version, IPPROTO_UDP, 3000);
		expect_left(PARTIAL, 0, PARTIAL);
		build(version, IPPROTO_UDP, 0);
		expect_left(PARTIAL, 0, PARTIAL);
	}
}

Test(offload, one_segment_is_no_tso)
{
	build(4, IPPROTO_TCP, 1448);
	expect_left(PARTIAL | TSO4, 1448, PARTIAL);
	expect_left(PARTIAL | TSO4, 0xffff, PARTIAL);
	build(6, IPPROTO_TCP, 0);
	expect_left(PARTIAL | TSO6 | OFFLOAD_ECN, 1448, PARTIAL);
}

Test(offload, ecn_is_read_from_the_packet)
{
	build(4, IPPROTO_TCP, 3000);
	expect_left(PARTIAL | TSO4 | OFFLOAD_ECN, 1448, PARTIAL | TSO4);
	wire.bytes[wire.l4 + 13] |= CWR;
	expect_left(PARTIAL | TSO4 | OFFLOAD_ECN, 1448, PARTIAL | TSO4 | OFFLOAD_ECN);
	expect_left(PARTIAL | TSO4, 1448, PARTIAL | TSO4 | OFFLOAD_ECN);
	expect_left(PARTIAL | OFFLOAD_ECN, 0, PARTIAL);
}

Test(offload, a_driver_cannot_vouch_for_a_checksum)
{
	build(4, IPPROTO_TCP, 100);
	expect_left(OFFLOAD_CSUM_VALID, 0, 0);
	expect_left(OFFLOAD_CSUM_VALID | PARTIAL, 0, PARTIAL);
	expect_left(OFFLOAD_ECN, 0, 0);
}

Test(offload, checksum_claims_that_lie)
{
	for (int version = 4; version <= 6; version += 2)
		for (int udp = 0; udp < 2; udp++) {
			build(version, udp ? IPPROTO_UDP : IPPROTO_TCP, 100);
			int l4 = wire.l4, at = udp ? 6 : 16;
			for (int start = 0; start < 300; start++)
				if (start != l4)
					expect_drop(PARTIAL, 0, start, at, DROP_BAD_OFFLOAD);
			for (int offset = 0; offset < 300; offset++)
				if (offset != at)
					expect_drop(PARTIAL, 0, l4, offset, DROP_BAD_OFFLOAD);
			expect_drop(PARTIAL, 0, l4, 0xffff, DROP_BAD_OFFLOAD);
			expect_drop(PARTIAL, 0, 0xffff, at, DROP_BAD_OFFLOAD);
		}
	build(4, IPPROTO_SCTP, 100);
	expect_drop(PARTIAL, 0, wire.l4, 8, DROP_BAD_OFFLOAD);
	expect_drop(PARTIAL, 0, wire.l4, 0, DROP_BAD_OFFLOAD);
	build(4, IPPROTO_UDPLITE, 100);
	expect_drop(PARTIAL, 0, wire.l4, 6, DROP_BAD_OFFLOAD);
	build(4, IPPROTO_TCP, 100);
	wire.bytes[12] = 0x88; // no IP
	expect_bad(PARTIAL, 0);
	build(4, IPPROTO_TCP, 100);
	wire.bytes[wire.l4 + 12] = 0x40;
	expect_bad(PARTIAL, 0);
}

Test(offload, tso_claims_that_lie)
{
	build(4, IPPROTO_TCP, 3000);
	expect_bad(TSO4, 1448);
	expect_bad(PARTIAL | TSO4, 0);
	expect_bad(PARTIAL | TSO4, 7);
	expect_bad(PARTIAL | TSO6, 1448);
	expect_bad(PARTIAL | TSO4 | TSO6, 1448);
	expect_bad(PARTIAL | OFFLOAD_UNKNOWN_GSO, 1448);
	expect_bad(OFFLOAD_UNKNOWN_GSO, 1448);
	expect_drop(PARTIAL | TSO4, 1448, wire.l4, 6, DROP_BAD_OFFLOAD);
	wire_store16(wire.bytes + 16, 0);
	expect_bad(PARTIAL | TSO4, 1448);
	build(6, IPPROTO_TCP, 3000);
	expect_bad(PARTIAL | TSO4, 1448);
	wire_store16(wire.bytes + 18, 0);
	expect_bad(PARTIAL | TSO6, 1448);
	build(4, IPPROTO_UDP, 3000);
	expect_bad(PARTIAL | TSO4, 1448);
	build(6, IPPROTO_UDP, 3000);
	expect_bad(PARTIAL | TSO6, 1448);
}

Test(offload, fragments)
{
	for (int i = 0; i < 2; i++) {
		build(4, IPPROTO_TCP, 3000);
		wire.bytes[20] = i ? 0 : 0x20;
		wire.bytes[21] = i ? 1 : 0;
		expect_bad(PARTIAL, 0);
		expect_bad(PARTIAL | TSO4, 1448);

		wire_ethernet(&wire);
		wire_ipv6(&wire);
		wire_extension(&wire, IPPROTO_FRAGMENT, 8);
		wire.bytes[wire.l4 - 5] = i ? 8 : 1;
		wire_tcp(&wire, 0);
		wire_payload(&wire, 3000);
		wire_finish(&wire);
		expect_bad(PARTIAL, 0);
		expect_bad(PARTIAL | TSO6, 1448);
	}
}

Test(offload, routing_headers)
{
	wire_ethernet(&wire);
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_ROUTING, 24);
	wire_tcp(&wire, 0);
	wire_payload(&wire, 100);
	wire_finish(&wire);
	expect_left(PARTIAL, 0, PARTIAL);
	wire.bytes[14 + 40 + 3] = 1; // a segment left: the checksum is for another destination
	expect_bad(PARTIAL, 0);
	expect_left(0, 0, 0);
}

Test(offload, headers_beyond_the_stash)
{
	wire_ethernet(&wire);
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_DSTOPTS, 120);
	wire_tcp(&wire, 0);
	wire_payload(&wire, 3000);
	wire_finish(&wire);
	expect_drop(PARTIAL, 0, wire.l4, 16, DROP_HEADERS_TOO_LONG);
	expect_drop(PARTIAL | TSO6, 1448, wire.l4, 16, DROP_HEADERS_TOO_LONG);
	struct packet *p = parse(0, 0, 0, 0);
	cr_expect_eq(p->verdict, VERDICT_NONE);
	parcel_free(&parcel);
	// The first header that does not fit may be an extension, too.
	wire_ethernet(&wire);
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_DSTOPTS, 136);
	wire_extension(&wire, IPPROTO_DSTOPTS, 8);
	wire_tcp(&wire, 0);
	wire_finish(&wire);
	expect_drop(PARTIAL, 0, wire.l4, 16, DROP_HEADERS_TOO_LONG);
}

// The sum in the field, and the frame's end, are what a receiver completes the checksum from.
static void expect_ready(uint32_t len, uint32_t head_len)
{
	struct packet *p = &parcel.packet;
	uint32_t l4_len = len - wire.l4;
	uint32_t sum = wire_pseudo(p->data + wire.l3, p->l4_proto, l4_len);
	uint32_t at = p->l4_proto == IPPROTO_TCP ? 16 : 6;
	cr_expect_eq(wire_load16(p->data + p->l4_off + at), (uint16_t)~wire_checksum(NULL, 0, sum));
	cr_expect_eq(p->len, len);
	cr_expect_eq(p->head_len, head_len);
	parcel_free(&parcel);
}

Test(offload, partial_sum_and_padding)
{
	for (int version = 4; version <= 6; version += 2)
		for (int udp = 0; udp < 2; udp++)
			for (uint32_t pad = 0; pad < 300; pad += 50) {
				build(version, udp ? IPPROTO_UDP : IPPROTO_TCP, 101);
				uint32_t end = wire.len;
				wire_payload(&wire, pad);
				parse(PARTIAL, 0, wire.l4, udp ? 6 : 16);
				expect_ready(end, end < 192 ? end : 192);
			}
}

Test(offload, without_a_claim_nothing_is_touched)
{
	build(4, IPPROTO_TCP, 6);
	wire_payload(&wire, 20);
	memset(wire.bytes + wire.l4 + 16, 0x77, 2);
	struct packet *p = parse(0, 0, 0, 0);
	cr_expect_eq(p->len, wire.len);
	cr_expect_arr_eq(p->data, wire.bytes, wire.len);
	parcel_free(&parcel);
}

Test(offload, udp_length_short_of_the_packet)
{
	build(4, IPPROTO_UDP, 100);
	wire_store16(wire.bytes + wire.l4 + 4, 100);
	expect_bad(PARTIAL, 0);
	expect_left(0, 0, 0);
}

Test(offload, largest_frame)
{
	build(4, IPPROTO_TCP, 65535 - 20 - 32);
	expect_left(PARTIAL | TSO4, 1448, PARTIAL | TSO4);
}

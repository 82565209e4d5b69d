// SPDX-License-Identifier: BSD-3-Clause
// Where the IDS begins to look: behind the headers it knows, and never beyond the frame.
#include "vm-images/nf/ids/payload.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit_wire.h"

static struct wire wire;

// The offset in a copy that ends where the frame does.
static size_t offset(size_t length)
{
	uint8_t *copy = malloc(length + 1) + 1;
	memcpy(copy, wire.bytes, length);
	size_t at = payload_offset(copy, length);
	free(copy - 1);
	return at;
}

static void build(unsigned tags, int version, uint8_t protocol)
{
	wire_ethernet(&wire);
	if (tags == 2)
		wire_tag(&wire, 0x88a8, 5);
	if (tags)
		wire_tag(&wire, 0x8100, 6);
	if (version == 4)
		wire_ipv4(&wire, 8);
	else
		wire_ipv6(&wire);
	if (version == 6)
		wire_extension(&wire, IPPROTO_DSTOPTS, 16);
	if (protocol == IPPROTO_TCP)
		wire_tcp(&wire, 12);
	else if (protocol == IPPROTO_UDP)
		wire_udp(&wire);
	else
		wire_l4(&wire, protocol, 0);
}

Test(ids_payload, behind_every_header)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	for (unsigned tags = 0; tags <= 2; tags++)
		for (int version = 4; version <= 6; version += 2)
			for (size_t i = 0; i < sizeof(protocols); i++) {
				build(tags, version, protocols[i]);
				size_t headers = wire.len;
				wire_payload(&wire, 100);
				wire_finish(&wire);
				cr_expect_eq(offset(wire.len), headers,
					"%u tags, v%d, %u: %zu, not %zu", tags, version,
					protocols[i], offset(wire.len), headers);
			}
}

Test(ids_payload, a_frame_cut_anywhere)
{
	for (int version = 4; version <= 6; version += 2) {
		build(1, version, IPPROTO_TCP);
		size_t headers = wire.len, before = 0;
		wire_payload(&wire, 100);
		wire_finish(&wire);
		for (size_t length = 0; length <= headers; length++) {
			size_t at = offset(length);
			cr_assert_leq(at, length);
			// A header that is not whole is payload.
			cr_assert_geq(at, before, "v%d, %zu bytes: from %zu", version, length, at);
			before = length < 14 ? 0 : at;
		}
		cr_expect_eq(offset(headers - 1), wire.l4);
	}
}

Test(ids_payload, what_makes_no_sense_is_payload)
{
	build(0, 4, IPPROTO_TCP);
	wire_payload(&wire, 20);
	wire_finish(&wire);
	wire.bytes[14] = 0x44; // a header of 16 bytes
	cr_expect_eq(offset(wire.len), 14u);
	wire.bytes[14] = 0x65; // IPv6 in a frame of IPv4
	cr_expect_eq(offset(wire.len), 14u);
	wire.bytes[14] = 0x47;
	wire.bytes[wire.l4 + 12] = 0x40; // TCP of 16 bytes
	cr_expect_eq(offset(wire.len), wire.l4);
	wire.bytes[wire.l4 + 12] = 0xf0; // longer than the frame
	cr_expect_eq(offset(wire.l4 + 40u), wire.l4);
	wire_store16(wire.bytes + 12, 0x0806);
	cr_expect_eq(offset(wire.len), 14u);
}

Test(ids_payload, a_later_fragment_has_no_header)
{
	build(0, 4, IPPROTO_UDP);
	wire_payload(&wire, 20);
	wire_finish(&wire);
	size_t behind = wire.l4 + 8u;
	wire.bytes[20] = 0x20; // more of them
	cr_expect_eq(offset(wire.len), behind);
	wire.bytes[21] = 1;
	cr_expect_eq(offset(wire.len), wire.l4);

	wire_ethernet(&wire);
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	wire_udp(&wire);
	wire_payload(&wire, 20);
	wire_finish(&wire);
	cr_expect_eq(offset(wire.len), wire.l4 + 8u);
	wire.bytes[14 + 40 + 3] = 8;
	cr_expect_eq(offset(wire.len), wire.l4);
}

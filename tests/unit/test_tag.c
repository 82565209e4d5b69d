// SPDX-License-Identifier: BSD-3-Clause
// packet_set_tag: the frame in its new form parses to the fields that were moved.
#include "switch/parse.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/unit/kit_wire.h"

static struct wire wire;
static struct parcel parcel;
static uint8_t bytes[WIRE_MAX];

static void build(unsigned tags, int version)
{
	wire_ethernet(&wire);
	if (tags >= 1)
		wire_tag(&wire, tags == 2 ? 0x88a8 : 0x8100, 0x6064);
	if (tags >= 2)
		wire_tag(&wire, 0x8100, 0x200a);
	if (version == 4)
		wire_ipv4(&wire, 8);
	else if (version == 6)
		wire_ipv6(&wire);
	else
		wire_type(&wire, 0x0806);
	if (version)
		wire_tcp(&wire, 12);
	wire_payload(&wire, 300);
	if (version)
		wire_finish(&wire);
}

static struct packet *load(void)
{
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, 50);
	struct packet *p = &parcel.packet;
	if (wire.version) {
		p->offload = OFFLOAD_CSUM_PARTIAL;
		p->csum_start = wire.l4;
		p->csum_offset = 16;
	}
	parse_packet(p);
	cr_assert_eq(p->verdict, VERDICT_NONE);
	return p;
}

// Parsing the frame from its bytes gives the same packet.
static void expect_reparses(const struct packet *p)
{
	struct parcel other;
	uint32_t len = packet_assemble(p, bytes);
	cr_assert_eq(len, p->len);
	parcel_load(&other, bytes, len, p->head_len, 0);
	struct packet *q = &other.packet;
	q->offload = p->offload;
	q->csum_start = p->csum_start;
	q->csum_offset = p->csum_offset;
	parse_packet(q);
	cr_expect_eq(q->verdict, VERDICT_NONE, "%s", drop_name(q->drop));
	cr_expect_eq(q->offload, p->offload);
	cr_expect_eq(q->flags, p->flags);
	cr_expect_eq(q->ether_type, p->ether_type);
	cr_expect_eq(q->l3_off, p->l3_off);
	cr_expect_eq(q->l4_off, p->l4_off);
	cr_expect_eq(q->payload_off, p->payload_off);
	cr_expect_eq(packet_flow_hash(q), packet_flow_hash(p));
	if (p->flags & PACKET_TAGGED) {
		cr_expect_eq(q->vlan_tpid, p->vlan_tpid);
		cr_expect_eq(q->vlan_tci, p->vlan_tci);
	}
	parcel_free(&other);
}

Test(tag, push_and_pop)
{
	static const int versions[] = {0, 4, 6};
	for (unsigned i = 0; i < 3; i++) {
		build(0, versions[i]);
		struct packet *p = load();
		packet_assemble(p, wire.bytes);
		packet_set_tag(p, 0x8100, 0xa123);
		cr_expect_eq(p->len, wire.len + 4);
		cr_expect_eq(p->head_len, STASH_HEADERS + 4);
		cr_expect_eq(p->l3_off, 18);
		cr_expect_arr_eq(p->data, wire.bytes, 12);
		cr_expect_arr_eq(p->data + 12, "\x81\x00\xa1\x23", 4);
		cr_expect_arr_eq(p->data + 16, wire.bytes + 12, STASH_HEADERS - 12);
		cr_expect(p->flags & PACKET_TAGGED);
		expect_reparses(p);
		packet_set_tag(p, 0, 0);
		cr_expect_eq(packet_assemble(p, bytes), wire.len);
		cr_expect_arr_eq(bytes, wire.bytes, wire.len);
		cr_expect(!(p->flags & PACKET_TAGGED));
		cr_expect_eq(p->vlan_tci, 0xa123, "the priority survives");
		expect_reparses(p);
		parcel_free(&parcel);
	}
}

Test(tag, pop_push_and_replace)
{
	static const int versions[] = {0, 4, 6};
	for (unsigned i = 0; i < 3; i++) {
		build(1, versions[i]);
		struct packet *p = load();
		cr_expect_eq(p->vlan_tci, 0x6064);
		packet_assemble(p, wire.bytes);
		packet_set_tag(p, 0, 0);
		cr_expect_eq(p->len, wire.len - 4);
		cr_expect_eq(p->head_len, STASH_HEADERS - 4);
		cr_expect_eq(p->l3_off, 14);
		expect_reparses(p);
		packet_set_tag(p, 0x88a8, 7);
		packet_set_tag(p, 0x8100, 0x6064);
		cr_expect_eq(packet_assemble(p, bytes), wire.len);
		cr_expect_arr_eq(bytes, wire.bytes, wire.len);
		expect_reparses(p);
		parcel_free(&parcel);
	}
}

Test(tag, inner_tag_stays)
{
	build(2, 4);
	struct packet *p = load();
	cr_expect_eq(p->vlan_tpid, 0x88a8);
	packet_set_tag(p, 0, 0);
	cr_expect_arr_eq(p->data + 12, "\x81\x00\x20\x0a\x08\x00", 6);
	cr_expect_eq(p->l3_off, 18);
	packet_set_tag(p, 0x88a8, 100);
	cr_expect_arr_eq(p->data + 12, "\x88\xa8\x00\x64\x81\x00\x20\x0a\x08\x00", 10);
	cr_expect_eq(p->l3_off, 22);
	expect_reparses(p);
	parcel_free(&parcel);
}

// A flood asks for one form after the other.
Test(tag, many_receivers)
{
	build(0, 4);
	struct packet *p = load();
	for (int i = 0; i < 1000; i++) {
		packet_set_tag(p, 0x8100, (uint16_t)i);
		packet_set_tag(p, 0x8100, (uint16_t)i);
		cr_assert_eq(p->len, wire.len + 4);
		if (i % 3) {
			packet_set_tag(p, 0, 0);
			packet_set_tag(p, 0, 0);
			cr_assert_eq(p->len, wire.len);
		}
	}
	expect_reparses(p);
	parcel_free(&parcel);
}

Test(tag, shortest_frames)
{
	wire_ethernet(&wire);
	wire_type(&wire, 0x88b5);
	struct packet *p = load();
	packet_set_tag(p, 0x8100, 5);
	cr_expect_eq(p->len, 18);
	cr_expect_eq(p->head_len, 18);
	cr_expect_arr_eq(p->data + 12, "\x81\x00\x00\x05\x88\xb5", 6);
	packet_set_tag(p, 0, 0);
	cr_expect_eq(p->len, 14);
	cr_expect_arr_eq(p->data, wire.bytes, 14);
	parcel_free(&parcel);
}

// What a device that inserts tags is given beside the frame is what would stand in it.
Test(tag, left_to_the_device)
{
	uint16_t tci = 0;
	for (int tags = 0; tags <= 2; tags++) {
		build((unsigned)tags, 4);
		struct packet *p = load();
		p->vlan = 9;
		cr_expect_eq(packet_leave_tag(p, &tci), tags == 0, "%d tags", tags);
		parcel_free(&parcel);
	}
	cr_expect_eq(tci, 9);
}

Test(tag, left_to_the_device_after_a_pop)
{
	uint16_t tci = 0;
	build(1, 6);
	struct packet *p = load();
	p->vlan = 9;
	packet_tag_vlan(p, false);
	cr_expect(packet_leave_tag(p, &tci));
	cr_expect_eq(tci, 0x6009, "the priority survives");
	packet_tag_vlan(p, true);
	cr_expect_arr_eq(p->data + 12, "\x81\x00\x60\x09", 4, "the same, in the frame");
	cr_expect_not(packet_leave_tag(p, &tci), "it has one");
	parcel_free(&parcel);
}

// The device knows one kind of tag, and an inner one would come to stand behind it unparsed.
Test(tag, not_left_to_the_device)
{
	uint16_t tci = 7;
	build(0, 4);
	struct packet *p = load();
	p->vlan_tpid = 0x88a8;
	cr_expect_not(packet_leave_tag(p, &tci));
	parcel_free(&parcel);
	build(2, 4);
	p = load();
	packet_tag_vlan(p, false);
	p->vlan_tpid = 0x8100;
	cr_expect_not(packet_leave_tag(p, &tci));
	cr_expect_eq(tci, 7);
	parcel_free(&parcel);
}

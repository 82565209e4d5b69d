// SPDX-License-Identifier: BSD-3-Clause
// parse_packet: what it recognises, what it refuses, and that it reads no byte too many.
#include "switch/parse.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/kit_wire.h"

enum {
	V4 = PACKET_IPV4,
	V6 = PACKET_IPV6,
	L4 = PACKET_L4,
	TAGGED = PACKET_TAGGED
};
enum {
	FIRST = PACKET_FRAGMENT,
	LATER = PACKET_FRAGMENT | PACKET_LATER_FRAGMENT
};

static struct wire wire;
static struct parcel parcel;

static struct packet *load(uint32_t len, uint32_t head_len)
{
	parcel_load(&parcel, wire.bytes, len, head_len, 0);
	return &parcel.packet;
}

static struct packet *parse(void)
{
	struct packet *p = load(wire.len, STASH_HEADERS);
	parse_packet(p);
	return p;
}

// --- what is recognised ------------------------------------------------------------------------

static void v4_udp(void)
{
	wire_ipv4(&wire, 0);
	wire_udp(&wire);
	wire_payload(&wire, 30);
}

static void v4_tcp(void)
{
	wire_ipv4(&wire, 0);
	wire_tcp(&wire, 12);
	wire_payload(&wire, 300);
}

static void v4_options(void)
{
	wire_ipv4(&wire, 40);
	wire_tcp(&wire, 40);
	wire_payload(&wire, 200);
}

static void v4_icmp(void)
{
	wire_ipv4(&wire, 0);
	wire_l4(&wire, IPPROTO_ICMP, 8);
	wire_payload(&wire, 56);
}

static void v4_icmp6(void)
{
	wire_ipv4(&wire, 0);
	wire_l4(&wire, IPPROTO_ICMPV6, 8);
}

static void v4_sctp(void)
{
	wire_ipv4(&wire, 4);
	wire_l4(&wire, IPPROTO_SCTP, 12);
	wire_payload(&wire, 20);
}

static void v4_gre(void)
{
	wire_ipv4(&wire, 0);
	wire_l4(&wire, IPPROTO_GRE, 40);
}

static void v4_first(void)
{
	v4_udp();
	wire.bytes[wire.l3 + 6] = 0x20;
}

static void v4_later(void)
{
	v4_udp();
	wire.bytes[wire.l3 + 6] = 0x20;
	wire.bytes[wire.l3 + 7] = 0xb9;
}

static void v6_tcp(void)
{
	wire_ipv6(&wire);
	wire_tcp(&wire, 12);
	wire_payload(&wire, 200);
}

static void v6_icmp(void)
{
	wire_ipv6(&wire);
	wire_l4(&wire, IPPROTO_ICMPV6, 24);
	wire.payload = wire.l4 + 8;
}

static void v6_icmp4(void)
{
	wire_ipv6(&wire);
	wire_l4(&wire, IPPROTO_ICMP, 8);
}

static void v6_all_extensions(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_HOPOPTS, 8);
	wire_extension(&wire, IPPROTO_DSTOPTS, 16);
	wire_extension(&wire, IPPROTO_ROUTING, 24);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8); // atomic: no fragment
	wire.bytes[wire.l4 - 5] = 0x06;             // reserved bits
	wire_extension(&wire, IPPROTO_AH, 20);
	wire_udp(&wire);
	wire_payload(&wire, 200);
}

static void v6_eight(void)
{
	wire_ipv6(&wire);
	for (int i = 0; i < 8; i++)
		wire_extension(&wire, IPPROTO_DSTOPTS, 8);
	wire_udp(&wire);
}

static void v6_nine(void)
{
	wire_ipv6(&wire);
	for (int i = 0; i < 8; i++)
		wire_extension(&wire, IPPROTO_DSTOPTS, 8);
	uint16_t l4 = wire.l4;
	wire_extension(&wire, IPPROTO_DSTOPTS, 8);
	wire_udp(&wire);
	wire.l4 = l4;
}

static void v6_first(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	wire.bytes[wire.l4 - 5] = 0x01;
	wire_udp(&wire);
	wire_payload(&wire, 8);
	wire.bytes[wire.l4 + 4] = 0x10; // the length of the whole datagram
}

static void v6_later(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	wire.bytes[wire.l4 - 5] = 0x08;
	uint16_t l4 = wire.l4;
	wire_extension(&wire, IPPROTO_DSTOPTS, 8); // payload by now: not to be followed
	wire_udp(&wire);
	wire.l4 = l4;
}

static void v6_nothing(void)
{
	wire_ipv6(&wire);
}

static void arp(void)
{
	wire_type(&wire, 0x0806);
	wire_payload(&wire, 46);
}

static void llc(void)
{
	wire_type(&wire, 38);
	wire_payload(&wire, 46);
}

static void bare(void)
{
	wire_type(&wire, 0x88b5);
}

static const struct {
	const char *name;
	void (*build)(void);
	uint16_t flags;
	uint16_t type;
	uint8_t proto;
} kinds[] = {
	{"IPv4 UDP", v4_udp, V4 | L4, 0x0800, IPPROTO_UDP},
	{"IPv4 TCP", v4_tcp, V4 | L4, 0x0800, IPPROTO_TCP},
	{"IPv4 with options", v4_options, V4 | L4, 0x0800, IPPROTO_TCP},
	{"ICMP", v4_icmp, V4 | L4, 0x0800, IPPROTO_ICMP},
	{"ICMPv6 in IPv4", v4_icmp6, V4, 0x0800, IPPROTO_ICMPV6},
	{"SCTP", v4_sctp, V4 | L4, 0x0800, IPPROTO_SCTP},
	{"GRE", v4_gre, V4, 0x0800, IPPROTO_GRE},
	{"IPv4 first fragment", v4_first, V4 | L4 | FIRST, 0x0800, IPPROTO_UDP},
	{"IPv4 later fragment", v4_later, V4 | LATER, 0x0800, IPPROTO_UDP},
	{"IPv6 TCP", v6_tcp, V6 | L4, 0x86dd, IPPROTO_TCP},
	{"ICMPv6", v6_icmp, V6 | L4, 0x86dd, IPPROTO_ICMPV6},
	{"ICMP in IPv6", v6_icmp4, V6, 0x86dd, IPPROTO_ICMP},
	{"all extension headers", v6_all_extensions, V6 | L4, 0x86dd, IPPROTO_UDP},
	{"eight extension headers", v6_eight, V6 | L4, 0x86dd, IPPROTO_UDP},
	{"nine extension headers", v6_nine, V6, 0x86dd, IPPROTO_DSTOPTS},
	{"IPv6 first fragment", v6_first, V6 | L4 | FIRST, 0x86dd, IPPROTO_UDP},
	{"IPv6 later fragment", v6_later, V6 | LATER, 0x86dd, IPPROTO_DSTOPTS},
	{"no next header", v6_nothing, V6, 0x86dd, IPPROTO_NONE},
	{"ARP", arp, PACKET_ARP, 0x0806, 0},
	{"802.3 length", llc, 0, 38, 0},
	{"headers only", bare, 0, 0x88b5, 0},
};
enum {
	KINDS = sizeof(kinds) / sizeof(kinds[0])
};

static const struct {
	uint16_t tpid[2];
	uint16_t tci[2];
} taggings[] = {
	{{0}, {0}},
	{{0x8100}, {0x600a}},
	{{0x8100}, {0xa000}}, // a priority tag
	{{0x88a8, 0x8100}, {100, 10}},
	{{0x9100, 0x8100}, {100, 10}},
	{{0x8100, 0x8100}, {100, 10}},
};
enum {
	TAGGINGS = sizeof(taggings) / sizeof(taggings[0])
};

static void build(unsigned kind, unsigned tagging)
{
	wire_ethernet(&wire);
	for (int i = 0; i < 2; i++)
		if (taggings[tagging].tpid[i])
			wire_tag(&wire, taggings[tagging].tpid[i], taggings[tagging].tci[i]);
	kinds[kind].build();
	uint8_t udp_len[2];
	memcpy(udp_len, wire.bytes + wire.l4 + 4, 2);
	if (wire.version)
		wire_finish(&wire);
	if (kinds[kind].flags & PACKET_FRAGMENT && wire.version == 6)
		memcpy(wire.bytes + wire.l4 + 4, udp_len, 2);
}

static void check_kind(unsigned kind, unsigned tagging, const struct packet *p)
{
	const char *name = kinds[kind].name;
	uint16_t tpid = taggings[tagging].tpid[0];
	cr_expect_eq(p->verdict, VERDICT_NONE, "%s/%u: %s", name, tagging, drop_name(p->drop));
	cr_expect_eq(
		p->flags, kinds[kind].flags | (tpid ? TAGGED : 0), "%s: flags %x", name, p->flags);
	cr_expect_eq(p->vlan_tpid, tpid, "%s", name);
	cr_expect_eq(p->vlan_tci, taggings[tagging].tci[0], "%s", name);
	cr_expect_eq(p->ether_type, kinds[kind].type, "%s", name);
	cr_expect_eq(p->l4_proto, kinds[kind].proto, "%s: proto %u", name, p->l4_proto);
	cr_expect_eq(p->l3_off, wire.l3, "%s", name);
	cr_expect_eq(p->l4_off, wire.l4, "%s: L4 at %u", name, p->l4_off);
	cr_expect_eq(p->payload_off, p->flags & L4 ? wire.payload : wire.l4, "%s: payload at %u",
		name, p->payload_off);
	cr_expect_eq(p->len, wire.len);
}

Test(parse, kinds)
{
	for (unsigned k = 0; k < KINDS; k++)
		for (unsigned t = 0; t < TAGGINGS; t++) {
			build(k, t);
			check_kind(k, t, parse());
			parcel_free(&parcel);
		}
}

Test(parse, a_third_tag_is_an_unknown_type)
{
	wire_ethernet(&wire);
	wire_tag(&wire, 0x88a8, 1);
	wire_tag(&wire, 0x8100, 2);
	wire_tag(&wire, 0x8100, 3);
	v4_udp();
	struct packet *p = parse();
	cr_expect_eq(p->verdict, VERDICT_NONE);
	cr_expect_eq(p->flags, TAGGED);
	cr_expect_eq(p->ether_type, 0x8100);
	parcel_free(&parcel);
}

Test(parse, old_qinq_type_is_no_inner_tag)
{
	wire_ethernet(&wire);
	wire_tag(&wire, 0x8100, 1);
	wire_tag(&wire, 0x9100, 2);
	v4_udp();
	struct packet *p = parse();
	cr_expect_eq(p->ether_type, 0x9100);
	cr_expect_eq(p->l3_off, 18);
	parcel_free(&parcel);
}

// --- truncation --------------------------------------------------------------------------------

// The frame ends early: contradictions are dropped, and nothing is claimed about missing bytes.
Test(parse, frames_cut_at_every_byte)
{
	for (unsigned k = 0; k < KINDS; k++)
		for (unsigned t = 0; t < TAGGINGS; t++) {
			build(k, t);
			for (uint32_t len = 0; len < wire.len; len++) {
				struct packet *p = load(len, len);
				parse_packet(p);
				uint16_t want = len < 14 ? DROP_FRAME_TOO_SHORT
						: wire.version || len < wire.l3 ? DROP_BAD_HEADER
										: DROP_NONE;
				cr_expect_eq(p->drop, want, "%s/%u at %u: %s", kinds[k].name, t,
					len, drop_name(p->drop));
				cr_expect_eq(p->verdict, want ? VERDICT_DROP : VERDICT_NONE);
				parcel_free(&parcel);
			}
		}
}

// The frame goes on, the stash ends early: no error, and flags speak of what is in the stash.
Test(parse, stash_cut_at_every_byte)
{
	for (unsigned k = 0; k < KINDS; k++)
		for (unsigned t = 0; t < TAGGINGS; t++) {
			build(k, t);
			for (uint32_t head = 14; head < wire.len && head < 200; head++) {
				struct packet *p = load(wire.len, head);
				parse_packet(p);
				if (head < wire.l3) {
					cr_expect_eq(p->drop, DROP_HEADERS_TOO_LONG);
				} else {
					bool l4 = kinds[k].flags & L4 && head >= wire.payload;
					cr_expect_eq(p->verdict, VERDICT_NONE, "%s/%u at %u",
						kinds[k].name, t, head);
					cr_expect_eq(!!(p->flags & L4), l4, "%s/%u at %u",
						kinds[k].name, t, head);
				}
				if (p->flags & (V4 | V6))
					cr_expect_geq(head, wire.l3 + (p->flags & V4 ? 20u : 40u));
				cr_expect_leq(p->payload_off, head);
				parcel_free(&parcel);
			}
		}
}

// --- contradictions ----------------------------------------------------------------------------

static void expect_drop(enum drop_reason reason, const char *what)
{
	struct packet *p = parse();
	cr_expect_eq(p->drop, reason, "%s: %s", what, p->drop ? drop_name(p->drop) : "passed");
	cr_expect_eq(p->verdict, reason ? VERDICT_DROP : VERDICT_NONE, "%s", what);
	parcel_free(&parcel);
}

static void fresh(void (*kind)(void))
{
	wire_ethernet(&wire);
	kind();
	if (wire.version)
		wire_finish(&wire);
}

Test(parse, bad_ip_headers)
{
	for (int version = 0; version < 16; version++) {
		fresh(v4_tcp);
		wire.bytes[14] = (uint8_t)(version << 4 | 5);
		expect_drop(version == 4 ? DROP_NONE : DROP_BAD_HEADER, "IPv4 version");
		fresh(v6_tcp);
		wire.bytes[14] = (uint8_t)(version << 4);
		expect_drop(version == 6 ? DROP_NONE : DROP_BAD_HEADER, "IPv6 version");
	}
	fresh(v4_tcp);
	wire.bytes[14] = 0x44;
	expect_drop(DROP_BAD_HEADER, "header length 16");
	fresh(v4_tcp);
	wire_store16(wire.bytes + 16, 19);
	expect_drop(DROP_BAD_HEADER, "total length below the header");
	wire_store16(wire.bytes + 16, 0);
	expect_drop(DROP_BAD_HEADER, "total length 0");
	wire_store16(wire.bytes + 16, (uint16_t)(wire.len - 14 + 1));
	expect_drop(DROP_BAD_HEADER, "total length beyond the frame");
	wire_store16(wire.bytes + 16, 0xffff);
	expect_drop(DROP_BAD_HEADER, "total length at its maximum");
	fresh(v6_tcp);
	wire_store16(wire.bytes + 18, (uint16_t)(wire.len - 14 - 40 + 1));
	expect_drop(DROP_BAD_HEADER, "payload length beyond the frame");
	fresh(v6_all_extensions);
	wire.bytes[14 + 40 + 8 + 1] = 200;
	expect_drop(DROP_BAD_HEADER, "extension header beyond the packet");
}

// An L4 header that lies leaves no L4 information, and the frame is switched.
static void expect_no_l4(const char *what)
{
	struct packet *p = parse();
	cr_expect_eq(p->verdict, VERDICT_NONE, "%s", what);
	cr_expect(!(p->flags & L4), "%s", what);
	cr_expect(p->flags & V4, "%s", what);
	cr_expect_eq(p->payload_off, p->l4_off, "%s", what);
	parcel_free(&parcel);
}

Test(parse, bad_l4_headers)
{
	for (uint8_t doff = 0; doff < 5; doff++) {
		fresh(v4_tcp);
		wire.bytes[wire.l4 + 12] = (uint8_t)(doff << 4);
		expect_no_l4("TCP data offset below 5");
	}
	fresh(v4_tcp);
	wire_store16(wire.bytes + 16, 20 + 31); // one byte less than the TCP header
	expect_no_l4("TCP header beyond the packet, before padding");
	wire_store16(wire.bytes + 16, 20 + 19);
	expect_no_l4("TCP header shorter than 20 bytes");
	wire_store16(wire.bytes + 16, 20);
	expect_no_l4("TCP without a byte");
	fresh(v4_udp);
	wire_store16(wire.bytes + wire.l4 + 4, 7);
	expect_no_l4("UDP length 7");
	wire_store16(wire.bytes + wire.l4 + 4, 39);
	expect_no_l4("UDP length beyond the packet");
	fresh(v4_udp);
	wire_store16(wire.bytes + 16, 27);
	expect_no_l4("UDP header shorter than 8 bytes");
}

Test(parse, ethernet_padding)
{
	fresh(v4_udp);
	wire_store16(wire.bytes + 16, 28);
	wire_store16(wire.bytes + wire.l4 + 4, 8);
	struct packet *p = parse();
	cr_expect_eq(p->verdict, VERDICT_NONE);
	cr_expect_eq(p->flags, V4 | L4);
	cr_expect_eq(p->len, wire.len, "padding goes where the frame goes");
	parcel_free(&parcel);
}

// --- hash --------------------------------------------------------------------------------------

static uint32_t hash(void)
{
	uint32_t h = packet_flow_hash(parse());
	parcel_free(&parcel);
	return h;
}

Test(parse, hash_follows_the_flow)
{
	for (unsigned k = 0; k < 2; k++) {
		fresh(k ? v6_tcp : v4_tcp);
		uint32_t h = hash();
		wire.bytes[wire.l4 + 7] ^= 1; // sequence number
		wire.bytes[0] ^= 4;
		cr_expect_eq(hash(), h);
		for (uint32_t at = k ? 22 : 26; at < wire.l4 + 4u; at++) {
			wire.bytes[at] ^= 1;
			cr_expect_neq(hash(), h, "byte %u", at);
			wire.bytes[at] ^= 1;
		}
	}
}

Test(parse, hash_is_the_same_with_and_without_a_tag)
{
	for (unsigned k = 0; k < KINDS; k++) {
		build(k, 0);
		uint32_t h = hash();
		build(k, 1);
		cr_expect_eq(hash(), h, "%s", kinds[k].name);
	}
}

Test(parse, fragments_of_a_packet_keep_together)
{
	fresh(v4_first);
	uint32_t first = hash();
	wire.bytes[wire.l4] ^= 1;
	cr_expect_eq(hash(), first);
	fresh(v4_later);
	cr_expect_eq(hash(), first);
}

Test(parse, hash_of_other_protocols_is_over_the_macs)
{
	fresh(arp);
	uint32_t h = hash();
	wire.bytes[20] ^= 1;
	cr_expect_eq(hash(), h);
	for (int at = 0; at < 12; at++) {
		wire.bytes[at] ^= 1;
		cr_expect_neq(hash(), h, "byte %d", at);
		wire.bytes[at] ^= 1;
	}
}

Test(parse, hash_spreads_over_queues)
{
	unsigned of_queue[8] = {0};
	for (uint16_t sport = 0; sport < 8000; sport++) {
		fresh(v4_udp);
		wire_store16(wire.bytes + wire.l4, sport);
		of_queue[((uint64_t)hash() * 8) >> 32]++;
	}
	for (int i = 0; i < 8; i++)
		cr_expect(of_queue[i] > 800 && of_queue[i] < 1200, "queue %d: %u", i, of_queue[i]);
}

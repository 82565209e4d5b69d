// SPDX-License-Identifier: BSD-3-Clause
// neighbour_answer: the answers to ARP requests and neighbour solicitations, byte by byte, and what
// gets none.
#include "switch/neighbour.h"

#include <netinet/in.h>
#include <string.h>

#include <criterion/criterion.h>

#include "switch/parse.h"
#include "tests/unit/kit_wire.h"

#define WEIR_MAC "\x02Weir\0"
#define NF_MAC   "\x52\x54\0\0\0\1"
#define ALL_MAC  "\xff\xff\xff\xff\xff\xff"
#define NF_4     "\x0a\0\0\1"
#define ASKED_4  "\x0a\0\0\x63"
#define NF_6     "\xfd\0\0\0\0\0\0\0\xff\xff\xee\xee\xdd\xdd\0\1"
#define ASKED_6  "\xfd\0\0\0\0\0\0\0\xff\xff\xee\xee\xdd\xdd\0\x63"
#define ZERO_6   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static struct wire wire;

static void arp(unsigned tags, const char *sender, const char *target)
{
	wire_ethernet(&wire);
	memcpy(wire.bytes, ALL_MAC, 6);
	for (unsigned i = 0; i < tags; i++)
		wire_tag(&wire, 0x8100, 0x6000 + 10 + (uint16_t)i);
	wire_type(&wire, 0x0806);
	wire_payload(&wire, 46);
	uint8_t *at = wire.bytes + wire.l3;
	memcpy(at, "\0\1\x08\0\6\4\0\1" NF_MAC, 14);
	memcpy(at + 14, sender, 4);
	memset(at + 18, 0, 6);
	memcpy(at + 24, target, 4);
}

// With a source link-layer option if there are 32 bytes.
static void solicitation(unsigned tags, uint32_t len)
{
	wire_ethernet(&wire);
	for (unsigned i = 0; i < tags; i++)
		wire_tag(&wire, 0x8100, 0x6000 + 10 + (uint16_t)i);
	wire_ipv6(&wire);
	wire.bytes[wire.l3 + 7] = 255;
	wire_l4(&wire, IPPROTO_ICMPV6, len);
	uint8_t *icmp = wire.bytes + wire.l4;
	icmp[0] = 135;
	memcpy(icmp + 8, ASKED_6, 16);
	if (len >= 32)
		memcpy(icmp + 24, "\1\1" NF_MAC, 8);
	wire_finish(&wire);
}

// A stash of its own, as behind rx.
static struct packet *load(uint8_t stash[STASH_SIZE])
{
	static struct packet p;
	memset(stash, 0x55, STASH_SIZE);
	cr_assert_leq(wire.len, (uint32_t)STASH_HEADERS);
	memcpy(stash + STASH_HEADROOM, wire.bytes, wire.len);
	p = (struct packet){
		.data = stash + STASH_HEADROOM, .len = wire.len, .head_len = (uint16_t)wire.len};
	parse_packet(&p);
	cr_assert_eq(p.verdict, VERDICT_NONE);
	return &p;
}

static void expect_unanswered(const char *what)
{
	uint8_t stash[STASH_SIZE], before[STASH_SIZE];
	struct packet *p = load(stash);
	struct packet was = *p;
	memcpy(before, stash, sizeof(before));
	cr_expect(!neighbour_answer(p, (const uint8_t *)WEIR_MAC), "%s", what);
	cr_expect_arr_eq(stash, before, sizeof(before), "%s", what);
	cr_expect_arr_eq(p, &was, sizeof(was), "%s", what);
}

Test(neighbour, an_arp_request_is_answered_for_any_address)
{
	for (unsigned tags = 0; tags < 2; tags++) {
		uint8_t stash[STASH_SIZE];
		arp(tags, NF_4, ASKED_4);
		struct packet *p = load(stash);
		cr_assert(neighbour_answer(p, (const uint8_t *)WEIR_MAC));
		cr_expect_arr_eq(p->data, NF_MAC WEIR_MAC "\x08\x06", 14);
		cr_expect_arr_eq(
			p->data + 14, "\0\1\x08\0\6\4\0\2" WEIR_MAC ASKED_4 NF_MAC NF_4, 28);
		cr_expect_eq(p->len, 42);
		cr_expect_eq(p->head_len, 42);
		cr_expect(p->flags == PACKET_ARP && p->l3_off == 14 && !p->nbody);
	}
}

Test(neighbour, a_solicitation_is_answered_as_a_router_does)
{
	for (unsigned n = 0; n < 6; n++) {
		uint8_t stash[STASH_SIZE];
		// A probe of what is known may lack the option.
		solicitation(n % 2, (uint32_t[]){24, 32, 40}[n / 2]);
		struct packet *p = load(stash);
		p->offload = OFFLOAD_CSUM_PARTIAL;
		cr_assert(neighbour_answer(p, (const uint8_t *)WEIR_MAC));
		cr_expect_eq(p->len, 14 + 40 + 32);
		cr_expect_eq(p->head_len, p->len);
		cr_expect_eq(p->offload, 0);
		cr_expect_eq(p->flags, PACKET_IPV6 | PACKET_L4);
		cr_expect_arr_eq(p->data, NF_MAC WEIR_MAC "\x86\xdd", 14);
		const uint8_t *ip = p->data + 14, *icmp = ip + 40;
		cr_expect_arr_eq(ip, "\x60\0\0\0\0\x20\x3a\xff" ASKED_6 NF_6, 40);
		cr_expect_arr_eq(icmp, "\x88\0", 2);
		cr_expect_arr_eq(icmp + 4, "\xe0\0\0\0" ASKED_6 "\2\1" WEIR_MAC, 28);
		cr_expect_eq(wire_checksum(icmp, 32, wire_pseudo(ip, IPPROTO_ICMPV6, 32)), 0);
	}
}

Test(neighbour, what_tells_or_probes_an_own_address_is_not)
{
	arp(0, NF_4, NF_4);
	expect_unanswered("gratuitous");
	arp(0, "\0\0\0\0", ASKED_4);
	expect_unanswered("a probe");
	solicitation(0, 24);
	memcpy(wire.bytes + wire.l3 + 8, ZERO_6, 16);
	expect_unanswered("duplicate address detection");
}

Test(neighbour, what_is_no_sound_question_is_not)
{
	arp(2, NF_4, ASKED_4);
	expect_unanswered("two tags");
	arp(0, NF_4, ASKED_4);
	wire.bytes[wire.l3 + 7] = 2;
	expect_unanswered("an answer");
	arp(0, NF_4, ASKED_4);
	wire.bytes[wire.l3 + 4] = 8;
	expect_unanswered("another hardware");
	arp(0, NF_4, ASKED_4);
	wire.len = wire.l3 + 27u;
	expect_unanswered("cut");
	solicitation(0, 23);
	expect_unanswered("too short");
	solicitation(0, 32);
	wire.bytes[wire.l3 + 7] = 254;
	expect_unanswered("from afar");
	solicitation(0, 32);
	wire.bytes[wire.l4 + 1] = 1;
	expect_unanswered("another code");
	solicitation(0, 32);
	wire.bytes[wire.l4 + 8] = 0xff;
	expect_unanswered("for a group");
	solicitation(0, 32);
	wire.bytes[wire.l4] = 136;
	expect_unanswered("an advertisement");
	wire_ethernet(&wire);
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_HOPOPTS, 8);
	wire.bytes[wire.l3 + 7] = 255;
	wire_l4(&wire, IPPROTO_ICMPV6, 32);
	wire.bytes[wire.l4] = 135;
	wire_finish(&wire);
	expect_unanswered("behind an extension header");
	wire_ethernet(&wire);
	wire_ipv4(&wire, 0);
	wire_udp(&wire);
	wire_finish(&wire);
	expect_unanswered("UDP");
}

Test(neighbour, tells_what_finds_neighbours)
{
	static const struct {
		uint8_t type;
		bool is;
	} types[] = {{133, false}, {134, false}, {135, true}, {136, true}, {128, false}};
	uint8_t stash[STASH_SIZE];
	arp(1, NF_4, NF_4);
	cr_expect(neighbour_is(load(stash)));
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		solicitation(0, 32);
		wire.bytes[wire.l4] = types[i].type;
		cr_expect_eq(neighbour_is(load(stash)), types[i].is, "type %u", types[i].type);
	}
	wire_ethernet(&wire);
	wire_ipv4(&wire, 0);
	wire_l4(&wire, IPPROTO_ICMP, 8);
	wire.bytes[wire.l4] = 135;
	wire_finish(&wire);
	cr_expect(!neighbour_is(load(stash)));
}

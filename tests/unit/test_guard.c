// SPDX-License-Identifier: BSD-3-Clause
// guard_check: each field that can name an address, allowed and forged, in IPv4, IPv6, ARP and
// neighbour discovery, with and without tags; and that nothing forged gets through by its form.
#include "switch/guard_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "ctl/schema/key.h"
#include "switch/parse.h"
#include "tests/unit/kit_wire.h"

static struct wire wire;
static struct parcel parcel;

// What kit_wire puts into its frames is the port's own.
#define OWN_MAC "\x52\x54\0\0\0\1"
#define OWN_4   "\x0a\0\0\1"
#define OWN_6   "\xfd\0\0\0\0\0\0\0\xff\xff\xee\xee\xdd\xdd\0\1"
// A neighbour's.
#define OTHER_MAC "\x52\x54\0\0\0\2"
#define OTHER_4   "\x0a\0\0\2"
#define OTHER_6   "\xfd\0\0\0\0\0\0\0\xff\xff\xee\xee\xdd\xdd\0\2"
#define LINK_6    "\xfe\x80\0\0\0\0\0\0\x12\x34\x56\x78\x9a\xbc\xde\xf0"
#define ZERO_6    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static struct guard guard_of(const char *mac, const char *const *ips)
{
	struct config_addresses addresses = {0};
	if (mac)
		memcpy(addresses.mac, mac, 6);
	for (; ips && *ips; ips++)
		cr_assert(prefix_parse(*ips, &addresses.ips[addresses.nips++]), "%s", *ips);
	struct guard guard;
	cr_expect_eq(guard_wanted(&addresses), mac || addresses.nips);
	guard_compile(&guard, &addresses);
	return guard;
}

static const char *const own_ips[] = {"10.0.0.1", "fd00::ffff:eeee:dddd:1", NULL};

// --- frames ------------------------------------------------------------------------------------

static void v4_udp(void)
{
	wire_ipv4(&wire, 0);
	wire_udp(&wire);
	wire_payload(&wire, 300);
}

static void v4_options(void)
{
	wire_ipv4(&wire, 40);
	wire_tcp(&wire, 40);
}

static void v4_igmp(void)
{
	wire_ipv4(&wire, 4);
	wire_l4(&wire, IPPROTO_IGMP, 8);
}

// The datagram's header is missing.
static void v4_empty(void)
{
	wire_ipv4(&wire, 0);
	wire_l4(&wire, IPPROTO_UDP, 0);
}

static void v6_tcp(void)
{
	wire_ipv6(&wire);
	wire_tcp(&wire, 0);
}

static void v6_udp(void)
{
	wire_ipv6(&wire);
	wire_udp(&wire);
	wire_payload(&wire, 20);
}

static void v6_empty_udp(void)
{
	wire_ipv6(&wire);
	wire_l4(&wire, IPPROTO_UDP, 0);
}

static void v6_echo(void)
{
	wire_ipv6(&wire);
	wire_l4(&wire, IPPROTO_ICMPV6, 8);
	wire.bytes[wire.l4] = 128;
}

static void icmp6(uint8_t type, uint32_t len)
{
	wire_l4(&wire, IPPROTO_ICMPV6, len);
	wire.bytes[wire.l4] = type;
}

// With a target and a link-layer option of the port's own.
static void nd(uint8_t type, uint8_t option)
{
	wire_ipv6(&wire);
	icmp6(type, 24 + 8);
	uint8_t *icmp = wire.bytes + wire.l4;
	memcpy(icmp + 8, OWN_6, 16);
	icmp[24] = option;
	icmp[25] = 1;
	memcpy(icmp + 26, OWN_MAC, 6);
}

static void solicitation(void)
{
	nd(135, 1);
}

static void advertisement(void)
{
	nd(136, 2);
}

// Looks for a double of an own address: from nowhere, without an option.
static void dad(void)
{
	wire_ipv6(&wire);
	icmp6(135, 24);
	memcpy(wire.bytes + wire.l3 + 8, ZERO_6, 16);
	memcpy(wire.bytes + wire.l4 + 8, OWN_6, 16);
}

static void router_solicitation(void)
{
	wire_ipv6(&wire);
	icmp6(133, 16);
	memcpy(wire.bytes + wire.l4 + 8, "\1\1" OWN_MAC, 8);
}

static void router_advertisement(void)
{
	wire_ipv6(&wire);
	icmp6(134, 24);
	memcpy(wire.bytes + wire.l3 + 8, LINK_6, 16);
	memcpy(wire.bytes + wire.l4 + 16, "\1\1" OWN_MAC, 8);
}

static void redirect(void)
{
	wire_ipv6(&wire);
	icmp6(137, 48);
	memcpy(wire.bytes + wire.l3 + 8, LINK_6, 16);
	memcpy(wire.bytes + wire.l4 + 40, "\2\1" OWN_MAC, 8);
}

static void nd_first_fragment(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	wire.bytes[wire.l4 - 5] = 1; // more fragments
	icmp6(136, 32);
}

static void nd_atomic_fragment(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	icmp6(136, 24);
	memcpy(wire.bytes + wire.l4 + 8, OTHER_6, 16);
}

static void mld_report(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_HOPOPTS, 8);
	icmp6(143, 28);
	memcpy(wire.bytes + wire.l3 + 8, ZERO_6, 16);
}

// The next header is in another fragment.
static void v6_first_fragment(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	wire.bytes[wire.l4 - 5] = 1;
	wire_extension(&wire, IPPROTO_DSTOPTS, 8);
	wire_l4(&wire, IPPROTO_UDP, 0);
}

static void v6_later_fragment(void)
{
	wire_ipv6(&wire);
	wire_extension(&wire, IPPROTO_FRAGMENT, 8);
	wire.bytes[wire.l4 - 5] = 9;
	wire.bytes[wire.next_at] = IPPROTO_DSTOPTS;
	wire.len += 16;
}

static void extensions(unsigned count)
{
	wire_ipv6(&wire);
	for (unsigned i = 0; i < count; i++)
		wire_extension(&wire, IPPROTO_DSTOPTS, 8);
	wire_udp(&wire);
}

static void v6_eight(void)
{
	extensions(8);
}

static void v6_nine(void)
{
	extensions(9);
}

static void arp(uint16_t type, uint8_t operation)
{
	wire_type(&wire, type);
	wire.l4 = wire.payload = (uint16_t)wire.len;
	uint8_t *at = wire.bytes + wire.len;
	memcpy(at, "\0\1\x08\0\6\4\0\0" OWN_MAC OWN_4 "\0\0\0\0\0\0" OTHER_4, 28);
	at[7] = operation;
	wire.len += 28 + 18;
	memset(at + 28, 0, 18);
}

static void arp_request(void)
{
	arp(0x0806, 1);
}

static void arp_reply(void)
{
	arp(0x0806, 2);
}

static void rarp_request(void)
{
	arp(0x8035, 3);
}

static void arp_cut(void)
{
	arp(0x0806, 1);
	wire.len = wire.l3 + 27u;
}

static void other(uint16_t type)
{
	wire_type(&wire, type);
	wire_payload(&wire, 46);
}

static void experiment(void)
{
	other(0x88b5);
}

static void tag_more(void)
{
	wire_tag(&wire, 0x8100, 0);
	wire_tag(&wire, 0x8100, 0);
	wire_tag(&wire, 0x8100, 0);
	v4_udp();
}

static void tag_old(void)
{
	wire_tag(&wire, 0x8100, 0);
	wire_tag(&wire, 0x9100, 0);
	v4_udp();
}

static void llc(void)
{
	other(46);
	memcpy(wire.bytes + wire.l3, "\x42\x42\x03", 3);
}

static void snap(void)
{
	other(46);
	memcpy(wire.bytes + wire.l3, "\xaa\xaa\x03\0\0\0\x08\0", 8);
}

// --- the matrix --------------------------------------------------------------------------------

enum layer {
	NOWHERE,
	L2,
	L3,
	L4
};
struct patch {
	enum layer layer;
	uint8_t at;
	uint8_t len;
	const char *bytes;
};

#define PORTS(from, to) \
	{ \
		L4, 0, 4, from to \
	}
#define P67  "\0\x43"
#define P68  "\0\x44"
#define P546 "\x02\x22"
#define P547 "\x02\x23"
#define SOURCE_MAC(mac) \
	{ \
		L2, 6, 6, mac \
	}
#define SOURCE_4(ip) \
	{ \
		L3, 12, 4, ip \
	}
#define SOURCE_6(ip) \
	{ \
		L3, 8, 16, ip \
	}
#define TARGET_6(ip) \
	{ \
		L4, 8, 16, ip \
	}
#define ARP_MAC(mac) \
	{ \
		L3, 8, 6, mac \
	}
#define ARP_IP(ip) \
	{ \
		L3, 14, 4, ip \
	}
#define ARP_TARGET(ip) \
	{ \
		L3, 24, 4, ip \
	}

#define ANY_DROP(reason) \
	{ \
		DROP_##reason, DROP_##reason, DROP_##reason \
	}
#define MAC_DROP(reason) \
	{ \
		DROP_##reason, DROP_##reason, DROP_NONE \
	}
#define IP_DROP(reason) \
	{ \
		DROP_##reason, DROP_NONE, DROP_##reason \
	}
#define MAC_OTHER(ip, mac) \
	{ \
		DROP_##ip, DROP_##mac, DROP_##ip \
	}
#define PASSES \
	{ \
		DROP_NONE, DROP_NONE, DROP_NONE \
	}

static const struct {
	const char *name;
	void (*build)(void);
	struct patch patches[2];
	uint8_t reasons[3]; // MAC and IP enforced, MAC alone, IP alone
} cases[] = {
	{"UDP", v4_udp, {{0}}, PASSES},
	{"TCP with options", v4_options, {{0}}, PASSES},
	{"a forged MAC", v4_udp, {SOURCE_MAC(OTHER_MAC)}, MAC_DROP(SPOOFED_MAC)},
	{"a forged MAC over IPv6", v6_tcp, {SOURCE_MAC(OTHER_MAC)}, MAC_DROP(SPOOFED_MAC)},
	{"a forged MAC over nothing", experiment, {SOURCE_MAC(OTHER_MAC)}, MAC_DROP(SPOOFED_MAC)},
	{"a forged IPv4", v4_udp, {SOURCE_4(OTHER_4)}, IP_DROP(SPOOFED_IP)},
	{"a forged IPv4 with options", v4_options, {SOURCE_4(OTHER_4)}, IP_DROP(SPOOFED_IP)},
	{"a first fragment", v4_udp, {{L3, 6, 1, "\x20"}}, PASSES},
	{"a later fragment", v4_udp, {{L3, 6, 2, "\x20\x02"}}, PASSES},
	{"a forged first fragment", v4_udp, {{L3, 6, 1, "\x20"}, SOURCE_4(OTHER_4)},
		IP_DROP(SPOOFED_IP)},
	{"a forged later fragment", v4_udp, {{L3, 6, 2, "\x20\x02"}, SOURCE_4(OTHER_4)},
		IP_DROP(SPOOFED_IP)},
	{"0.0.0.0", v4_udp, {SOURCE_4("\0\0\0\0")}, IP_DROP(SPOOFED_IP)},
	{"0.0.0.0 over TCP", v4_options, {SOURCE_4("\0\0\0\0")}, IP_DROP(SPOOFED_IP)},
	{"0.0.0.0 reports a group", v4_igmp, {SOURCE_4("\0\0\0\0")}, PASSES},
	{"UDP without a header", v4_empty, {{0}}, IP_DROP(ADDRESSES_HIDDEN)},

	{"DHCP discover", v4_udp, {SOURCE_4("\0\0\0\0"), PORTS(P68, P67)}, PASSES},
	{"DHCP renewal", v4_udp, {PORTS(P68, P67)}, PASSES},
	{"DHCP relayed", v4_udp, {PORTS(P67, P67)}, PASSES},
	{"DHCP offer", v4_udp, {PORTS(P67, P68)}, IP_DROP(DHCP_SERVER)},
	{"DHCP offer in fragments", v4_udp, {PORTS(P67, P68), {L3, 6, 1, "\x20"}},
		IP_DROP(DHCP_SERVER)},
	{"DHCP offer from another port", v4_udp, {PORTS("\x0f\xab", P68)}, IP_DROP(DHCP_SERVER)},
	{"DHCP offer from 0.0.0.0", v4_udp, {SOURCE_4("\0\0\0\0"), PORTS(P67, P68)},
		IP_DROP(SPOOFED_IP)},
	{"DHCP offer, forged", v4_udp, {SOURCE_4(OTHER_4), PORTS(P67, P68)}, IP_DROP(SPOOFED_IP)},

	{"ARP request", arp_request, {{0}}, PASSES},
	{"ARP reply", arp_reply, {{0}}, PASSES},
	{"gratuitous ARP", arp_request, {ARP_TARGET(OWN_4)}, PASSES},
	{"ARP probe", arp_request, {ARP_IP("\0\0\0\0"), ARP_TARGET(OWN_4)}, PASSES},
	{"ARP probe for a neighbour's", arp_request, {ARP_IP("\0\0\0\0")}, IP_DROP(SPOOFED_ARP)},
	{"ARP reply from 0.0.0.0", arp_reply, {ARP_IP("\0\0\0\0"), ARP_TARGET(OWN_4)},
		IP_DROP(SPOOFED_ARP)},
	{"ARP request, forged IP", arp_request, {ARP_IP(OTHER_4)}, IP_DROP(SPOOFED_ARP)},
	{"ARP reply, forged IP", arp_reply, {ARP_IP(OTHER_4)}, IP_DROP(SPOOFED_ARP)},
	{"ARP request, forged MAC", arp_request, {ARP_MAC(OTHER_MAC)}, MAC_DROP(SPOOFED_ARP)},
	{"ARP reply, forged MAC", arp_reply, {ARP_MAC(OTHER_MAC)}, MAC_DROP(SPOOFED_ARP)},
	{"ARP, forged frame", arp_reply, {SOURCE_MAC(OTHER_MAC)}, MAC_DROP(SPOOFED_MAC)},
	{"ARP over IEEE 802", arp_reply, {{L3, 0, 2, "\0\6"}}, ANY_DROP(ADDRESSES_HIDDEN)},
	{"ARP for long addresses", arp_reply, {{L3, 4, 1, "\7"}}, ANY_DROP(ADDRESSES_HIDDEN)},
	{"ARP, cut", arp_cut, {{0}}, ANY_DROP(ADDRESSES_HIDDEN)},
	{"RARP announcement", rarp_request, {ARP_IP("\0\0\0\0")}, PASSES},
	{"RARP, forged MAC", rarp_request, {ARP_IP("\0\0\0\0"), ARP_MAC(OTHER_MAC)},
		MAC_DROP(SPOOFED_ARP)},
	{"RARP, forged IP", rarp_request, {ARP_IP(OTHER_4)}, IP_DROP(SPOOFED_ARP)},

	{"IPv6", v6_tcp, {{0}}, PASSES},
	{"IPv6, forged", v6_tcp, {SOURCE_6(OTHER_6)}, IP_DROP(SPOOFED_IP)},
	{"IPv6, link-local", v6_tcp, {SOURCE_6(LINK_6)}, PASSES},
	{"IPv6, unspecified", v6_tcp, {SOURCE_6(ZERO_6)}, IP_DROP(SPOOFED_IP)},
	{"IPv6, echo from nowhere", v6_echo, {SOURCE_6(ZERO_6)}, IP_DROP(SPOOFED_IP)},
	{"IPv6, echo", v6_echo, {{0}}, PASSES},
	{"IPv6, a later fragment", v6_later_fragment, {{0}}, PASSES},
	{"IPv6, a forged later fragment", v6_later_fragment, {SOURCE_6(OTHER_6)},
		IP_DROP(SPOOFED_IP)},
	{"IPv6, a later fragment from nowhere", v6_later_fragment, {SOURCE_6(ZERO_6)},
		IP_DROP(SPOOFED_IP)},
	{"IPv6, a first fragment that hides", v6_first_fragment, {{0}}, IP_DROP(ADDRESSES_HIDDEN)},
	{"UDP over IPv6 without a header", v6_empty_udp, {{0}}, IP_DROP(ADDRESSES_HIDDEN)},
	{"eight extension headers", v6_eight, {{0}}, PASSES},
	{"nine extension headers", v6_nine, {{0}}, ANY_DROP(ADDRESSES_HIDDEN)},

	{"DHCPv6 solicit", v6_udp, {SOURCE_6(LINK_6), PORTS(P546, P547)}, PASSES},
	{"DHCPv6 advertise", v6_udp, {SOURCE_6(LINK_6), PORTS(P547, P546)}, IP_DROP(DHCP_SERVER)},
	{"DHCPv6 reply from another port", v6_udp, {PORTS("\xc0\x00", P546)}, IP_DROP(DHCP_SERVER)},
	{"DHCPv6 reply of length 0", v6_udp, {{L4, 0, 6, P547 P546 "\0\0"}}, IP_DROP(DHCP_SERVER)},
	{"DHCPv6 reply behind extensions", v6_eight, {PORTS(P547, P546)}, IP_DROP(DHCP_SERVER)},

	{"a solicitation", solicitation, {TARGET_6(OTHER_6)}, PASSES},
	{"a solicitation, forged IP", solicitation, {SOURCE_6(OTHER_6)}, IP_DROP(SPOOFED_IP)},
	{"a solicitation, forged MAC", solicitation, {{L4, 26, 6, OTHER_MAC}},
		MAC_DROP(SPOOFED_ND)},
	{"an advertisement", advertisement, {{0}}, PASSES},
	{"an advertisement, link-local", advertisement, {SOURCE_6(LINK_6), TARGET_6(LINK_6)},
		PASSES},
	{"an advertisement for a neighbour", advertisement, {TARGET_6(OTHER_6)},
		IP_DROP(SPOOFED_ND)},
	{"an advertisement for a neighbour, from link-local", advertisement,
		{SOURCE_6(LINK_6), TARGET_6(OTHER_6)}, IP_DROP(SPOOFED_ND)},
	{"an advertisement, forged MAC", advertisement, {{L4, 26, 6, OTHER_MAC}},
		MAC_DROP(SPOOFED_ND)},
	{"an advertisement, its MAC as the source's", advertisement,
		{{L4, 24, 8, "\1\1" OTHER_MAC}}, MAC_DROP(SPOOFED_ND)},
	{"an advertisement from nowhere", advertisement, {SOURCE_6(ZERO_6)}, IP_DROP(SPOOFED_IP)},
	{"an option of length 0", advertisement, {{L4, 25, 1, "\0"}}, MAC_DROP(SPOOFED_ND)},
	{"an option beyond the packet", advertisement, {{L4, 25, 1, "\2"}}, MAC_DROP(SPOOFED_ND)},
	{"an advertisement in fragments", nd_first_fragment, {{0}}, ANY_DROP(SPOOFED_ND)},
	{"an atomic advertisement for a neighbour", nd_atomic_fragment, {{0}}, IP_DROP(SPOOFED_ND)},
	{"a look for an own double", dad, {{0}}, PASSES},
	{"a look for an own link-local double", dad, {TARGET_6(LINK_6)}, PASSES},
	{"a look for a neighbour's double", dad, {TARGET_6(OTHER_6)}, IP_DROP(SPOOFED_ND)},
	{"a router wanted", router_solicitation, {{0}}, PASSES},
	{"a router wanted from nowhere", router_solicitation, {SOURCE_6(ZERO_6)}, PASSES},
	{"a router wanted, forged MAC", router_solicitation, {{L4, 10, 6, OTHER_MAC}},
		MAC_DROP(SPOOFED_ND)},
	{"a router's announcement", router_advertisement, {{0}}, IP_DROP(ROUTER_ADVERTISEMENT)},
	{"a router's announcement, forged MAC", router_advertisement, {{L4, 18, 6, OTHER_MAC}},
		MAC_OTHER(ROUTER_ADVERTISEMENT, SPOOFED_ND)},
	{"a redirect", redirect, {{0}}, IP_DROP(SPOOFED_ND)},
	{"a group's report from nowhere", mld_report, {{0}}, PASSES},

	{"another protocol", experiment, {{0}}, PASSES},
	{"IEEE 802.2", llc, {{0}}, PASSES},
	{"SNAP", snap, {{0}}, ANY_DROP(ADDRESSES_HIDDEN)},
	{"three tags", tag_more, {{0}}, ANY_DROP(ADDRESSES_HIDDEN)},
	{"an old tag inside", tag_old, {{0}}, ANY_DROP(ADDRESSES_HIDDEN)},
};
enum {
	CASES = sizeof(cases) / sizeof(cases[0])
};

static const uint16_t taggings[][2] = {{0, 0}, {0x8100, 0}, {0x88a8, 0x8100}};
enum {
	TAGGINGS = sizeof(taggings) / sizeof(taggings[0])
};

static void build(unsigned i, unsigned tagging)
{
	wire_ethernet(&wire);
	for (unsigned k = 0; k < 2; k++)
		if (taggings[tagging][k])
			wire_tag(&wire, taggings[tagging][k], (uint16_t)(10 + k));
	cases[i].build();
	if (wire.version)
		wire_finish(&wire);
	for (unsigned k = 0; k < 2; k++) {
		const struct patch *patch = &cases[i].patches[k];
		uint32_t from = patch->layer == L3 ? wire.l3 : patch->layer == L4 ? wire.l4 : 0;
		if (patch->layer != NOWHERE)
			memcpy(wire.bytes + from + patch->at, patch->bytes, patch->len);
	}
}

// What the way through parse and guard comes to with so many bytes in the stash.
static enum drop_reason verdict(const struct guard *guard, uint32_t head_len)
{
	parcel_load(&parcel, wire.bytes, wire.len, head_len, 0);
	struct packet *p = &parcel.packet;
	parse_packet(p);
	enum drop_reason reason = p->verdict == VERDICT_DROP ? p->drop : guard_check(guard, p);
	parcel_free(&parcel);
	return reason;
}

Test(guard, the_matrix)
{
	const struct guard guards[3] = {
		guard_of(OWN_MAC, own_ips), guard_of(OWN_MAC, NULL), guard_of(NULL, own_ips)};
	static const char *const enforced[3] = {"MAC and IP", "MAC", "IP"};
	for (unsigned i = 0; i < CASES; i++)
		for (unsigned t = 0; t < TAGGINGS; t++) {
			build(i, t);
			for (unsigned k = 0; k < 3; k++) {
				enum drop_reason reason = verdict(&guards[k], STASH_HEADERS);
				cr_expect_eq(reason, cases[i].reasons[k], "%s, %s, %u tags: %s",
					cases[i].name, enforced[k], t, drop_name(reason));
			}
		}
}

// However little of a forged frame is in the stash, it does not pass for an honest one.
Test(guard, nothing_forged_passes_in_part)
{
	const struct guard guards[3] = {
		guard_of(OWN_MAC, own_ips), guard_of(OWN_MAC, NULL), guard_of(NULL, own_ips)};
	for (unsigned i = 0; i < CASES; i++)
		for (unsigned t = 0; t < TAGGINGS; t++) {
			build(i, t);
			for (uint32_t head = FRAME_MIN; head < wire.len && head < STASH_HEADERS;
				head++)
				for (unsigned k = 0; k < 3; k++)
					if (cases[i].reasons[k] != DROP_NONE)
						cr_expect_neq(verdict(&guards[k], head), DROP_NONE,
							"%s, %u tags, %u bytes", cases[i].name, t,
							head);
		}
}

// Every bit of a field that is enforced counts.
static void flip(unsigned i, enum layer layer, uint32_t at, uint32_t len, enum drop_reason reason)
{
	const struct guard guard = guard_of(OWN_MAC, own_ips);
	build(i, 0);
	at += layer == L3 ? wire.l3 : layer == L4 ? wire.l4 : 0;
	cr_expect_eq(verdict(&guard, STASH_HEADERS), DROP_NONE, "%s", cases[i].name);
	for (uint32_t bit = 0; bit < len * 8; bit++) {
		uint8_t *byte = &wire.bytes[at + bit / 8];
		*byte ^= (uint8_t)(1 << bit % 8);
		cr_expect_eq(
			verdict(&guard, STASH_HEADERS), reason, "%s: bit %u", cases[i].name, bit);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
}

static unsigned named(const char *name)
{
	for (unsigned i = 0; i < CASES; i++)
		if (!strcmp(cases[i].name, name))
			return i;
	cr_assert_fail("%s", name);
	return 0;
}

Test(guard, every_bit_counts)
{
	flip(named("UDP"), L2, 6, 6, DROP_SPOOFED_MAC);
	flip(named("UDP"), L3, 12, 4, DROP_SPOOFED_IP);
	flip(named("IPv6"), L3, 8, 16, DROP_SPOOFED_IP);
	flip(named("ARP reply"), L3, 8, 6, DROP_SPOOFED_ARP);
	flip(named("ARP reply"), L3, 14, 4, DROP_SPOOFED_ARP);
	flip(named("an advertisement"), L4, 8, 16, DROP_SPOOFED_ND);
	flip(named("an advertisement"), L4, 26, 6, DROP_SPOOFED_ND);
	flip(named("a solicitation"), L4, 26, 6, DROP_SPOOFED_ND);
}

// --- lists -------------------------------------------------------------------------------------

static bool allows(const struct guard *guard, const char *text)
{
	struct config_prefix address;
	cr_assert(prefix_parse(text, &address), "%s", text);
	wire_ethernet(&wire);
	address.family == AF_INET ? v4_udp() : v6_tcp();
	wire_finish(&wire);
	memcpy(wire.bytes + wire.l3 + (address.family == AF_INET ? 12 : 8), address.address,
		address.family == AF_INET ? 4 : 16);
	return verdict(guard, STASH_HEADERS) == DROP_NONE;
}

Test(guard, lists_and_networks)
{
	static const char *const ips[] = {"10.0.0.1", "10.1.0.0/17", "192.0.2.5", "fd00::1",
		"fd00:1::/33", "fd00:2::/65", NULL};
	const struct guard guard = guard_of(NULL, ips);
	static const char *const in[] = {"10.0.0.1", "10.1.0.0", "10.1.127.255", "192.0.2.5",
		"fd00::1", "fd00:1::", "fd00:1:7fff:ffff:ffff:ffff:ffff:ffff",
		"fd00:2::7fff:ffff:ffff:ffff", "fe80::1", "febf::1"};
	static const char *const out[] = {"10.0.0.2", "10.0.0.0", "10.1.128.0", "10.2.0.0",
		"192.0.2.4", "255.255.255.255", "fd00::", "fd00::2",
		"fd00:1:8000::", "fd00:2::8000:0:0:0", "fec0::1", "fe7f::1", "::1", "ff02::1",
		"::ffff:10.0.0.1"};
	for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++)
		cr_expect(allows(&guard, in[i]), "%s", in[i]);
	for (size_t i = 0; i < sizeof(out) / sizeof(*out); i++)
		cr_expect(!allows(&guard, out[i]), "%s", out[i]);
}

Test(guard, one_family_listed_leaves_none_of_the_other)
{
	const struct guard v4 = guard_of(NULL, (const char *[]){"0.0.0.0/0", NULL});
	cr_expect(allows(&v4, "198.51.100.7") && allows(&v4, "fe80::1") && !allows(&v4, "fd00::1"));
	const struct guard v6 = guard_of(NULL, (const char *[]){"::/0", NULL});
	cr_expect(allows(&v6, "2001:db8::1") && allows(&v6, "fe80::1"));
	cr_expect(!allows(&v6, "10.0.0.1"));
}

Test(guard, listed_link_local_addresses_are_the_only_ones)
{
	const struct guard guard = guard_of(NULL, (const char *[]){"10.0.0.1", "fe80::1", NULL});
	cr_expect(allows(&guard, "fe80::1") && !allows(&guard, "fe80::2"));
}

Test(guard, a_list_may_be_full)
{
	struct config_addresses addresses = {.nips = ADDRESSES_MAX};
	for (unsigned i = 0; i < ADDRESSES_MAX; i++)
		addresses.ips[i] = (struct config_prefix){AF_INET, 32, {10, 0, 0, (uint8_t)i}};
	struct guard guard;
	guard_compile(&guard, &addresses);
	cr_expect(allows(&guard, "10.0.0.0") && allows(&guard, "10.0.0.31"));
	cr_expect(!allows(&guard, "10.0.0.32"));
}

// SPDX-License-Identifier: BSD-3-Clause
// Conversations of UDP, of ICMP's queries, and of protocols that have no L4 ports.
#include <netinet/in.h>
#include <string.h>

#include "tests/oracle/talk.h"

// --- UDP -----------------------------------------------------------------------------------------

static void send_udp(struct talk *t, unsigned side, uint16_t data, const char *label)
{
	uint8_t l4[8 + 300] = {0};
	size_t len = 8u + data;
	put16(l4, t->port[side]);
	put16(l4 + 2, t->port[!side]);
	put16(l4 + 4, (uint16_t)len);
	memset(l4 + 8, 0x5a, data);
	if (t->ipv6 || !rng_one_in(&t->rng, 6))
		talk_checksum(t, side, IPPROTO_UDP, l4, len, 6, false);
	talk_add(t, side, IPPROTO_UDP, l4, len, label);
}

static void send_malformed_udp(struct talk *t, unsigned side)
{
	uint8_t l4[48] = {0};
	size_t len = sizeof(l4);
	const char *label = "a UDP length longer than its packet";
	put16(l4, t->port[side]);
	put16(l4 + 2, t->port[!side]);
	put16(l4 + 4, sizeof(l4) + 1);
	switch (rng_below(&t->rng, 4)) {
	case 0:
		put16(l4 + 4, 7);
		label = "a UDP length shorter than its header";
		break;
	case 1:
		len = rng_below(&t->rng, 8);
		label = "a packet shorter than UDP's header";
		break;
	case 2:
		put16(l4 + 4, 0);
		label = "a UDP length of 0";
		break;
	default:
		break;
	}
	talk_checksum(t, side, IPPROTO_UDP, l4, len, 6, false);
	talk_add(t, side, IPPROTO_UDP, l4, len, label);
}

void udp_talk(struct talk *t)
{
	static const uint16_t ports[] = {53, 53, 53, 5353};
	unsigned client = rng_one_in(&t->rng, 3) ? SIDE_B : SIDE_A;
	t->port[client] = (uint16_t)(1024 + (t->number >> 16));
	t->port[!client] = ports[rng_below(&t->rng, 4)];
	for (unsigned n = 1 + rng_below(&t->rng, 8); n; n--) {
		unsigned side = rng_one_in(&t->rng, 3) ? !client : client;
		if (rng_one_in(&t->rng, 15))
			send_malformed_udp(t, side);
		send_udp(t, side, (uint16_t)rng_below(&t->rng, 200), "a UDP packet");
		if (rng_one_in(&t->rng, 6))
			talk_add_error(t, rng_below(&t->rng, 2));
	}
}

// --- ICMP ----------------------------------------------------------------------------------------

static void send_icmp(struct talk *t, unsigned side, uint8_t type, uint8_t code,
	uint16_t identifier, const char *label)
{
	uint8_t l4[64] = {type, code};
	uint8_t protocol = t->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	put16(l4 + 4, identifier);
	put16(l4 + 6, t->nsteps);
	size_t len = 8 + 4 * rng_below(&t->rng, 14);
	talk_checksum(t, side, protocol, l4, len, 2, false);
	talk_add(t, side, protocol, l4, len, label);
}

static void send_odd_icmp(struct talk *t, unsigned side, uint16_t identifier)
{
	uint8_t l4[8] = {t->ipv6 ? 128 : 8};
	uint8_t protocol = t->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	switch (rng_below(&t->rng, 6)) {
	case 0:
		send_icmp(t, side, t->ipv6 ? 129 : 0, 0, (uint16_t)(identifier + 1),
			"an echo reply with another identifier");
		break;
	case 1:
		send_icmp(t, side, t->ipv6 ? 129 : 0, 3, identifier, "an echo reply with a code");
		break;
	case 2:
		send_icmp(t, side, t->ipv6 ? 128 : 8, 3, (uint16_t)(identifier + 2),
			"an echo request with a code");
		break;
	case 3:
		talk_add(
			t, side, protocol, l4, rng_below(&t->rng, 8), "a piece of an echo request");
		break;
	case 4:
		send_icmp(t, side, t->ipv6 ? 200 : 40, 0, identifier, "an unknown ICMP type");
		break;
	default:
		if (!t->ipv6)
			send_icmp(t, side, 14, 0, identifier, "a time stamp reply to nobody");
	}
}

void icmp_talk(struct talk *t)
{
	unsigned client = rng_one_in(&t->rng, 3) ? SIDE_B : SIDE_A;
	uint16_t identifier = (uint16_t)(100 + (t->number >> 16));
	bool stamp = !t->ipv6 && rng_one_in(&t->rng, 8);
	uint8_t request = t->ipv6 ? 128 : stamp ? 13 : 8, reply = t->ipv6 ? 129 : stamp ? 14 : 0;
	if (rng_one_in(&t->rng, 6))
		send_icmp(t, !client, reply, 0, identifier, "a reply to nobody");
	for (unsigned n = 1 + rng_below(&t->rng, 4); n; n--) {
		send_icmp(t, client, request, 0, identifier,
			stamp ? "a time stamp request" : "an echo request");
		if (rng_one_in(&t->rng, 4))
			send_odd_icmp(t, rng_below(&t->rng, 2), identifier);
		if (rng_one_in(&t->rng, 6))
			talk_add_error(t, rng_below(&t->rng, 2));
		if (!rng_one_in(&t->rng, 4))
			send_icmp(t, !client, reply, 0, identifier,
				stamp ? "a time stamp reply" : "an echo reply");
		if (rng_one_in(&t->rng, 8))
			send_icmp(t, client, reply, 0, identifier, "a reply from who has asked");
		if (rng_one_in(&t->rng, 8))
			send_icmp(
				t, !client, request, 0, identifier, "a request from who was asked");
	}
}

// --- others --------------------------------------------------------------------------------------

void other_talk(struct talk *t)
{
	static const uint8_t protocols[] = {50, 47, 253, 41, 89, 132 + 5};
	uint8_t protocol = protocols[rng_below(&t->rng, sizeof(protocols))];
	uint8_t bytes[40] = {0};
	unsigned client = rng_one_in(&t->rng, 3) ? SIDE_A : SIDE_B;
	for (unsigned n = 1 + rng_below(&t->rng, 5); n; n--) {
		unsigned side = rng_one_in(&t->rng, 3) ? !client : client;
		size_t len = rng_below(&t->rng, sizeof(bytes));
		talk_add(t, side, protocol, bytes,
			protocol == 47 ? len + 4 > 40 ? 40 : len + 4 : len,
			"a packet of another protocol");
		if (rng_one_in(&t->rng, 6))
			talk_add_error(t, rng_below(&t->rng, 2));
	}
}

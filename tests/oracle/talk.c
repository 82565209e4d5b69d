// SPDX-License-Identifier: BSD-3-Clause
#include "tests/oracle/talk.h"

#include <netinet/in.h>
#include <string.h>

#include "tests/hostile/peer.h"
#include "tests/oracle/board.h"

enum {
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	FRAGMENT_LEN = 8,
	OPTIONS_LEN = 8,
};

static const struct kind {
	talk_kind *fill;
	unsigned weight;
} kinds[] = {
	{tcp_talk, 44},
	{tcp_random_talk, 8},
	{tcp_middle_talk, 5},
	{tcp_malformed_talk, 2},
	{udp_talk, 10},
	{icmp_talk, 8},
	{sctp_talk, 8},
	{other_talk, 4},
	{fragment_talk, 8},
	{stranger_errors_talk, 3},
};

static void set_addresses(struct talk *t)
{
	for (unsigned side = 0; side < SIDES; side++) {
		uint8_t *a = t->address[side];
		memset(a, 0, 16);
		if (t->ipv6) {
			a[0] = 0xfd;
			a[1] = (uint8_t)(1 + side);
			put16(a + 14, (uint16_t)t->number);
		} else {
			a[0] = 10;
			a[1] = (uint8_t)(1 + side);
			put16(a + 2, (uint16_t)t->number);
		}
	}
}

void talk_make(struct talk *t, uint64_t seed, uint64_t number)
{
	unsigned sum = 0;
	memset(t, 0, offsetof(struct talk, bytes));
	t->rng = rng_of(seed, number);
	t->number = number;
	t->ipv6 = rng_one_in(&t->rng, 3);
	t->phase = "new";
	set_addresses(t);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		sum += kinds[i].weight;
	unsigned chosen = rng_below(&t->rng, sum), i = 0;
	for (; chosen >= kinds[i].weight; i++)
		chosen -= kinds[i].weight;
	kinds[i].fill(t);
}

bool talk_has_room(const struct talk *t)
{
	return t->nsteps + 8 <= STEPS_MAX && t->nunits + 4 <= UNITS_MAX &&
	       t->used + 8 * PACKET_MAX <= TALK_BYTES;
}

// --- checksums -----------------------------------------------------------------------------------

static uint32_t sum_of(const uint8_t *at, size_t n)
{
	uint32_t sum = 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += get16(at + i);
	return n & 1 ? sum + ((uint32_t)at[n - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static void router_address(const struct talk *t, unsigned side, uint8_t *address)
{
	memcpy(address, t->address[side], 16);
	put16(address + (t->ipv6 ? 12 : 2), 0xfffe);
}

void talk_checksum(const struct talk *t, unsigned side, uint8_t protocol, uint8_t *payload,
	size_t len, size_t at, bool router)
{
	uint8_t source[16];
	unsigned n = t->ipv6 ? 16 : 4;
	if (at + 2 > len)
		return;
	memcpy(source, t->address[side], 16);
	if (router)
		router_address(t, side, source);
	put16(payload + at, 0);
	uint32_t sum = sum_of(payload, len);
	if (protocol != IPPROTO_ICMP)
		sum += sum_of(source, n) + sum_of(t->address[!side], n) + protocol + (uint32_t)len;
	uint16_t folded = fold(sum);
	put16(payload + at, folded || protocol != IPPROTO_UDP ? folded : 0xffff);
}

// --- packets -------------------------------------------------------------------------------------

static struct unit *unit_new(
	struct talk *t, unsigned side, uint8_t protocol, size_t len, const char *label)
{
	if (t->nunits == UNITS_MAX)
		fail("a talk has too many units");
	struct unit *u = &t->units[t->nunits];
	*u = (struct unit){.label = label,
		.phase = t->phase,
		.len = (uint16_t)len,
		.side = (uint8_t)side,
		.step = t->nsteps,
		.protocol = protocol,
		.cover = -1,
		.mark = board_mark(t, t->nunits)};
	t->nunits++;
	return u;
}

static uint8_t *step_new(struct talk *t, const struct unit *u, size_t len)
{
	if (t->nsteps == STEPS_MAX || t->used + len > TALK_BYTES || len > PACKET_MAX)
		fail("a talk has too many packets, or too long ones");
	struct step *s = &t->steps[t->nsteps++];
	*s = (struct step){.at = t->used,
		.len = (uint16_t)len,
		.side = u->side,
		.unit = (uint8_t)(u - t->units)};
	t->used += (uint32_t)len;
	return t->bytes + s->at;
}

static uint8_t *put_ipv4(const struct talk *t, const struct unit *u, uint8_t *at, size_t len,
	unsigned options, uint16_t fragment)
{
	memset(at, 0, IPV4_LEN);
	at[0] = (uint8_t)(0x40 | (IPV4_LEN + options) / 4);
	put16(at + 2, (uint16_t)(IPV4_LEN + options + len));
	put16(at + 4, u->mark);
	put16(at + 6, fragment);
	at[8] = 64;
	at[9] = u->protocol;
	memcpy(at + 12, t->address[u->side], 4);
	memcpy(at + 16, t->address[!u->side], 4);
	memset(at + IPV4_LEN, 1, options); // no operation
	put16(at + 10, fold(sum_of(at, IPV4_LEN + options)));
	return at + IPV4_LEN + options;
}

static uint8_t *put_ipv6(
	const struct talk *t, const struct unit *u, uint8_t *at, size_t len, uint8_t next)
{
	put32(at, 6u << 28 | u->mark);
	put16(at + 4, (uint16_t)len);
	at[6] = next;
	at[7] = 64;
	memcpy(at + 8, t->address[u->side], 16);
	memcpy(at + 24, t->address[!u->side], 16);
	return at + IPV6_LEN;
}

struct unit *talk_add(struct talk *t, unsigned side, uint8_t protocol, const uint8_t *payload,
	size_t len, const char *label)
{
	struct unit *u = unit_new(t, side, protocol, len, label);
	unsigned options = rng_one_in(&t->rng, 50) ? OPTIONS_LEN : 0;
	uint8_t *at = step_new(t, u, (t->ipv6 ? IPV6_LEN : IPV4_LEN) + options + len);
	if (!t->ipv6) {
		at = put_ipv4(t, u, at, len, options, 0);
	} else {
		at = put_ipv6(t, u, at, options + len, options ? IPPROTO_DSTOPTS : protocol);
		if (options) {
			const uint8_t padding[OPTIONS_LEN] = {protocol, 0, 1, 4};
			memcpy(at, padding, OPTIONS_LEN);
			at += OPTIONS_LEN;
		}
	}
	u->at = (uint32_t)(at - t->bytes);
	memcpy(at, payload, len);
	return u;
}

struct unit *talk_add_from_router(struct talk *t, unsigned side, uint8_t protocol,
	const uint8_t *payload, size_t len, const char *label)
{
	uint8_t own[16];
	memcpy(own, t->address[side], 16);
	router_address(t, side, t->address[side]);
	struct unit *u = talk_add(t, side, protocol, payload, len, label);
	memcpy(t->address[side], own, 16);
	return u;
}

struct unit *talk_add_datagram(struct talk *t, unsigned side, uint8_t protocol,
	const uint8_t *payload, size_t len, const char *label)
{
	if (t->ncovers == COVERS_MAX || len > DATAGRAM_MAX || t->used + len > TALK_BYTES)
		fail("a talk has too many fragmented packets, or too long ones");
	struct unit *u = unit_new(t, side, protocol, len, label);
	u->cover = (int8_t)t->ncovers++;
	u->at = t->used;
	t->used += (uint32_t)len;
	memcpy(t->bytes + u->at, payload, len);
	return u;
}

void talk_add_fragment(struct talk *t, struct unit *u, uint16_t from, uint16_t len, bool more)
{
	uint8_t *at = step_new(t, u, (t->ipv6 ? IPV6_LEN + FRAGMENT_LEN : IPV4_LEN) + len);
	if (!t->ipv6) {
		at = put_ipv4(t, u, at, len, 0, (uint16_t)(from / 8 | (more ? 0x2000 : 0)));
	} else {
		at = put_ipv6(t, u, at, FRAGMENT_LEN + len, IPPROTO_FRAGMENT);
		put16(at, (uint16_t)(u->protocol << 8));
		put16(at + 2, (uint16_t)(from | more));
		put32(at + 4, (uint32_t)t->number << 16 | u->mark);
		at += FRAGMENT_LEN;
	}
	memcpy(at, t->bytes + u->at + from, len);
}

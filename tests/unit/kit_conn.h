// SPDX-License-Identifier: BSD-3-Clause
// Keys and tables for tests of connections. Keys are made here and not by what is tested.
#ifndef WEIR_TESTS_UNIT_KIT_CONN_H
#define WEIR_TESTS_UNIT_KIT_CONN_H

#include <arpa/inet.h>
#include <string.h>

#include "conntrack/table_inner.h"

// xorshift64*
static inline uint64_t kit_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

// The n-th of many UDP connections in zone 1, as guests would number them: one after the other.
static inline struct conn_key kit_key4(uint32_t n)
{
	struct conn_key key = {.id = {.meta = conn_meta(1, IPPROTO_UDP, CONN_IPV4),
				       .ports = {htons((uint16_t)(n & 0xffff)), htons(53)}}};
	key.id.v4[0] = htonl(0x0a000000 + (n >> 16));
	key.id.v4[1] = htonl(0x0a800001);
	return key;
}

static inline struct conn_key kit_key6(uint32_t n)
{
	struct conn_key key = {.id = {.meta = conn_meta(1, IPPROTO_UDP, CONN_IPV6),
				       .ports = {htons((uint16_t)(n & 0xffff)), htons(53)}}};
	const uint32_t low = htonl(n >> 16);
	key.v6[0][0] = key.v6[1][0] = 0xfd;
	memcpy(key.v6[0] + 12, &low, sizeof(low));
	key.v6[1][1] = 1;
	return key;
}

static inline struct conn_table_options kit_table_options(
	uint32_t connections, uint16_t nworkers, uint64_t seed)
{
	struct conn_table_options options = {.connections = connections, .nworkers = nworkers};
	uint64_t state = seed * 2 + 1;
	for (unsigned i = 0; i < sizeof(options.secret); i++)
		options.secret[i] = (uint8_t)(kit_random(&state) >> 56);
	return options;
}

#endif

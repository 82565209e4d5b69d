// SPDX-License-Identifier: BSD-3-Clause
// A talk: the packets that two hosts exchange, one at either side of what is tested, all made when
// the talk begins. What becomes of a packet changes nothing of those behind it, so both ways get
// the same.
//
// Side A's hosts have addresses 10.1.x.x and fd01::x, side B's 10.2.x.x and fd02::x. No two talks
// have the same pair of addresses and client's L4 port.
#ifndef WEIR_TESTS_ORACLE_TALK_H
#define WEIR_TESTS_ORACLE_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/hostile/rng.h"

enum {
	SIDE_A,
	SIDE_B,
	SIDES
};

enum {
	BY_LINUX,
	BY_WEIR,
	WAYS
};

enum {
	STEPS_MAX = 96,
	UNITS_MAX = 80,
	COVERS_MAX = 12,     // fragmented units of a talk
	DATAGRAM_MAX = 4096, // of a fragmented unit
	TALK_BYTES = 1 << 16,
	PACKET_MAX = 1500,
};

// One packet on the wire, from its IP header on.
struct step {
	uint32_t at; // in the talk's bytes
	uint16_t len;
	uint8_t side; // who sends it
	uint8_t unit;
};

// What has a verdict: a whole packet, or all fragments of one.
struct unit {
	const char *label; // what is tried with it
	const char *phase; // what the talk had come to
	uint32_t at;       // its IP payload in the talk's bytes
	uint16_t len;
	uint16_t mark;      // in IPv4's identification, IPv6's flow label
	uint8_t side, step; // the first
	uint8_t protocol;
	int8_t cover; // fragmented: its entry of covers; else -1
	bool passed[WAYS];
};

// Which bytes of a fragmented unit have arrived, in blocks of eight.
struct cover {
	uint8_t blocks[WAYS][DATAGRAM_MAX / 8];
};

struct talk {
	struct rng rng;
	uint64_t number;
	const char *phase;
	bool ipv6;
	uint8_t address[SIDES][16]; // IPv4: the first four bytes
	uint16_t port[SIDES];
	uint8_t nsteps, next; // next: to be sent
	uint8_t nunits, ncovers;
	uint32_t used; // of bytes
	struct step steps[STEPS_MAX];
	struct unit units[UNITS_MAX];
	struct cover covers[COVERS_MAX];
	uint8_t bytes[TALK_BYTES];
};

// A talk of the number, of a kind that the number and seed decide, with all its steps.
void talk_make(struct talk *t, uint64_t seed, uint64_t number);

// Whether there is room for some more packets.
bool talk_has_room(const struct talk *t);
// One packet with this IP payload. Returns the unit.
struct unit *talk_add(struct talk *t, unsigned side, uint8_t protocol, const uint8_t *payload,
	size_t len, const char *label);
// The same from another address of the side: a router's.
struct unit *talk_add_from_router(struct talk *t, unsigned side, uint8_t protocol,
	const uint8_t *payload, size_t len, const char *label);

// A unit that is sent in fragments: its payload; then its fragments, one after the other.
struct unit *talk_add_datagram(struct talk *t, unsigned side, uint8_t protocol,
	const uint8_t *payload, size_t len, const char *label);
void talk_add_fragment(struct talk *t, struct unit *unit, uint16_t from, uint16_t len, bool more);

// Sets the checksum at `at` of the payload to what it has to be with the pseudo header. From a
// router: as talk_add_from_router sends it.
void talk_checksum(const struct talk *t, unsigned side, uint8_t protocol, uint8_t *payload,
	size_t len, size_t at, bool router);

// --- kinds, each fills a talk that has its addresses
typedef void talk_kind(struct talk *t);
talk_kind tcp_talk, tcp_random_talk, tcp_middle_talk, tcp_malformed_talk, udp_talk, icmp_talk,
	sctp_talk, other_talk, fragment_talk, stranger_errors_talk;

// An ICMP error of the side about the last packet that came from the other one, right or wrong in a
// way that chance decides. Nothing, if there was none.
void talk_add_error(struct talk *t, unsigned side);

static inline void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

#endif

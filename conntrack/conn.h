// SPDX-License-Identifier: BSD-3-Clause
// An entry of the connection table: one connection, both directions. The first line is all that a
// packet of an established IPv4 connection touches that is not TCP; the second is TCP's and IPv6's;
// the third is cold.
//
// Several workers may handle one connection at once. So what they write is atomic, with relaxed
// order: a state, a time or a counter each stands for itself. TCP's and SCTP's sides are written
// under `lock`. What an entry is called (`id`, `addresses`) is written before the entry is found by
// anyone and stays until the grace period behind its removal. Ports and rules are named by stable
// numbers and nothing is a pointer, so that another process can take the table over.
//
// A conversation can begin anew in its entry (conntrack/track.h). Then `generation` is another one,
// written last: whoever decides something about the connection takes it first, and stores what was
// decided under `lock` if it is still the same.
#ifndef WEIR_CONNTRACK_CONN_H
#define WEIR_CONNTRACK_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "conntrack/key.h"
#include "conntrack/state.h"

enum conn_flag {
	CONN_BEGAN_HIGH = 1 << 0, // the original direction is 1: its first packet came from the
				  // higher end
	CONN_ANSWERED = 1 << 1,   // packets were seen in both directions
	CONN_PICKED_UP = 1 << 2,  // seen from its middle on: windows are not known yet
	CONN_CHAINED = 1 << 3,    // its way leads through `chain`
	CONN_LIBERAL = 1 << 4,    // what was seen of it denies nothing: no rules concern it
};

// What one end has sent so far. Under `lock`.
struct conn_side {
	uint32_t end;    // TCP: behind the last octet it has sent; SCTP: its verification tag
	uint32_t limit;  // TCP: behind the last octet it lets the other end send; SCTP: the tag it
			 // has offered for a new association
	uint32_t acked;  // TCP: its highest acknowledgement; SCTP: the tag it had offered before
	uint16_t window; // TCP: the largest it has offered, as in the header, to be shifted
	uint8_t scale;   // TCP: shift of its windows (RFC 7323)
	uint8_t flags;   // the state machine's
};

// TCP: the last SYN that was passed although it did not fit: until it is answered nobody knows
// whether it begins the connection anew. Under `lock`.
struct conn_syn {
	uint32_t isn;
	uint16_t window;
	uint16_t data; // bytes that came with it
	uint8_t scale;
	uint8_t flags; // its side's, as if it had fitted; 0: there is none
	uint8_t direction;
	uint8_t spare;
};

struct conn {
	// --- each packet
	struct conn_id id;
	_Atomic uint32_t epoch;  // policy epoch under which it was resolved; 0: not yet
	_Atomic uint32_t seen_s; // of its last packet
	_Atomic uint8_t state;   // enum conn_state
	_Atomic uint8_t flags;   // enum conn_flag
	atomic_bool lock;
	_Atomic uint8_t generation;
	// By direction, where the MAC table has the source's address and, in the upper half, the
	// destination's: where to look first, no more. Of no meaning to this layer.
	_Atomic uint32_t places[2];
	_Atomic uint16_t ports[2];   // behind the lower and the higher end, as resolved; 0: none
	_Atomic uint32_t packets[2]; // by direction; the low words, the high ones are cold
	_Atomic uint64_t bytes[2];
	// --- TCP, SCTP, IPv6
	uint8_t addresses[2][16]; // of IPv6, the lower end first
	struct conn_side sides[2];
	// --- cold
	uint32_t hash; // its key's
	_Atomic uint32_t created_s;
	_Atomic uint32_t packets_high[2];
	_Atomic uint32_t rules[2]; // ids of the rules that allowed it: from-vm, to-vm; 0: none did
	_Atomic uint16_t owner;    // whom it counts for: conn_owner of conntrack/table.h
	uint16_t nat;              // reserved for address translation
	uint32_t isns[2];          // TCP: sequence numbers of both SYNs, under `lock`
	struct conn_syn syn;
	// Whose network functions it visits: 0: none; CONN_CHAIN_GONE: it was removed. Of each hop,
	// which instance: 0: none is chosen. Of no meaning to this layer.
	_Atomic uint16_t chain;
	_Atomic uint8_t instances[CHAIN_HOPS_MAX];
	// By hop, a bit: what goes in there comes out under the same key. Since it was resolved.
	_Atomic uint8_t unchanged;
	uint8_t reserved;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct conn) == 192, "three lines");
_Static_assert(offsetof(struct conn, addresses) == 64, "the first line");
_Static_assert(offsetof(struct conn, hash) == 128, "the second line");

static inline unsigned conn_original_direction(const struct conn *conn)
{
	return atomic_load_explicit(&conn->flags, memory_order_relaxed) & CONN_BEGAN_HIGH;
}

static inline uint32_t conn_epoch(const struct conn *conn)
{
	return atomic_load_explicit(&conn->epoch, memory_order_relaxed);
}

static inline uint8_t conn_generation(const struct conn *conn)
{
	return atomic_load_explicit(&conn->generation, memory_order_acquire);
}

static inline uint16_t conn_chain(const struct conn *conn)
{
	return atomic_load_explicit(&conn->chain, memory_order_relaxed);
}

static inline bool conn_is_chained(const struct conn *conn)
{
	return atomic_load_explicit(&conn->flags, memory_order_relaxed) & CONN_CHAINED;
}

static inline uint8_t conn_instance(const struct conn *conn, unsigned hop)
{
	return atomic_load_explicit(&conn->instances[hop], memory_order_relaxed);
}

static inline bool conn_is_unchanged(const struct conn *conn, unsigned hop)
{
	return atomic_load_explicit(&conn->unchanged, memory_order_relaxed) >> hop & 1;
}

static inline void conn_set_unchanged(struct conn *conn, unsigned hop)
{
	if (__builtin_expect(!conn_is_unchanged(conn, hop), 0))
		atomic_fetch_or_explicit(
			&conn->unchanged, (uint8_t)(1 << hop), memory_order_relaxed);
}

// The port behind the end that a direction comes from.
static inline uint16_t conn_port(const struct conn *conn, unsigned direction)
{
	return atomic_load_explicit(&conn->ports[direction], memory_order_relaxed);
}

// Counts a packet of `bytes` bytes on the wire. Workers; counts of one direction that come by two
// workers in the same instant may lose one.
static inline void conn_count(struct conn *conn, unsigned direction, uint32_t bytes)
{
	uint32_t packets = atomic_load_explicit(&conn->packets[direction], memory_order_relaxed) +
			   1;
	atomic_store_explicit(&conn->packets[direction], packets, memory_order_relaxed);
	if (__builtin_expect(!packets, 0))
		atomic_fetch_add_explicit(&conn->packets_high[direction], 1, memory_order_relaxed);
	atomic_store_explicit(&conn->bytes[direction],
		atomic_load_explicit(&conn->bytes[direction], memory_order_relaxed) + bytes,
		memory_order_relaxed);
}

static inline void conn_seen(struct conn *conn, uint32_t now_s)
{
	if (__builtin_expect(atomic_load_explicit(&conn->seen_s, memory_order_relaxed) != now_s, 0))
		atomic_store_explicit(&conn->seen_s, now_s, memory_order_relaxed);
}

#endif

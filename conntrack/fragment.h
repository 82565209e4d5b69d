// SPDX-License-Identifier: BSD-3-Clause
// Fragments of IPv4 and IPv6 (RFC 791, RFC 8200 4.5): which connection each belongs to. Nothing is
// reassembled: a fragment goes on as it came. The first one's key is remembered for the others of
// its datagram, which have no L4 header; what comes before the first is held and goes on behind it.
// What is refused, bounds and life cycle: conntrack/fragment.c.
#ifndef WEIR_CONNTRACK_FRAGMENT_H
#define WEIR_CONNTRACK_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/packet.h"
#include "conntrack/key.h"

enum {
	// Of one worker, in all and for each ingress port: datagrams whose first fragment has come
	// and not yet all others,
	FRAGMENT_OPEN = 2048,
	FRAGMENT_PORT_OPEN = 256,
	// and memory for held fragments, in slots. A frame takes as many as it needs.
	FRAGMENT_SLOTS = 1024,
	FRAGMENT_PORT_SLOTS = 128,
	FRAGMENT_SLOT_SIZE = 2048,
	// From a datagram's first fragment to come until it is forgotten, and what is held of it
	// lost. Receivers wait for 30 s (Linux) or 60 s (RFC 8200); but fragments of one datagram
	// leave their sender together, memory is short here, and a busy sender's identifications
	// come again within seconds (RFC 4963).
	FRAGMENT_HOLD_MS = 2000,
};

enum fragment_verdict {
	FRAGMENT_PASS,
	FRAGMENT_HELD,
	FRAGMENT_DROP
};

struct fragments;

// Why a fragment is dropped, and the port at which that counts.
struct fragment_drop {
	enum drop_reason reason; // DROP_NONE: it is not
	uint16_t port;
};

// Told of each held fragment that is lost, and of the port at which that counts: `len` of its first
// bytes, valid during the call. In the thread of the call that lost it.
typedef void fragment_lost_fn(
	void *ctx, uint16_t port, enum drop_reason reason, const uint8_t *head, uint32_t len);

struct fragment_options {
	uint64_t secret[2]; // random: guests choose what is hashed
	uint64_t hold;      // FRAGMENT_HOLD_MS in the unit of `now`
	fragment_lost_fn *lost;
	void *ctx;
};

// All memory there will be: about 3 MiB. NULL: none. Any thread; from then on one worker's.
struct fragments *fragments_new(const struct fragment_options *options);
// What is held is forgotten and not told. NULL is allowed.
void fragments_free(struct fragments *f);

// A packet with PACKET_FRAGMENT, parsed and not dropped, from ingress port `port` (below PORT_IDS),
// at the time `now`, which never goes back. Of a first fragment *key is its connection's key, or
// zeros if it has none; of another it is filled in:
// FRAGMENT_PASS: *key is the packet's, direction and all.
// FRAGMENT_HELD: copied, since the first has not come. Its frame is not needed any more.
// FRAGMENT_DROP: as *drop says: at the ingress port for FRAGMENT_INVALID, FRAGMENT_LIMIT or
// FRAGMENT_INCOMPLETE (it was held, and its datagram is not known any more), or what
// fragments_refuse has been given.
enum fragment_verdict fragments_see(struct fragments *f, const struct packet *packet, uint32_t zone,
	uint16_t port, uint64_t now, struct conn_key *key, struct fragment_drop *drop);

// The first fragment has been dropped after it had passed: the others of its datagram, held or to
// come, are dropped for the same reason, and count where it does.
void fragments_refuse(struct fragments *f, const struct packet *packet, uint32_t zone,
	uint16_t port, struct fragment_drop drop);
// Whether the datagram of a fragment that has passed was refused meanwhile. For those that were
// seen in one burst with their first, before it was dropped.
struct fragment_drop fragments_fate(
	struct fragments *f, const struct packet *packet, uint32_t zone, uint16_t port);

// Whether held fragments are to go on, since their first has.
bool fragments_ready(const struct fragments *f);
// Takes up to BURST_MAX of them, of one port, as a burst; returns how many. Their heads lie in the
// stash, their bodies in memory of f's until fragments_give_back. All that fragments_see is given
// in between is of this burst: it passes with the key of its first.
unsigned fragments_take(struct fragments *f, struct burst *burst, uint16_t *port);
// Nobody needs the burst's bytes any more. Without one it does nothing.
void fragments_give_back(struct fragments *f);

// When fragments_expire has something to do at the earliest; UINT64_MAX: nothing is known.
uint64_t fragments_due(const struct fragments *f);
// Forgets datagrams whose time is over; what was held of them is lost as FRAGMENT_INCOMPLETE.
void fragments_expire(struct fragments *f, uint64_t now);
// Slots in use. Not 0: somebody has to look when fragments_due says.
uint32_t fragments_held(const struct fragments *f);

#endif

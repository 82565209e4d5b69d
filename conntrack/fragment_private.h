// SPDX-License-Identifier: BSD-3-Clause
// What the files of conntrack/fragment share.
#ifndef WEIR_CONNTRACK_FRAGMENT_PRIVATE_H
#define WEIR_CONNTRACK_FRAGMENT_PRIVATE_H

#include "base/config.h"
#include "conntrack/fragment.h"

enum {
	NOTHING = 0xffff, // as an index
	DONE_MAX = 64,
	// Each that waits or is ready has a slot at least.
	DATAGRAMS = FRAGMENT_OPEN + FRAGMENT_SLOTS + DONE_MAX,
	BUCKETS = 4096,
	RANGES_MAX = 32,
	UNIT = 8, // bytes: offsets are counted in these
};

// --- what one fragment says (fragment_piece.c)

// What all fragments of a datagram have in common. Hashed and compared as it lies in memory.
struct datagram_id {
	uint8_t source[16], destination[16]; // IPv4 has the first four bytes, the others are 0
	uint32_t identification;
	uint32_t zone;
	uint16_t port;    // of ingress
	uint8_t protocol; // of IPv4; those of IPv6 may differ in it (RFC 8200, 4.5)
	uint8_t family;
	uint32_t spare; // 0
};
_Static_assert(sizeof(struct datagram_id) == 48, "no padding");

struct piece {
	struct datagram_id id;
	uint32_t start, end; // bytes of what is cut into fragments
	bool last;
	bool sound; // no rule for a single fragment is broken
};
void piece_of(struct piece *piece, const struct packet *packet, uint32_t zone, uint16_t port);
// What the segment's header says in a first fragment of TCP, with its L4 header.
void piece_note_segment(struct conn_key *key, const struct packet *packet);

// The parts of a datagram that have been seen, in order and with gaps between them.
struct ranges {
	uint16_t count;
	struct range {
		uint16_t start, end; // in units
	} of[RANGES_MAX];
};

enum ranges_verdict {
	RANGES_NEW,
	RANGES_SEEN, // wholly inside one of them
	RANGES_OVERLAP,
	RANGES_FULL
};
enum ranges_verdict ranges_add(struct ranges *ranges, uint32_t start, uint32_t end);

// --- datagrams (fragment_table.c)

enum datagram_state {
	DATAGRAM_FREE,
	DATAGRAM_WAITING, // for its first fragment; has held ones
	DATAGRAM_READY,   // the first has come, and the held ones are to go on
	DATAGRAM_OPEN,    // the first has come, or nothing of it is to pass
	DATAGRAM_DONE,    // all have come
};

struct list {
	uint16_t first, last;
	uint16_t count;
};
struct link {
	uint16_t before, after;
};
enum {
	BY_AGE,
	BY_STATE,
	LINKS
};

struct datagram {
	struct datagram_id id;
	struct conn_key key; // of the first fragment
	uint64_t born;
	struct link links[LINKS];
	uint16_t next; // in its bucket
	uint16_t bucket;
	uint16_t first_frame, last_frame; // held ones, by their first slots
	uint8_t state;                    // enum datagram_state
	struct fragment_drop refused;
	bool begun;       // the first fragment has come
	uint32_t length;  // where the last fragment ends; 0: not known
	uint32_t reach;   // the highest end of any
	uint32_t segment; // TCP: where the first fragment ends, as key.end does; else 0
	struct ranges ranges;
};

struct slot {
	uint16_t next;  // of the same frame
	uint16_t owner; // datagram
	// In a frame's first slot:
	uint16_t next_frame;
	uint16_t head_len; // bytes that stood in the stash
	uint32_t len;
};

struct fragment_port {
	struct list waiting, open;
	uint16_t slots;
};

struct fragments {
	struct fragment_options options;
	uint64_t dice; // state of a generator
	uint64_t seen; // `now` of the last call
	struct list ages, ready, done, unused;
	uint16_t nopen;
	uint16_t flight_of;    // READY, and a part of what it held is on its way; or NOTHING
	uint16_t flight_frame; // the first of them
	uint16_t nfree;        // slots
	uint16_t free_slots[FRAGMENT_SLOTS];
	struct slot slots[FRAGMENT_SLOTS];
	uint16_t buckets[BUCKETS];
	struct fragment_port ports[PORT_IDS];
	struct datagram datagrams[DATAGRAMS];
	uint8_t bytes[FRAGMENT_SLOTS][FRAGMENT_SLOT_SIZE];
};

static inline uint16_t datagram_index(const struct fragments *f, const struct datagram *d)
{
	return (uint16_t)(d - f->datagrams);
}

// NULL: not known.
struct datagram *datagram_find(struct fragments *f, const struct datagram_id *id);
// A new one, WAITING or OPEN. The caller has seen to a free slot if it is to wait.
struct datagram *datagram_new(
	struct fragments *f, const struct datagram_id *id, enum datagram_state state, uint64_t now);
void datagram_set_state(struct fragments *f, struct datagram *d, enum datagram_state state);
// Whether all of it has been seen.
static inline bool datagram_is_whole(const struct datagram *d)
{
	return d->begun && d->length && d->ranges.count == 1 && !d->ranges.of[0].start &&
	       d->ranges.of[0].end == (d->length + UNIT - 1) / UNIT;
}
// Forgets it; what it holds is lost for this reason, at its ingress port.
void datagram_end(struct fragments *f, struct datagram *d, enum drop_reason reason);
// The oldest that waits of the port which, as far as a few samples tell, has most slots in use.
// NULL: none waits.
struct datagram *datagram_greediest_waiting(struct fragments *f);

// --- held frames (fragment_hold.c)

uint32_t hold_slots_for(const struct packet *packet);
// Copies the frame behind the others of d. That many slots are free.
void hold_frame(struct fragments *f, struct datagram *d, const struct packet *packet);
void hold_free_frame(struct fragments *f, uint16_t port, uint16_t frame);
// All that d holds is lost.
void hold_lose(struct fragments *f, struct datagram *d, struct fragment_drop drop);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Life cycle of a datagram: its first fragment to come makes it known, FRAGMENT_HOLD_MS later it is
// forgotten, whatever has come.
//
//     the first comes    → OPEN → all have come: DONE → forgotten with the next round
//     another comes      → WAITING, that one held → the first comes: READY, until what is held has
//                          gone on behind it → OPEN or DONE
//     a rule is broken   → OPEN and refused: nothing of it passes any more, held ones are lost
//
// What is refused (FRAGMENT_INVALID), with all that follows of the datagram:
// - a first fragment that does not hold the whole L4 header, or has no connection's key for another
//   reason (RFC 1858 and 3128: tiny fragments; RFC 7112 and 8200: all headers); of an ICMP error,
//   one that does not hold what is to be believed of its quote. Since another
//   fragment cannot reach into the first, no L4 header is ever written over; this makes the check
//   of the offset that RFC 1858 names needless.
// - an overlap (RFC 5722, 8200; for IPv4 RFC 1858 is as good a reason, and Linux does so too)
// - a length that is no multiple of 8 with more to come; an end beyond 65535; no bytes at all
// - two last fragments with different ends, or anything behind the last one's
// - a second fragment header in one packet
// A fragment whose bytes have all been seen is dropped alone, under the same name. RFC 8200 allows
// that for exact duplicates, which networks make; Linux does so for whatever lies within a run
// without gaps, and so does this file, as it keeps runs. Nothing of it reaches a receiver, so it
// overlaps nothing there.
//
// All fragments of a datagram must come by one port: the port is a part of its name. So nobody's
// fragments can spoil another port's datagrams, whatever addresses they claim. And they must come
// to one worker: what is here belongs to one worker and has no lock. A sender's queues (Linux
// chooses them without L4 ports for fragments, or by the sending CPU), packet_flow_hash and a
// NIC's RSS keep a datagram together, the latter if it hashes fragments by addresses alone. Where
// one does not, those in the wrong queue are lost as FRAGMENT_INCOMPLETE.
//
// Room: each port has its share of open datagrams and of slots, and all have theirs. Who is beyond
// its share loses its oldest; if all is used, the port that has most loses its oldest. Those that
// wait and those that are open have separate shares, so fragments without a first never push out a
// datagram whose fragments pass. A datagram that finds no room is lost whole, since one without a
// part is of no use.
#include "conntrack/fragment.h"

#include "base/likely.h"
#include "conntrack/fragment_private.h"

uint64_t fragments_due(const struct fragments *f)
{
	if (f->ages.first == NOTHING)
		return UINT64_MAX;
	return f->datagrams[f->ages.first].born + f->options.hold;
}

void fragments_expire(struct fragments *f, uint64_t now)
{
	while (fragments_due(f) <= now) {
		struct datagram *d = &f->datagrams[f->ages.first];
		if (d->state == DATAGRAM_READY)
			return; // it goes on with the next burst
		datagram_end(f, d, DROP_FRAGMENT_INCOMPLETE);
	}
}

static void forget_done(struct fragments *f, uint64_t now)
{
	if (f->seen == now)
		return;
	f->seen = now;
	while (f->done.count)
		datagram_end(f, &f->datagrams[f->done.first], DROP_NONE);
}

// Slots for one more fragment of d, or of a new datagram if d is NULL, from this port. False: there
// are none, unless d itself went.
static bool make_slots(
	struct fragments *f, const struct datagram *d, uint16_t port, const struct packet *packet)
{
	const struct fragment_port *p = &f->ports[port];
	const uint32_t n = hold_slots_for(packet);
	while (p->slots + n > FRAGMENT_PORT_SLOTS || f->nfree < n) {
		struct datagram *victim;
		if (f->nfree < n)
			victim = datagram_greediest_waiting(f);
		else
			victim = p->waiting.count ? &f->datagrams[p->waiting.first] : NULL;
		if (!victim || victim == d)
			return false;
		datagram_end(f, victim, DROP_FRAGMENT_LIMIT);
	}
	return true;
}

static void refuse(struct fragments *f, struct datagram *d, struct fragment_drop drop)
{
	hold_lose(f, d, drop);
	d->refused = drop;
	if (d->state == DATAGRAM_WAITING || d->state == DATAGRAM_READY)
		datagram_set_state(f, d, DATAGRAM_OPEN);
}

// Whether the piece fits what is known of the datagram's end.
static bool end_agrees(struct datagram *d, const struct piece *piece)
{
	if (d->length)
		return piece->end <= d->length && (!piece->last || piece->end == d->length);
	if (piece->last)
		d->length = piece->end;
	return !piece->last || piece->end >= d->reach;
}

// Notes the piece. DROP_NONE, or why its fragment must not pass; *spoiled: nor may any other.
static enum drop_reason note(struct datagram *d, const struct piece *piece, bool *spoiled)
{
	*spoiled = true;
	if (!piece->sound || !end_agrees(d, piece))
		return DROP_FRAGMENT_INVALID;
	switch (ranges_add(&d->ranges, piece->start, piece->end)) {
	case RANGES_NEW:
		d->reach = piece->end > d->reach ? piece->end : d->reach;
		return DROP_NONE;
	case RANGES_SEEN:
		*spoiled = false;
		return DROP_FRAGMENT_INVALID;
	case RANGES_FULL:
		return DROP_FRAGMENT_LIMIT;
	case RANGES_OVERLAP:
		break;
	}
	return DROP_FRAGMENT_INVALID;
}

// The datagram of a piece that may be held: known, or new with room for it. NULL: no room; what
// there was of it is lost.
static struct datagram *to_wait(struct fragments *f, struct datagram *d, const struct piece *piece,
	const struct packet *packet, uint64_t now)
{
	if (make_slots(f, d, piece->id.port, packet))
		return d ? d : datagram_new(f, &piece->id, DATAGRAM_WAITING, now);
	if (d)
		datagram_end(f, d, DROP_FRAGMENT_LIMIT);
	return NULL;
}

static void go_on(struct fragments *f, struct datagram *d)
{
	if (d->state == DATAGRAM_WAITING)
		datagram_set_state(f, d, DATAGRAM_READY);
	else if (d->state == DATAGRAM_OPEN && datagram_is_whole(d))
		datagram_set_state(f, d, DATAGRAM_DONE);
}

// The first one's key, and of TCP how far the segment has come with this piece.
static void give_key(const struct datagram *d, const struct piece *piece, struct conn_key *key)
{
	*key = d->key;
	if (!d->segment)
		return;
	key->end += piece->end - d->segment;
	if (!piece->last)
		key->flags &= (uint8_t)~KEY_FIN;
	else if (key->flags & KEY_FIN)
		key->end++;
}

static void begin(
	struct datagram *d, const struct piece *piece, const struct packet *p, struct conn_key *key)
{
	if (p->l4_proto == IPPROTO_TCP && p->flags & PACKET_L4) {
		piece_note_segment(key, p);
		d->segment = piece->end;
	}
	d->key = *key;
	d->begun = true;
}

// What was held is on its way again: it has been noted.
static enum fragment_verdict see_again(const struct fragments *f, const struct datagram *d,
	const struct piece *piece, struct conn_key *key, struct fragment_drop *drop)
{
	drop->reason = DROP_FRAGMENT_INCOMPLETE;
	if (!d || datagram_index(f, d) != f->flight_of)
		return FRAGMENT_DROP;
	*drop = d->refused;
	if (drop->reason != DROP_NONE)
		return FRAGMENT_DROP;
	give_key(d, piece, key);
	return FRAGMENT_PASS;
}

enum fragment_verdict fragments_see(struct fragments *f, const struct packet *packet, uint32_t zone,
	uint16_t port, uint64_t now, struct conn_key *key, struct fragment_drop *drop)
{
	struct piece piece;
	piece_of(&piece, packet, zone, port);
	forget_done(f, now);
	struct datagram *d = datagram_find(f, &piece.id);
	*drop = (struct fragment_drop){DROP_FRAGMENT_LIMIT, port};
	if (f->flight_of != NOTHING)
		return see_again(f, d, &piece, key, drop);
	if (d && d->refused.reason != DROP_NONE) {
		*drop = d->refused;
		return FRAGMENT_DROP;
	}

	bool first = !(packet->flags & PACKET_LATER_FRAGMENT);
	bool hold = !first && !(d && d->begun);
	if (first && !key->id.meta)
		piece.sound = false;
	if (hold && piece.sound) {
		d = to_wait(f, d, &piece, packet, now);
		if (!d)
			return FRAGMENT_DROP;
	} else if (!d) {
		d = datagram_new(f, &piece.id, DATAGRAM_OPEN, now);
	}
	bool spoiled;
	drop->reason = note(d, &piece, &spoiled);
	if (unlikely(drop->reason != DROP_NONE)) {
		if (spoiled)
			refuse(f, d, *drop);
		return FRAGMENT_DROP;
	}
	if (hold) {
		hold_frame(f, d, packet);
		return FRAGMENT_HELD;
	}
	if (first)
		begin(d, &piece, packet, key);
	else
		give_key(d, &piece, key);
	go_on(f, d);
	return FRAGMENT_PASS;
}

static struct datagram *datagram_of(
	struct fragments *f, const struct packet *packet, uint32_t zone, uint16_t port)
{
	struct piece piece;
	piece_of(&piece, packet, zone, port);
	return datagram_find(f, &piece.id);
}

void fragments_refuse(struct fragments *f, const struct packet *packet, uint32_t zone,
	uint16_t port, struct fragment_drop drop)
{
	struct datagram *d = datagram_of(f, packet, zone, port);
	if (d && d->refused.reason == DROP_NONE)
		refuse(f, d, drop);
}

struct fragment_drop fragments_fate(
	struct fragments *f, const struct packet *packet, uint32_t zone, uint16_t port)
{
	const struct datagram *d = datagram_of(f, packet, zone, port);
	return d ? d->refused : (struct fragment_drop){DROP_NONE, port};
}

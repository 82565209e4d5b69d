// SPDX-License-Identifier: BSD-3-Clause
// The datagrams that are known: by what they are called, by age, and by state.
#include <stdlib.h>
#include <string.h>

#include "conntrack/fragment_private.h"

enum {
	SAMPLES = 8
};

// --- lists

static void list_append(struct fragments *f, struct list *list, unsigned by, uint16_t i)
{
	f->datagrams[i].links[by] = (struct link){list->last, NOTHING};
	if (list->last == NOTHING)
		list->first = i;
	else
		f->datagrams[list->last].links[by].after = i;
	list->last = i;
	list->count++;
}

static void list_remove(struct fragments *f, struct list *list, unsigned by, uint16_t i)
{
	struct link link = f->datagrams[i].links[by];
	if (link.before == NOTHING)
		list->first = link.after;
	else
		f->datagrams[link.before].links[by].after = link.after;
	if (link.after == NOTHING)
		list->last = link.before;
	else
		f->datagrams[link.after].links[by].before = link.before;
	list->count--;
}

static struct list *list_of(struct fragments *f, const struct datagram *d)
{
	switch ((enum datagram_state)d->state) {
	case DATAGRAM_WAITING:
		return &f->ports[d->id.port].waiting;
	case DATAGRAM_READY:
		return &f->ready;
	case DATAGRAM_OPEN:
		return &f->ports[d->id.port].open;
	case DATAGRAM_DONE:
		return &f->done;
	case DATAGRAM_FREE:
		break;
	}
	return &f->unused;
}

static void leave_list(struct fragments *f, const struct datagram *d)
{
	f->nopen -= d->state == DATAGRAM_OPEN;
	list_remove(f, list_of(f, d), BY_STATE, datagram_index(f, d));
}

static void enter_list(struct fragments *f, struct datagram *d, enum datagram_state state)
{
	d->state = (uint8_t)state;
	f->nopen += state == DATAGRAM_OPEN;
	list_append(f, list_of(f, d), BY_STATE, datagram_index(f, d));
}

// --- life cycle

struct fragments *fragments_new(const struct fragment_options *options)
{
	const size_t size = (sizeof(struct fragments) + 63) / 64 * 64;
	struct fragments *f = aligned_alloc(64, size);
	if (!f)
		return NULL;
	// Now, so that no worker waits for the kernel to find a page.
	memset(f, 0, size);
	const struct list empty = {NOTHING, NOTHING, 0};
	f->options = *options;
	f->dice = options->secret[0] | 1;
	f->flight_of = f->flight_frame = NOTHING;
	f->ages = f->ready = f->done = f->unused = empty;
	for (unsigned i = 0; i < PORT_IDS; i++)
		f->ports[i].waiting = f->ports[i].open = empty;
	memset(f->buckets, 0xff, sizeof(f->buckets));
	for (uint16_t i = 0; i < FRAGMENT_SLOTS; i++) {
		f->slots[i].owner = NOTHING;
		f->free_slots[f->nfree++] = i;
	}
	for (unsigned i = 0; i < DATAGRAMS; i++)
		enter_list(f, &f->datagrams[i], DATAGRAM_FREE);
	return f;
}

void fragments_free(struct fragments *f)
{
	free(f);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint16_t bucket_of(const struct fragments *f, const struct datagram_id *id)
{
	const uint64_t *secret = f->options.secret;
	uint64_t words[sizeof(*id) / 8], hash = secret[1];
	memcpy(words, id, sizeof(words));
	for (unsigned i = 0; i < sizeof(*id) / 8; i += 2)
		hash = fold(words[i] ^ secret[0] ^ hash, words[i + 1] ^ secret[1]) + hash;
	return (uint16_t)(fold(hash ^ secret[0], secret[1] | 1) % BUCKETS);
}

struct datagram *datagram_find(struct fragments *f, const struct datagram_id *id)
{
	for (uint16_t i = f->buckets[bucket_of(f, id)]; i != NOTHING; i = f->datagrams[i].next)
		if (!memcmp(&f->datagrams[i].id, id, sizeof(*id)))
			return &f->datagrams[i];
	return NULL;
}

static void forget(struct fragments *f, struct datagram *d)
{
	uint16_t i = datagram_index(f, d), *at = &f->buckets[d->bucket];
	while (*at != i)
		at = &f->datagrams[*at].next;
	*at = d->next;
	list_remove(f, &f->ages, BY_AGE, i);
	leave_list(f, d);
	enter_list(f, d, DATAGRAM_FREE);
}

void datagram_end(struct fragments *f, struct datagram *d, enum drop_reason reason)
{
	hold_lose(f, d, (struct fragment_drop){reason, d->id.port});
	forget(f, d);
}

// --- bounds

static uint64_t roll(struct fragments *f)
{
	uint64_t x = f->dice;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	f->dice = x;
	return x >> 20;
}

// Where all slots are in use, most samples are of the port that has most of them.
struct datagram *datagram_greediest_waiting(struct fragments *f)
{
	const struct fragment_port *greediest = NULL;
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint16_t owner = f->slots[roll(f) % FRAGMENT_SLOTS].owner;
		if (owner == NOTHING || f->datagrams[owner].state != DATAGRAM_WAITING)
			continue;
		const struct fragment_port *port = &f->ports[f->datagrams[owner].id.port];
		if (!greediest || port->slots > greediest->slots)
			greediest = port;
	}
	return greediest ? &f->datagrams[greediest->waiting.first] : NULL;
}

// Likewise, of those that are open; there are FRAGMENT_OPEN, two thirds of all.
static struct datagram *greediest_open(struct fragments *f)
{
	const struct fragment_port *greediest = NULL;
	for (unsigned found = 0; found < SAMPLES;) {
		const struct datagram *d = &f->datagrams[roll(f) % DATAGRAMS];
		if (d->state != DATAGRAM_OPEN)
			continue;
		const struct fragment_port *port = &f->ports[d->id.port];
		if (!greediest || port->open.count > greediest->open.count)
			greediest = port;
		found++;
	}
	return &f->datagrams[greediest->open.first];
}

// The oldest goes: fragments of one datagram mostly come together, so what has long been open will
// hardly be used any more. And so nobody who fills his share is shut out for FRAGMENT_HOLD_MS.
static void make_room(struct fragments *f, enum datagram_state state, uint16_t port)
{
	const struct list *open = &f->ports[port].open;
	if (state == DATAGRAM_DONE && f->done.count == DONE_MAX)
		forget(f, &f->datagrams[f->done.first]);
	if (state != DATAGRAM_OPEN)
		return;
	if (open->count == FRAGMENT_PORT_OPEN)
		forget(f, &f->datagrams[open->first]);
	else if (f->nopen == FRAGMENT_OPEN)
		forget(f, greediest_open(f));
}

void datagram_set_state(struct fragments *f, struct datagram *d, enum datagram_state state)
{
	leave_list(f, d);
	make_room(f, state, d->id.port);
	enter_list(f, d, state);
}

struct datagram *datagram_new(
	struct fragments *f, const struct datagram_id *id, enum datagram_state state, uint64_t now)
{
	make_room(f, state, id->port);
	struct datagram *d = &f->datagrams[f->unused.first];
	leave_list(f, d);
	uint16_t bucket = bucket_of(f, id);
	*d = (struct datagram){.id = *id,
		.born = now,
		.next = f->buckets[bucket],
		.bucket = bucket,
		.first_frame = NOTHING,
		.last_frame = NOTHING};
	f->buckets[bucket] = datagram_index(f, d);
	list_append(f, &f->ages, BY_AGE, datagram_index(f, d));
	enter_list(f, d, state);
	return d;
}

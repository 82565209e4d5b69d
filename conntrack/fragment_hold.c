// SPDX-License-Identifier: BSD-3-Clause
// Held frames: each lies in a chain of slots, its head first. Each byte is read once.
#include <string.h>

#include "conntrack/fragment_private.h"

uint32_t hold_slots_for(const struct packet *p)
{
	return (p->len + FRAGMENT_SLOT_SIZE - 1) / FRAGMENT_SLOT_SIZE;
}

struct writer {
	struct fragments *f;
	uint16_t slot;
	uint32_t used; // bytes of it
};

static uint16_t take_slot(struct fragments *f, struct datagram *d)
{
	uint16_t slot = f->free_slots[--f->nfree];
	f->slots[slot] = (struct slot){
		.next = NOTHING, .owner = datagram_index(f, d), .next_frame = NOTHING};
	f->ports[d->id.port].slots++;
	return slot;
}

static void write(struct writer *w, struct datagram *d, const uint8_t *from, uint32_t len)
{
	while (len) {
		if (w->used == FRAGMENT_SLOT_SIZE) {
			uint16_t next = take_slot(w->f, d);
			w->f->slots[w->slot].next = next;
			w->slot = next;
			w->used = 0;
		}
		uint32_t room = FRAGMENT_SLOT_SIZE - w->used, n = len < room ? len : room;
		memcpy(w->f->bytes[w->slot] + w->used, from, n);
		w->used += n;
		from += n;
		len -= n;
	}
}

void hold_frame(struct fragments *f, struct datagram *d, const struct packet *p)
{
	uint16_t frame = take_slot(f, d);
	struct writer w = {.f = f, .slot = frame};
	f->slots[frame].head_len = p->head_len;
	f->slots[frame].len = p->len;
	write(&w, d, p->data, p->head_len);
	uint32_t left = p->len - p->head_len;
	for (const struct segment *s = p->body; left; s++) {
		uint32_t n = s->len < left ? s->len : left;
		write(&w, d, s->base, n);
		left -= n;
	}
	if (d->last_frame == NOTHING)
		d->first_frame = frame;
	else
		f->slots[d->last_frame].next_frame = frame;
	d->last_frame = frame;
}

void hold_free_frame(struct fragments *f, uint16_t port, uint16_t frame)
{
	for (uint16_t slot = frame; slot != NOTHING; slot = f->slots[slot].next) {
		f->slots[slot].owner = NOTHING;
		f->free_slots[f->nfree++] = slot;
		f->ports[port].slots--;
	}
}

void hold_lose(struct fragments *f, struct datagram *d, struct fragment_drop drop)
{
	const struct fragment_options *o = &f->options;
	for (uint16_t frame = d->first_frame; frame != NOTHING;) {
		const struct slot *s = &f->slots[frame];
		uint16_t next = s->next_frame;
		o->lost(o->ctx, drop.port, drop.reason, f->bytes[frame], s->head_len);
		hold_free_frame(f, d->id.port, frame);
		frame = next;
	}
	d->first_frame = d->last_frame = NOTHING;
}

bool fragments_ready(const struct fragments *f)
{
	return f->ready.count > 0;
}

uint32_t fragments_held(const struct fragments *f)
{
	return FRAGMENT_SLOTS - f->nfree;
}

static void fill(struct fragments *f, struct burst *burst, unsigned i, uint16_t frame)
{
	const struct slot *s = &f->slots[frame];
	struct packet *p = &burst->packets[i];
	*p = (struct packet){.data = burst->stash[i] + STASH_HEADROOM,
		.body = &burst->segments[burst->nsegments],
		.len = s->len,
		.head_len = s->head_len};
	memcpy(p->data, f->bytes[frame], s->head_len);
	uint32_t left = s->len - s->head_len, skip = s->head_len;
	for (uint16_t slot = frame; left; slot = f->slots[slot].next) {
		uint32_t room = FRAGMENT_SLOT_SIZE - skip, n = left < room ? left : room;
		burst->segments[burst->nsegments++] = (struct segment){f->bytes[slot] + skip, n};
		p->nbody++;
		left -= n;
		skip = 0;
	}
}

unsigned fragments_take(struct fragments *f, struct burst *burst, uint16_t *port)
{
	unsigned n = 0;
	burst->count = burst->nsegments = 0;
	if (!f->ready.count)
		return 0;
	struct datagram *d = &f->datagrams[f->ready.first];
	uint16_t frame = d->first_frame, last = NOTHING;
	f->flight_of = f->ready.first;
	f->flight_frame = frame;
	for (; n < BURST_MAX && frame != NOTHING; n++) {
		fill(f, burst, n, frame);
		last = frame;
		frame = f->slots[frame].next_frame;
	}
	if (last != NOTHING)
		f->slots[last].next_frame = NOTHING;
	d->first_frame = frame;
	if (frame == NOTHING)
		d->last_frame = NOTHING;
	burst->count = (uint16_t)n;
	*port = d->id.port;
	return n;
}

void fragments_give_back(struct fragments *f)
{
	if (f->flight_of == NOTHING)
		return;
	struct datagram *d = &f->datagrams[f->flight_of];
	for (uint16_t frame = f->flight_frame; frame != NOTHING;) {
		uint16_t next = f->slots[frame].next_frame;
		hold_free_frame(f, d->id.port, frame);
		frame = next;
	}
	f->flight_of = f->flight_frame = NOTHING;
	if (d->state == DATAGRAM_READY && d->first_frame == NOTHING)
		datagram_set_state(f, d, datagram_is_whole(d) ? DATAGRAM_DONE : DATAGRAM_OPEN);
}

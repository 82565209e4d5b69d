// SPDX-License-Identifier: BSD-3-Clause
// When the table runs short. When less than an eighth is free the janitor's slices look at all
// entries in use and count them, a pass over the table after the other: those that are over, and
// unanswered ones by their owner. When less than a sixteenth is free they remove: what is over
// where they meet it, and, once a whole pass has left none of those, unanswered ones of the owner
// that had most in that pass. Nothing is counted on a packet's way for this.
#include <string.h>

#include "conntrack/reclaim.h"

enum {
	COUNT_BELOW = 8,    // of the table's entries are free: 1 in this
	REMOVE_BELOW = 16,  // likewise
	HURRY_BEHIND = 256, // as many new ones are asked for in a barren table: 1 in this
};

static void find_greediest(struct slice *s)
{
	const struct pressure *p = &s->table->pressure;
	uint32_t most = 0, second = 0;
	for (uint32_t owner = 0; owner < CONN_OWNERS; owner++) {
		uint32_t n = p->unanswered[owner];
		if (n > most) {
			second = most;
			most = n;
			s->greediest = (uint16_t)owner;
		} else if (n > second) {
			second = n;
		}
	}
	// And a few more, lest two that have as many be looked for after each entry.
	s->surplus = most ? most - second + most / 64 + 1 : 0;
}

// How many connections were asked for so far.
static uint64_t tried(const struct conn_table *t)
{
	struct conn_stats stats;
	conn_table_stats(t, &stats);
	return stats.created + stats.full;
}

static void pass_begins(struct conn_table *t)
{
	struct pressure *p = &t->pressure;
	p->left = t->capacity;
	p->over_seen = 0;
	p->tried_seen = tried(t);
	memset(p->unanswered_seen, 0, sizeof(p->unanswered_seen));
}

static void pass_ends(struct conn_table *t)
{
	struct pressure *p = &t->pressure;
	p->known = true;
	p->over = p->over_seen;
	memcpy(p->unanswered, p->unanswered_seen, sizeof(p->unanswered));
	p->barren = !p->over;
	for (uint32_t owner = 0; p->barren && owner < CONN_OWNERS; owner++)
		p->barren = !p->unanswered[owner];
	p->tried = p->tried_seen;
	pass_begins(t);
}

// How many entries are this part of the table; some, even of a small one.
static uint32_t part_of(const struct conn_table *t, uint32_t divisor)
{
	return t->capacity / divisor + 1;
}

void pressure_look(struct slice *s)
{
	struct conn_table *t = s->table;
	uint32_t waiting, vacant = vacant_count(t, &waiting);
	vacant += waiting;
	if (vacant >= part_of(t, COUNT_BELOW)) {
		t->pressure.known = t->pressure.barren = false;
		t->pressure.left = 0;
		return;
	}
	if (t->pressure.barren && tried(t) == t->pressure.tried)
		return;
	if (!t->pressure.left)
		pass_begins(t);
	s->under_pressure = true;
	if (vacant < part_of(t, REMOVE_BELOW))
		s->lacking = part_of(t, REMOVE_BELOW) - vacant;
	find_greediest(s);
}

static void evict(struct slice *s, uint32_t index, const struct moment *moment, uint32_t *of_kind)
{
	if (!slice_take_away(s, index, moment, &s->table->header->evicted))
		return;
	s->lacking--;
	*of_kind -= *of_kind > 0;
}

void pressure_look_at(struct slice *s, uint32_t index, const struct moment *moment)
{
	enum conn_class class = conn_state_class(moment->state);
	struct pressure *p = &s->table->pressure;
	uint16_t owner = atomic_load_explicit(
		&conn_at(s->table, index)->owner, memory_order_relaxed);
	if (owner == OWNER_GONE)
		return; // the control plane has removed it meanwhile
	if (class == CONN_CLASS_OVER) {
		if (s->lacking)
			evict(s, index, moment, &p->over);
		else
			p->over_seen++;
	} else if (class == CONN_CLASS_UNANSWERED) {
		if (s->lacking && p->known && !p->over && owner == s->greediest && s->surplus) {
			evict(s, index, moment, &p->unanswered[owner]);
			if (!--s->surplus)
				find_greediest(s);
		} else {
			p->unanswered_seen[owner]++;
		}
	}
}

void pressure_step(struct slice *s)
{
	if (!s->under_pressure || --s->table->pressure.left)
		return;
	pass_ends(s->table);
	find_greediest(s);
}

bool conn_is_short(const struct conn_table *t)
{
	uint32_t waiting;
	if (vacant_count(t, &waiting) >= part_of(t, REMOVE_BELOW))
		return false;
	const struct pressure *p = &t->pressure;
	return !p->barren || tried(t) - p->tried >= part_of(t, HURRY_BEHIND);
}

// SPDX-License-Identifier: BSD-3-Clause
// The janitor's slices over the table. The rules are in conntrack/table.c.
//
// Usually a slice reads due times only, and the entries that are due. When less than an eighth is
// free it looks at all entries in use and counts them, a pass over the table after the other:
// ones that are over, and unanswered ones by the port that they count for. When less than a
// sixteenth is free it removes: ones that are over where it meets them, and, once a whole pass has
// left none of those, unanswered ones of the port that had most in that pass. Nothing is counted on
// a packet's way for this.
#include <string.h>

#include "conntrack/table_inner.h"

enum {
	COUNT_BELOW = 8,    // of the table's entries are free: 1 in this
	REMOVE_BELOW = 16,  // likewise
	HURRY_BEHIND = 256, // as many new ones are asked for in a barren table: 1 in this
	BATCH = 64,
	AHEAD = 8, // entries from one step of fetching to the next
};

// One slice.
struct slice {
	struct conn_table *table;
	const struct track_settings *settings;
	uint32_t now_s;
	bool look_at_all; // under pressure
	uint32_t lacking; // entries to be removed before their time
	uint16_t greediest;
	uint32_t surplus; // unanswered ones that it has more than the next one
	uint32_t nbatch, batch[BATCH];
	uint32_t total;
};

static void flush_batch(struct slice *s)
{
	if (s->nbatch)
		vacant_wait(s->table, s->batch, s->nbatch);
	s->total += s->nbatch;
	s->nbatch = 0;
}

// --- time

struct moment {
	enum conn_state state;
	uint32_t seen_s;
};

static struct moment moment_of(const struct conn *conn)
{
	return (struct moment){atomic_load_explicit(&conn->state, memory_order_relaxed),
		atomic_load_explicit(&conn->seen_s, memory_order_relaxed)};
}

// When its time-out passes. Seconds begin anywhere within one: with one more none is cut short.
static uint32_t end_of(const struct slice *s, const struct moment *moment)
{
	return moment->seen_s + s->settings->timeouts_s[moment->state] + 1;
}

static bool is_as_before(const struct conn *conn, const void *ctx)
{
	const struct moment *before = ctx;
	struct moment now = moment_of(conn);
	return now.state == before->state && now.seen_s == before->seen_s;
}

// Unless a worker has renewed it since that moment: the janitor may have been held up in between.
static bool take_away(
	struct slice *s, uint32_t index, const struct moment *moment, _Atomic uint64_t *count)
{
	struct conn_table *t = s->table;
	if (!index_remove_if(t, index, is_as_before, moment))
		return false;
	owner_leave(t, conn_at(t, index));
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
	s->batch[s->nbatch++] = index;
	if (s->nbatch == BATCH)
		flush_batch(s);
	return true;
}

// True: its time-out has passed. Else it is due again when it will.
static bool is_over(struct slice *s, uint32_t index, struct moment *moment)
{
	const struct conn *conn = conn_at(s->table, index);
	_Atomic uint32_t *due = &s->table->due[index];
	uint32_t before = atomic_load_explicit(due, memory_order_relaxed);
	for (;;) {
		*moment = moment_of(conn);
		uint32_t end_s = end_of(s, moment), next = end_s ? end_s : 1;
		if ((int32_t)(s->now_s - end_s) >= 0)
			return true;
		// It fails if it was removed or has come to be due earlier; both are right as they
		// are.
		if (!before || before == next ||
			!atomic_compare_exchange_strong_explicit(
				due, &before, next, memory_order_relaxed, memory_order_relaxed))
			return false;
		// As conn_due writes the state before it looks at the time: one of the two sees
		// what the other has written.
		atomic_thread_fence(memory_order_seq_cst);
		struct moment again = moment_of(conn);
		if ((int32_t)(end_of(s, &again) - end_s) >= 0)
			return false;
		before = next;
	}
}

// --- pressure

static void find_greediest(struct slice *s)
{
	const struct pressure *p = &s->table->pressure;
	uint32_t most = 0, second = 0;
	for (uint32_t port = 0; port < PORT_IDS; port++) {
		uint32_t n = p->unanswered[port];
		if (n > most) {
			second = most;
			most = n;
			s->greediest = (uint16_t)port;
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
	for (uint32_t port = 0; p->barren && port < PORT_IDS; port++)
		p->barren = !p->unanswered[port];
	p->tried = p->tried_seen;
	pass_begins(t);
}

// How many entries are this part of the table; some, even of a small one.
static uint32_t part_of(const struct conn_table *t, uint32_t divisor)
{
	return t->capacity / divisor + 1;
}

static void look_for_pressure(struct slice *s)
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
	s->look_at_all = true;
	if (vacant < part_of(t, REMOVE_BELOW))
		s->lacking = part_of(t, REMOVE_BELOW) - vacant;
	find_greediest(s);
}

static void evict(struct slice *s, uint32_t index, const struct moment *moment, uint32_t *of_kind)
{
	if (!take_away(s, index, moment, &s->table->header->evicted))
		return;
	s->lacking--;
	*of_kind -= *of_kind > 0;
}

static void under_pressure(struct slice *s, uint32_t index, const struct moment *moment)
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

// --- the slice

static void look_at(struct slice *s, uint32_t index)
{
	struct moment moment;
	if (is_over(s, index, &moment))
		take_away(s, index, &moment, &s->table->header->expired);
	else if (s->look_at_all)
		under_pressure(s, index, &moment);
}

static bool is_due(const struct slice *s, uint32_t due)
{
	return due && (s->look_at_all || s->table->look_left || (int32_t)(s->now_s - due) >= 0);
}

static bool will_look_at(const struct slice *s, uint32_t index)
{
	const struct conn_table *t = s->table;
	return index <= t->capacity &&
	       is_due(s, atomic_load_explicit(&t->due[index], memory_order_acquire));
}

// The entry's lines first, and its bucket when they are there.
static void fetch_ahead(const struct slice *s, uint32_t index)
{
	const struct conn_table *t = s->table;
	if (will_look_at(s, index + 2 * AHEAD)) {
		__builtin_prefetch(conn_at(t, index + 2 * AHEAD));
		__builtin_prefetch(&conn_at(t, index + 2 * AHEAD)->hash);
	}
	if (will_look_at(s, index + AHEAD))
		__builtin_prefetch(
			t->buckets + bucket_first(t, conn_at(t, index + AHEAD)->hash), 1);
}

static void step(struct slice *s)
{
	struct conn_table *t = s->table;
	uint32_t index = t->scan_at;
	t->scan_at = index < t->capacity ? index + 1 : 1;
	fetch_ahead(s, index);
	if (will_look_at(s, index))
		look_at(s, index);
	t->look_left -= t->look_left > 0;
	if (s->look_at_all && !--t->pressure.left) {
		pass_ends(t);
		find_greediest(s);
	}
}

uint32_t conn_reclaim(struct conn_table *t, const struct track_settings *settings, uint32_t now_s,
	uint32_t budget)
{
	struct slice s = {.table = t, .settings = settings, .now_s = now_s};
	uint32_t again = atomic_load_explicit(&t->header->look_again, memory_order_acquire);
	if (again != t->looked_again) {
		t->looked_again = again;
		t->look_left = t->capacity;
	}
	look_for_pressure(&s);
	for (; budget; budget--)
		step(&s);
	flush_batch(&s);
	return s.total;
}

// --- grace periods

uint64_t conn_reclaim_mark(struct conn_table *t)
{
	struct vacant *v = &t->header->vacant;
	spin_lock(&v->lock);
	uint64_t tail = relaxed(&v->tail);
	spin_unlock(&v->lock);
	return tail;
}

void conn_reclaimed(struct conn_table *t, uint64_t mark)
{
	struct vacant *v = &t->header->vacant;
	pthread_mutex_lock(&t->reading);
	spin_lock(&v->lock);
	if (mark > relaxed(&v->ripe))
		atomic_store_explicit(&v->ripe, mark, memory_order_relaxed);
	spin_unlock(&v->lock);
	pthread_mutex_unlock(&t->reading);
}

bool conn_is_short(const struct conn_table *t)
{
	uint32_t waiting;
	if (vacant_count(t, &waiting) >= part_of(t, REMOVE_BELOW))
		return false;
	const struct pressure *p = &t->pressure;
	return !p->barren || tried(t) - p->tried >= part_of(t, HURRY_BEHIND);
}

void conn_look_again(struct conn_table *t)
{
	atomic_fetch_add_explicit(&t->header->look_again, 1, memory_order_release);
}

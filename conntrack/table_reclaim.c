// SPDX-License-Identifier: BSD-3-Clause
// The janitor's slices over the table. The rules are in conntrack/table.c.
//
// Usually a slice reads due times only, and the entries that are due. In a pass that was asked for
// (conn_look_again), or for the limits of ports (conntrack/table_owner.c), or under pressure
// (conntrack/table_pressure.c), it looks at all entries in use.
#include "conntrack/reclaim.h"

enum {
	AHEAD = 8, // entries from one step of fetching to the next
};

static void flush_batch(struct slice *s)
{
	if (s->nbatch)
		vacant_wait(s->table, s->batch, s->nbatch);
	s->total += s->nbatch;
	s->nbatch = 0;
}

// --- time

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

bool slice_take_away(
	struct slice *s, uint32_t index, const struct moment *moment, _Atomic uint64_t *count)
{
	struct conn_table *t = s->table;
	if (!(moment ? index_remove_if(t, index, is_as_before, moment) : index_remove(t, index)))
		return false;
	owner_leave(t, conn_at(t, index));
	chain_leave(t, conn_at(t, index));
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
	s->batch[s->nbatch++] = index;
	if (s->nbatch == SLICE_BATCH)
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

// --- the slice

static void look_at(struct slice *s, uint32_t index)
{
	struct conn_table *t = s->table;
	struct conn *conn = conn_at(t, index);
	struct moment moment;
	if (t->look_left && owner_leaves(t, conn))
		slice_take_away(s, index, NULL, &t->header->removed);
	else if (is_over(s, index, &moment))
		slice_take_away(s, index, &moment, &t->header->expired);
	else if (limits_want_out(t, conn, moment.state, s->now_s))
		slice_take_away(s, index, &moment, &t->header->evicted);
	else if (s->under_pressure)
		pressure_look_at(s, index, &moment);
}

static bool is_due(const struct slice *s, uint32_t due)
{
	const struct conn_table *t = s->table;
	return due && (s->under_pressure || t->look_left || t->limits_left ||
			      (int32_t)(s->now_s - due) >= 0);
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
	if (t->look_left && !--t->look_left)
		atomic_store_explicit(&t->header->looked, t->looked_again, memory_order_release);
	t->limits_left -= t->limits_left > 0;
	pressure_step(s);
}

uint32_t conn_reclaim(struct conn_table *t, const struct track_settings *settings, uint32_t now_s,
	uint32_t budget)
{
	struct slice s = {.table = t, .settings = settings, .now_s = now_s};
	uint32_t again = atomic_load_explicit(&t->header->look_again, memory_order_acquire);
	// One after the other: if each began anew none would come to its end.
	if (!t->look_left && again != t->looked_again) {
		t->looked_again = again;
		t->look_left = t->capacity;
	}
	limits_look(t);
	pressure_look(&s);
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

void conn_look_again(struct conn_table *t)
{
	atomic_fetch_add_explicit(&t->header->look_again, 1, memory_order_release);
}

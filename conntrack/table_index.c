// SPDX-License-Identifier: BSD-3-Clause
// Finding, adding to and removing from the index. The rules are in conntrack/table.c.
#include "conntrack/table_inner.h"

// The two buckets of a key, for a writer.
struct pair {
	struct bucket *first, *second;
};

static struct pair pair_of(const struct conn_table *t, uint32_t hash)
{
	return (struct pair){
		t->buckets + bucket_first(t, hash), t->buckets + bucket_second(t, hash)};
}

static void pair_lock(struct pair pair)
{
	bool in_order = pair.first < pair.second;
	spin_lock(&(in_order ? pair.first : pair.second)->lock);
	spin_lock(&(in_order ? pair.second : pair.first)->lock);
}

static void pair_unlock(struct pair pair)
{
	spin_unlock(&pair.first->lock);
	spin_unlock(&pair.second->lock);
}

// --- lookups

void conn_keys_hash(const struct conn_table *t, struct conn_key *keys, unsigned n)
{
	conn_hash_keys(&t->hash, keys, n);
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(t->buckets + bucket_first(t, keys[i].hash));
}

static uint32_t find_in(
	const struct conn_table *t, const struct bucket *b, const struct conn_key *key)
{
	unsigned places = bucket_match(b, tag_of(key->hash));
	for (; places; places &= places - 1) {
		uint32_t index = bucket_entry(b, (unsigned)__builtin_ctz(places));
		if (conn_is(conn_at(t, index), key))
			return index;
	}
	return 0;
}

uint32_t conn_find(const struct conn_table *t, const struct conn_key *key)
{
	const struct bucket *first = t->buckets + bucket_first(t, key->hash);
	uint32_t index = find_in(t, first, key);
	// Behind the tags: an entry that was moved away in between has been counted before it left.
	if (index || !atomic_load_explicit(&first->overflow, memory_order_acquire))
		return index;
	return find_in(t, t->buckets + bucket_second(t, key->hash), key);
}

void conn_find_burst(
	const struct conn_table *t, const struct conn_key *keys, unsigned n, uint32_t *found)
{
	// 1 << i: the guess is not known to be right, or there may be an entry elsewhere.
	uint32_t unsure = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct bucket *first = t->buckets + bucket_first(t, keys[i].hash);
		unsigned places = bucket_match(first, tag_of(keys[i].hash));
		if (likely(places)) {
			found[i] = bucket_entry(first, (unsigned)__builtin_ctz(places));
			const struct conn *conn = conn_at(t, found[i]);
			__builtin_prefetch(conn, 1);
			if (conn_id_family(&keys[i].id) == CONN_IPV6)
				__builtin_prefetch(conn->addresses);
			unsure |= 1u << i;
			continue;
		}
		found[i] = 0;
		if (unlikely(atomic_load_explicit(&first->overflow, memory_order_acquire))) {
			__builtin_prefetch(t->buckets + bucket_second(t, keys[i].hash));
			unsure |= 1u << i;
		}
	}
	for (; unsure; unsure &= unsure - 1) {
		unsigned i = (unsigned)__builtin_ctz(unsure);
		if (likely(found[i]) && likely(conn_is(conn_at(t, found[i]), &keys[i])))
			continue;
		found[i] = conn_find(t, &keys[i]);
	}
}

// --- writers, under the buckets' locks

static unsigned bucket_used(const struct bucket *b)
{
	return BUCKET_ENTRIES - (unsigned)__builtin_popcount(bucket_match(b, 0));
}

static void set_tag(struct bucket *b, unsigned place, uint16_t tag)
{
	unsigned shift = place % 4 * 16;
	if (place < 8) {
		_Atomic uint64_t *word = &b->tags[place / 4];
		uint64_t tags = atomic_load_explicit(word, memory_order_relaxed);
		tags = (tags & ~(UINT64_C(0xffff) << shift)) | (uint64_t)tag << shift;
		atomic_store_explicit(word, tags, memory_order_release);
		return;
	}
	uint32_t tags = atomic_load_explicit(&b->last_tags, memory_order_relaxed);
	tags = (tags & ~(UINT32_C(0xffff) << shift)) | (uint32_t)tag << shift;
	atomic_store_explicit(&b->last_tags, tags, memory_order_release);
}

// The number before the tag, both with release: who sees either sees the entry's id.
static void put_in(struct bucket *b, uint32_t index, uint32_t hash)
{
	unsigned place = (unsigned)__builtin_ctz(bucket_match(b, 0));
	atomic_store_explicit(&b->entries[place], index, memory_order_release);
	set_tag(b, place, tag_of(hash));
}

static bool take_out(struct bucket *b, uint32_t index, uint32_t hash)
{
	for (unsigned places = bucket_match(b, tag_of(hash)); places; places &= places - 1) {
		unsigned place = (unsigned)__builtin_ctz(places);
		if (bucket_entry(b, place) == index) {
			set_tag(b, place, 0);
			return true;
		}
	}
	return false;
}

static void overflow_add(struct bucket *first, int by)
{
	unsigned count = atomic_load_explicit(&first->overflow, memory_order_relaxed);
	atomic_store_explicit(
		&first->overflow, (uint16_t)(count + (unsigned)by), memory_order_release);
}

// Moves one entry that lies in its first bucket, which is full, to its second.
static bool make_room(struct conn_table *t, struct bucket *full, struct pair held)
{
	for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
		uint32_t index = bucket_entry(full, place);
		uint32_t hash = conn_at(t, index)->hash;
		struct pair own = pair_of(t, hash);
		// Never back to the first bucket: a reader on its way could miss it in both.
		if (own.first != full || own.second == held.first || own.second == held.second ||
			!spin_trylock(&own.second->lock))
			continue;
		bool room = bucket_used(own.second) < BUCKET_ENTRIES;
		if (room) {
			put_in(own.second, index, hash);
			overflow_add(full, 1);
			set_tag(full, place, 0);
		}
		spin_unlock(&own.second->lock);
		if (room)
			return true;
	}
	return false;
}

// The bucket that a new key goes to, or NULL.
static struct bucket *roomier(struct conn_table *t, struct pair pair)
{
	unsigned in_first = bucket_used(pair.first);
	if (in_first < BUCKET_ROOMY)
		return pair.first;
	unsigned in_second = bucket_used(pair.second);
	struct bucket *best = in_second < in_first ? pair.second : pair.first;
	if (bucket_used(best) < BUCKET_ENTRIES || make_room(t, best, pair))
		return best;
	return make_room(t, pair.second, pair) ? pair.second : NULL;
}

static uint32_t known_in(
	const struct conn_table *t, const struct bucket *b, const struct conn *conn)
{
	struct conn_key key = {.id = conn->id, .hash = conn->hash};
	__builtin_memcpy(key.v6, conn->addresses, sizeof(key.v6));
	return find_in(t, b, &key);
}

static void enter(struct conn_table *t, struct bucket *b, uint32_t index, uint32_t due_s)
{
	atomic_store_explicit(&t->due[index], due_s, memory_order_release);
	put_in(b, index, conn_at(t, index)->hash);
}

// Almost always the first bucket is all that is needed, and the second one lies in a cold line.
// Under the first one's lock, no overflow means that none of its keys is elsewhere. False: both are
// needed.
static bool add_to_first(struct conn_table *t, uint32_t index, uint32_t due_s, uint32_t *result)
{
	const struct conn *conn = conn_at(t, index);
	struct bucket *first = t->buckets + bucket_first(t, conn->hash);
	spin_lock(&first->lock);
	bool enough = false;
	if (likely(!atomic_load_explicit(&first->overflow, memory_order_relaxed))) {
		*result = known_in(t, first, conn);
		enough = *result || bucket_used(first) < BUCKET_ROOMY;
		if (!*result && enough) {
			*result = index;
			enter(t, first, index, due_s);
		}
	}
	spin_unlock(&first->lock);
	return enough;
}

uint32_t index_add(struct conn_table *t, uint32_t index, uint32_t due_s)
{
	uint32_t result;
	due_s = due_s ? due_s : 1;
	if (likely(add_to_first(t, index, due_s, &result)))
		return result;
	const struct conn *conn = conn_at(t, index);
	struct pair pair = pair_of(t, conn->hash);
	pair_lock(pair);
	result = known_in(t, pair.first, conn);
	if (!result)
		result = known_in(t, pair.second, conn);
	struct bucket *to = result ? NULL : roomier(t, pair);
	if (to) {
		result = index;
		enter(t, to, index, due_s);
		if (to == pair.second)
			overflow_add(pair.first, 1);
	}
	pair_unlock(pair);
	return result;
}

static void forget(struct conn_table *t, uint32_t index)
{
	atomic_store_explicit(&t->due[index], 0, memory_order_release);
}

static bool in_any_case(const struct conn *conn, const void *ctx)
{
	(void)conn, (void)ctx;
	return true;
}

bool index_remove(struct conn_table *t, uint32_t index)
{
	return index_remove_if(t, index, in_any_case, NULL);
}

bool index_remove_if(struct conn_table *t, uint32_t index,
	bool (*wanted)(const struct conn *conn, const void *ctx), const void *ctx)
{
	const struct conn *conn = conn_at(t, index);
	uint32_t hash = conn->hash;
	struct pair pair = pair_of(t, hash);
	spin_lock(&pair.first->lock);
	bool still = wanted(conn, ctx), was = still && take_out(pair.first, index, hash);
	bool elsewhere = atomic_load_explicit(&pair.first->overflow, memory_order_relaxed);
	if (was)
		forget(t, index);
	spin_unlock(&pair.first->lock);
	if (was || !still || !elsewhere)
		return was;
	// Nothing comes back to the first: it is in the second, or another thread takes it out.
	pair_lock(pair);
	was = wanted(conn, ctx) && take_out(pair.second, index, hash);
	if (was) {
		overflow_add(pair.first, -1);
		forget(t, index);
	}
	pair_unlock(pair);
	return was;
}

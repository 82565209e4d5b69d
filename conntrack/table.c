// SPDX-License-Identifier: BSD-3-Clause
// The connection table: making and unmaking it, and the rules that conntrack/table_*.c obey.
//
// What it is: one mapping of a memory file with a versioned header (struct header): buckets of the
// index, entries, due times, the ring of free entries, the workers' caches. All by numbers and
// offsets, so that another process can map it. It is filled at creation: no worker waits for a
// page.
//
// An entry's life:
//
//     free → reserved → published → removed → free
//              └ cancelled ────────────────────↑
//
// A worker takes a free one (conn_reserve), which nobody else knows, and fills it. conn_publish
// puts it into the index; from then on its id, addresses and hash do not change, and owner and
// creation time only if its conversation begins anew. The janitor, or the control plane, takes it
// out of the index again; then it waits in the ring until a grace period has passed
// (conn_reclaim_mark, grace period, conn_reclaimed), for workers may still handle packets of it.
// due[] tells published (not 0) from all others.
//
// Index: buckets of one cache line with ten places: tag and entry number. A key has a first and a
// second bucket. It goes to the first while that has two free places left, else to the emptier one.
// `overflow` of a bucket counts the entries whose first bucket it is and that lie in their second;
// only if it is not 0, a lookup reads the second. With five entries a bucket, which is a full
// table, one entry in forty lies in its second bucket.
//
// Both full: an entry that lies in its first bucket there moves to its own second, if that has
// room. The work is bounded: 20 looks. No second step is tried.
//
// Synchronisation of the index: writers lock both buckets of the key. So two workers that publish
// the same key get one entry: the second one finds it. Readers take no lock.
//  - What is found is whole: the entry's fields are written before its number and its tag, which
//  are
//    stored with release and loaded with acquire. A place may be filled anew between a reader's
//    look at the tag and at the number; then the id of what it finds differs, and it looks again.
//  - What is in the table all the time is found, also while it moves. It moves only once, from the
//    first bucket to the second, and never back. Order: into the second, overflow + 1, out of the
//    first. A reader loads the first's tags, then overflow, then the second's tags. If it does not
//    see the tag in the first, it sees the overflow, and then the entry in the second. An entry
//    that went back could be missed in both; so none does.
//  - What is removed may be found until its tag is gone, and used until the grace period is over.
//
// Locks, each a spinlock, held for some hundred cycles:
//  - a bucket's, by address upwards; a third one (where to an entry moves) by trylock only
//  - a cache's, then the ring's; neither inside or outside of a bucket's
//  - an entry's own (conn_lock), innermost
// and `reading`, a mutex outside of all of them that no worker takes: while it is held nothing
// becomes free, so that the control plane, which is no RCU reader, can look at entries.
//
// Due times: the janitor scans due[], 16 to a line, and not the entries. It holds when an entry is
// to be looked at; one that was seen since then gets its next time from that. So packets do not
// touch it. Only where a state with a shorter time-out begins, a worker lowers it (conn_due).
//
// Free entries: workers have caches of some tens; what they lack comes from the ring by the batch.
// The last entries are taken from other workers' caches: a table of n holds n.
//
// Memory for a connection: 192 bytes of entry, 12.8 of buckets, 4 due time, 4 ring.
#include "conntrack/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conntrack/table_inner.h"

enum {
	BUCKETS_MIN = 8,
	CONNECTIONS_MAX = 1 << 28,
};

static const size_t huge_page = (size_t)2 << 20;

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

// The next part of the mapping: its offset. *end grows by its size.
static uint64_t part(uint64_t *end, uint64_t count, size_t size)
{
	uint64_t offset = *end;
	*end += round_up(count * size, 64);
	return offset;
}

static void lay_out(struct header *h, const struct conn_table_options *options)
{
	uint32_t nbuckets = options->connections / BUCKET_MEAN + 1;
	*h = (struct header){
		.magic = TABLE_MAGIC,
		.version = TABLE_VERSION,
		.header_bytes = sizeof(struct header),
		.entry_bytes = sizeof(struct conn),
		.bucket_bytes = sizeof(struct bucket),
		.capacity = options->connections,
		.nbuckets = nbuckets < BUCKETS_MIN ? BUCKETS_MIN : nbuckets,
		.nworkers = options->nworkers,
	};
	uint64_t end = sizeof(*h);
	h->caches = part(&end, h->nworkers, sizeof(struct cache));
	h->buckets = part(&end, h->nbuckets, sizeof(struct bucket));
	h->entries = part(&end, (uint64_t)h->capacity + 1, sizeof(struct conn));
	h->due = part(&end, (uint64_t)h->capacity + 1, sizeof(uint32_t));
	h->ring = part(&end, h->capacity, sizeof(uint32_t));
	h->bytes = end;
}

// Maps `bytes` of a new memory file, all of them there. *fd, or -errno.
static int map_file(void **at, int *fd, size_t bytes, unsigned flags)
{
	*fd = memfd_create("weir-connections", MFD_CLOEXEC | flags);
	if (*fd < 0)
		return -errno;
	// Taken here, where a lack of memory is an error and not a signal.
	if (ftruncate(*fd, (off_t)bytes) || fallocate(*fd, 0, 0, (off_t)bytes))
		goto failed;
	*at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
	if (*at != MAP_FAILED)
		return 0;
failed:;
	int result = -errno;
	close(*fd);
	return result;
}

static int map_table(struct conn_table *t, size_t *bytes, bool hugepages)
{
	void *at = NULL;
	size_t rounded = round_up(*bytes, huge_page);
	int result = -ENOTSUP;
	if (hugepages)
		result = map_file(&at, &t->fd, rounded, MFD_HUGETLB);
	t->hugepages = result == 0;
	if (result) {
		rounded = round_up(*bytes, (size_t)sysconf(_SC_PAGESIZE));
		result = map_file(&at, &t->fd, rounded, 0);
	}
	if (result)
		return result;
	t->header = at;
	*bytes = rounded;
	return 0;
}

static void attach(struct conn_table *t)
{
	const struct header *h = t->header;
	char *base = (char *)t->header;
	t->head.entries = (struct conn *)(void *)(base + h->entries);
	t->head.alone = h->nworkers == 1;
	t->buckets = (struct bucket *)(void *)(base + h->buckets);
	t->due = (_Atomic uint32_t *)(void *)(base + h->due);
	t->ring = (uint32_t *)(void *)(base + h->ring);
	t->caches = (struct cache *)(void *)(base + h->caches);
	t->capacity = h->capacity;
	t->nbuckets = h->nbuckets;
	t->hash = h->hash;
	t->scan_at = 1;
}

int conn_table_new_with(struct conn_table **out, const struct conn_table_options *options,
	enum conn_hash_kind kind, struct error *err)
{
	if (!options->connections || options->connections > CONNECTIONS_MAX || !options->nworkers)
		return error_set(err, EINVAL, "a connection table of %u entries for %u workers",
			options->connections, options->nworkers);
	struct conn_table *t = aligned_alloc(64, round_up(sizeof(*t), 64));
	if (!t)
		return error_set(err, ENOMEM, "no memory for the connection table");
	memset(t, 0, sizeof(*t));
	t->chained = calloc(CONN_CHAINS, sizeof(*t->chained));
	if (!t->chained) {
		free(t);
		return error_set(err, ENOMEM, "no memory for the connection table");
	}
	struct header header;
	lay_out(&header, options);
	header.hash.kind = kind;
	memcpy(header.hash.secret, options->secret, sizeof(header.hash.secret));
	size_t bytes = header.bytes;
	int result = map_table(t, &bytes, options->hugepages);
	if (result) {
		free(t->chained);
		free(t);
		return error_set(err, -result, "no memory for %u connections (%zu MiB): %s",
			options->connections, bytes >> 20, strerror(-result));
	}
	header.bytes = bytes;
	memcpy(t->header, &header, sizeof(header));
	attach(t);
	for (uint32_t i = 0; i < t->capacity; i++)
		t->ring[i] = i + 1;
	atomic_store_explicit(&t->header->vacant.ripe, t->capacity, memory_order_relaxed);
	atomic_store_explicit(&t->header->vacant.tail, t->capacity, memory_order_relaxed);
	pthread_mutex_init(&t->reading, NULL);
	*out = t;
	return 0;
}

int conn_table_new(
	struct conn_table **out, const struct conn_table_options *options, struct error *err)
{
	return conn_table_new_with(out, options, conn_hash_best(), err);
}

void conn_table_free(struct conn_table *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->reading);
	munmap(t->header, t->header->bytes);
	close(t->fd);
	free(t->chained);
	free(t);
}

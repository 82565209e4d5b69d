// SPDX-License-Identifier: BSD-3-Clause
#include "switch/nf_time.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "base/likely.h"
#include "switch/chain.h"
#include "switch/pipeline.h"

enum {
	LOST = NF_TIMES_PER_S, // pauses: one that has not come back for a second never will
	TOLD_BY = 16           // bytes of what a packet carries
};

// --- workers

static uint64_t mix(uint64_t mark, const uint8_t *from, const uint8_t *to)
{
	for (; from < to; from++)
		mark = (mark ^ *from) * UINT64_C(0x100000001b3);
	return mark;
}

// What the packet is known by; 0: nothing. Of TCP its sequence and acknowledgement numbers; else
// the length and first bytes of what it carries, and IPv4's identification. Checksums and hops left
// may be others behind the NF; so may the length of TCP, if it merges segments.
static uint64_t mark_of(const struct packet *p, bool reply)
{
	const uint8_t *l3 = p->data + p->l3_off, *l4 = p->data + p->l4_off;
	const uint8_t *end = p->data + p->head_len;
	uint64_t mark = UINT64_C(0xcbf29ce484222325);
	if ((p->flags & (PACKET_L4 | PACKET_FRAGMENT)) != PACKET_L4)
		return 0;
	if (p->l4_proto == IPPROTO_TCP) {
		mark = mix(mark, l4 + 4, l4 + 12);
	} else {
		// Of ICMP the identifier and number, behind the checksum.
		bool icmp = p->l4_proto == IPPROTO_ICMP || p->l4_proto == IPPROTO_ICMPV6;
		const uint8_t *from = icmp ? l4 + 4 : p->data + p->payload_off;
		const uint8_t *length = l3 + (p->flags & PACKET_IPV4 ? 2 : 4);
		mark = mix(mark, length, length + (p->flags & PACKET_IPV4 ? 4 : 2));
		if (from < end)
			mark = mix(mark, from, from + TOLD_BY < end ? from + TOLD_BY : end);
	}
	return (mark & ~UINT64_C(3)) | 2 | reply;
}

static bool hold(struct nf *nf, uint32_t conn)
{
	return atomic_compare_exchange_strong(&nf->timed, &conn, NF_TIME_HELD);
}

static void let_go(struct nf *nf, uint32_t conn)
{
	atomic_store_explicit(&nf->timed, conn, memory_order_release);
}

void nf_time_begin(const struct pass *pass, struct nf *nf, const struct packet *p, bool reply)
{
	struct nf_times *times = &nf->times;
	uint64_t since = atomic_load_explicit(&times->since, memory_order_relaxed);
	uint32_t conn = atomic_load_explicit(&nf->timed, memory_order_relaxed);
	int64_t pause = (int64_t)(conn ? LOST * pass->nf_pause : pass->nf_pause);
	// Another worker's clock may be ahead by a little.
	if (likely((int64_t)(pass->tsc - since) < pause) || conn == NF_TIME_HELD)
		return;
	uint64_t mark = mark_of(p, reply);
	if (!mark || !hold(nf, conn))
		return;
	atomic_store_explicit(&times->mark, mark, memory_order_relaxed);
	atomic_store_explicit(&times->since, __rdtsc(), memory_order_relaxed);
	let_go(nf, p->conn);
}

static void note(struct nf_times *times, uint64_t now)
{
	uint64_t since = atomic_load_explicit(&times->since, memory_order_relaxed);
	uint32_t count = atomic_load_explicit(&times->count, memory_order_relaxed);
	// Clocks of two CPUs that are not quite the same.
	uint64_t cycles = now > since ? now - since : 0;
	atomic_store_explicit(&times->last[count % NF_TIMES].cycles, cycles, memory_order_relaxed);
	atomic_store_explicit(&times->last[count % NF_TIMES].at, now, memory_order_relaxed);
	atomic_store_explicit(&times->count, count + 1, memory_order_release);
}

void nf_time_end(struct nf *nf, const struct packet *p, bool reply)
{
	uint64_t now = __rdtsc();
	uint64_t mark = mark_of(p, reply);
	if (atomic_load_explicit(&nf->times.mark, memory_order_relaxed) != mark ||
		!hold(nf, p->conn))
		return;
	// Another one of the connection may have been noted since.
	bool same = atomic_load_explicit(&nf->times.mark, memory_order_relaxed) == mark;
	if (same)
		note(&nf->times, now);
	let_go(nf, same ? 0 : p->conn);
}

// --- any thread

unsigned nf_times_get(
	const struct nf_times *times, uint64_t now, uint64_t tsc_hz, uint64_t ns[NF_TIMES])
{
	unsigned n = 0;
	uint32_t count = atomic_load_explicit(&times->count, memory_order_acquire);
	for (uint32_t i = 0; i < NF_TIMES && i < count; i++) {
		uint64_t at = atomic_load_explicit(&times->last[i].at, memory_order_relaxed);
		uint64_t cycles = atomic_load_explicit(
			&times->last[i].cycles, memory_order_relaxed);
		if ((int64_t)(now - at) < (int64_t)(NF_TIME_S * tsc_hz))
			ns[n++] = (uint64_t)((__uint128_t)cycles * 1000000000 / tsc_hz);
	}
	return n;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// Of n sorted ones, the first that so many of a hundred are not above.
static uint64_t percentile(const uint64_t *ns, unsigned n, unsigned percent)
{
	return ns[(n * percent + 99) / 100 - 1];
}

void nf_times_sum_up(uint64_t *ns, unsigned n, struct time_spent *spent)
{
	*spent = (struct time_spent){.samples = n};
	if (!n)
		return;
	qsort(ns, n, sizeof(*ns), by_size);
	spent->p50_ns = percentile(ns, n, 50);
	spent->p99_ns = percentile(ns, n, 99);
	spent->max_ns = ns[n - 1];
}

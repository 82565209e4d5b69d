// SPDX-License-Identifier: BSD-3-Clause
// fq-codel (RFC 8290, RFC 8289) in a time that the tests make: a cycle is a nanosecond.
#include <criterion/criterion.h>
#include <math.h>

#include "kit_queued.h"
#include "switch/codel.h"
#include "switch/ecn.h"

// A link of this rate, into which flows send; what became of their packets.
struct link {
	struct scheduler *s;
	struct scheduler_settings settings;
	uint64_t now, free_at, rate; // bits per second
	uint64_t sent[8], marked[8], lost[8], nwaits;
	uint64_t waits[8192]; // of flow 0
};

static void begin(struct link *link, uint64_t rate)
{
	memset(link, 0, sizeof(*link));
	link->settings = kit_settings();
	link->rate = rate;
	link->s = scheduler_new(SCHEDULER_FQ_CODEL, &link->settings);
}

static void end(struct link *link)
{
	kit_end(link->s);
}

static void put(struct link *link, uint32_t flow, uint32_t bytes, unsigned ecn)
{
	scheduler_enqueue(link->s, kit_queued(flow, bytes, link->now, ecn), UINT64_MAX);
}

static void count_lost(struct link *link, enum drop_reason reason)
{
	struct queued *q = scheduler_take_lost(link->s);
	while (q) {
		struct queued *next = q->next;
		cr_assert_eq(q->drop, reason);
		link->lost[q->flow]++;
		free(q);
		q = next;
	}
}

// What goes until then, back to back.
static void drain(struct link *link, uint64_t until)
{
	if (link->free_at < link->now)
		link->free_at = link->now;
	while (link->free_at <= until) {
		struct queued *q = scheduler_dequeue(link->s, link->free_at);
		if (!q)
			break;
		link->sent[q->flow]++;
		link->marked[q->flow] += kit_ecn(q) == ECN_CE;
		cr_assert(kit_checksum_is_right(q));
		if (!q->flow && link->nwaits < 8192)
			link->waits[link->nwaits++] = link->free_at - q->since;
		link->free_at += q->bytes * 8ull * KIT_HZ / link->rate;
		free(q);
	}
	link->now = until;
	count_lost(link, DROP_TO_VM_QUEUE_DROP);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

// A flow that always has 300 packets waiting, beside one that sends each 20 ms.
static void bulk_and_sparse(struct link *link, unsigned ms, unsigned ecn)
{
	for (unsigned t = 0; t < ms; t++) {
		uint64_t bulk = link->s->packets;
		while (bulk++ < 300)
			put(link, 1, KIT_MTU, ecn);
		if (t % 20 == 0)
			put(link, 0, 100, ecn);
		drain(link, link->now + KIT_MS);
	}
}

Test(fq_codel, a_sparse_flow_does_not_wait_for_a_bulk_flow)
{
	struct link link;
	begin(&link, 50000000);
	bulk_and_sparse(&link, 5000, 0);
	cr_assert_geq(link.nwaits, 240);
	qsort(link.waits, link.nwaits, sizeof(link.waits[0]), by_size);
	uint64_t median = link.waits[link.nwaits / 2], worst = link.waits[link.nwaits - 1];
	cr_expect_leq(median, 5 * KIT_MS, "%lu ns", median);
	// No longer than one packet of the other takes, at last.
	cr_expect_leq(worst, KIT_MTU * 8ull * KIT_HZ / 50000000 + 1, "%lu ns", worst);
	cr_expect_eq(link.lost[0], 0);
	cr_expect_gt(link.lost[1], 10, "the bulk flow was never told");
	end(&link);
}

Test(fq_codel, flows_that_know_ecn_are_marked_not_dropped)
{
	struct link link;
	begin(&link, 50000000);
	bulk_and_sparse(&link, 5000, 2);
	struct scheduler_stats stats;
	scheduler_statistics(link.s, &stats);
	cr_expect_eq(link.lost[1], 0);
	cr_expect_gt(link.marked[1], 10);
	cr_expect_eq(link.marked[0], 0);
	cr_expect_eq(stats.marks, link.marked[1]);
	end(&link);
}

// Also the other code point, both IP versions, and not where it is switched off.
Test(fq_codel, what_is_marked)
{
	for (unsigned ecn = 0; ecn < 4; ecn++)
		for (unsigned flow = 0; flow < 2; flow++) {
			struct queued *q = kit_queued(flow, 100, 0, ecn);
			uint8_t before = q->ip[1];
			cr_expect_eq(ecn_mark(q->ip, q->is_ipv6), ecn != 0);
			cr_expect_eq(kit_ecn(q), ecn ? ECN_CE : 0);
			cr_expect_eq(
				q->ip[1] & ~(3 << (flow ? 4 : 0)), before & ~(3 << (flow ? 4 : 0)));
			cr_expect(kit_checksum_is_right(q), "ECN %u of IPv%d", ecn, flow ? 6 : 4);
			free(q);
		}
	struct link link;
	begin(&link, 50000000);
	link.settings.ecn = false;
	scheduler_change(link.s, &link.settings);
	bulk_and_sparse(&link, 1000, 2);
	cr_expect_gt(link.lost[1], 0);
	cr_expect_eq(link.marked[1], 0);
	end(&link);
}

// RFC 1624: all checksums, also the two forms of zero.
Test(fq_codel, a_mended_checksum_is_the_right_one)
{
	for (uint32_t id = 0; id < 65536; id++) {
		struct queued *q = kit_queued(2, 100, 0, 1 + id % 2);
		q->ip[4] = (uint8_t)(id >> 8);
		q->ip[5] = (uint8_t)id;
		checksum_ipv4_header(q->ip, 20);
		ecn_mark(q->ip, false);
		cr_assert(kit_checksum_is_right(q), "identification %u", id);
		free(q);
	}
}

// The first after an interval, then each after interval / sqrt(count): RFC 8289, 4.4.
Test(fq_codel, drops_come_sooner_and_sooner)
{
	struct link link;
	uint64_t at[8], n = 0, before = 0;
	begin(&link, 10000000);
	while (n < 8) {
		while (link.s->packets < 200)
			put(&link, 1, 1000, 0);
		drain(&link, link.now + KIT_MS);
		for (; before < link.lost[1] && n < 8; before++)
			at[n++] = link.now;
	}
	// 5 ms until the queue is that long.
	cr_expect(at[0] > 100 * KIT_MS && at[0] < 110 * KIT_MS, "%lu", at[0]);
	for (unsigned i = 1; i < 8; i++) {
		double want = 100 * (double)KIT_MS / sqrt(i), is = (double)(at[i] - at[i - 1]);
		cr_expect(fabs(is - want) < 2.5 * KIT_MS, "drop %u: after %.1f ms, not %.1f", i + 1,
			is / KIT_MS, want / KIT_MS);
	}
	end(&link);
}

// RFC 8289, 4.2: a queue that is short, or of one packet, is none.
Test(fq_codel, short_queues_are_left_alone)
{
	struct link link;
	begin(&link, 50000000);
	for (unsigned t = 0; t < 5000; t++) {
		while (link.s->packets < 20) // 4.8 ms
			put(&link, 1, KIT_MTU, 0);
		drain(&link, link.now + KIT_MS);
	}
	cr_expect_eq(link.lost[1], 0);
	end(&link);
	// One packet takes 12 ms, and always waits so long.
	begin(&link, 1000000);
	for (unsigned t = 0; t < 500; t++) {
		if (!link.s->packets)
			put(&link, 1, KIT_MTU, 0);
		drain(&link, link.now + 12 * KIT_MS);
	}
	cr_expect_eq(link.lost[1], 0);
	end(&link);
}

// RFC 8289, 4.3: dropping that begins again soon goes on at about its former rate.
Test(fq_codel, it_remembers_the_rate_that_was_right)
{
	const struct codel_settings settings = {
		.target = 5 * KIT_MS, .interval = 100 * KIT_MS, .mtu = KIT_MTU};
	struct codel codel = {.count = 30, .last_count = 10, .next = 1000 * KIT_MS};
	codel_begin(&codel, &settings, 1100 * KIT_MS);
	cr_expect_eq(codel.count, 20);
	codel = (struct codel){.count = 30, .last_count = 10, .next = 1000 * KIT_MS};
	codel_begin(&codel, &settings, 3000 * KIT_MS);
	cr_expect_eq(codel.count, 1);
	for (uint32_t count = 1; count < 1000000000; count = count * 3 + 1) {
		codel.count = count;
		double want = 100 * (double)KIT_MS / sqrt(count);
		double is = (double)codel_next(&codel, &settings, 0);
		cr_expect(fabs(is - want) <= want / 10000 + 1, "%u: %f, not %f", count, is, want);
	}
}

// A flow that is hopeless for years is told ever more often, and nothing is divided by zero.
Test(fq_codel, counting_ends_before_it_wraps)
{
	const struct codel_settings settings = {.interval = 100 * KIT_MS};
	struct codel codel = {.count = CODEL_COUNT_MAX - 100};
	codel_count(&codel, 64);
	cr_expect_eq(codel.count, CODEL_COUNT_MAX - 36);
	for (unsigned i = 0; i < 3; i++) {
		codel_count(&codel, i ? 64 : 1000);
		cr_expect_eq(codel.count, CODEL_COUNT_MAX);
		cr_expect_gt(codel_next(&codel, &settings, 0), 0);
	}
	codel_begin(&codel, &settings, KIT_HZ);
	cr_expect_leq(codel.count, CODEL_COUNT_MAX);
}

// RFC 8290, 4.1: half of the fattest flow, from its front, 64 at the most; nobody else loses.
Test(fq_codel, in_an_overload_the_fattest_flow_loses)
{
	struct link link;
	begin(&link, 1000000);
	link.settings.limit = 100000;
	scheduler_change(link.s, &link.settings);
	for (uint32_t flow = 2; flow < 8; flow++)
		put(&link, flow, 1000, 0);
	for (unsigned i = 0; i < 5000; i++) {
		put(&link, 1, 1000, 0);
		cr_assert_leq(link.s->bytes, 100000);
		count_lost(&link, DROP_TO_VM_QUEUE_FULL);
	}
	cr_expect_eq(link.lost[1] % 48, 0, "%lu lost, not each time 48 of 95", link.lost[1]);
	for (uint32_t flow = 2; flow < 8; flow++)
		cr_expect_eq(link.lost[flow], 0);
	end(&link);
	begin(&link, 1000000);
	link.settings.limit = 1000000;
	scheduler_change(link.s, &link.settings);
	for (unsigned i = 0; i < 1001; i++)
		put(&link, 1, 1000, 0);
	count_lost(&link, DROP_TO_VM_QUEUE_FULL);
	cr_expect_eq(link.lost[1], 64);
	end(&link);
}

// What a flow owes behind a very large frame is repaid in any number of turns, but not in as many
// steps, for its lock is held; also by flows that have nothing more to send.
Test(fq_codel, debts_are_repaid_at_once, .timeout = 5)
{
	for (unsigned rest = 0; rest < 2; rest++) {
		struct link link;
		begin(&link, 1000000);
		link.settings.limit = UINT64_MAX;
		link.settings.quantum = 1;
		link.settings.target = link.settings.interval = KIT_HZ;
		scheduler_change(link.s, &link.settings);
		for (uint32_t i = 0; i < 1000; i++)
			put(&link, i, (1u << 30) + i, 0);
		for (uint32_t i = 0; i < 1000 * rest; i++)
			put(&link, i, 1000, 0);
		unsigned n = kit_free_rest(link.s);
		cr_expect_eq(n, 1000 * (1 + rest));
		cr_expect_null(scheduler_dequeue(link.s, 0));
		scheduler_free(link.s);
	}
}

// RFC 8290, 4.2: who sends one packet after the other is not new each time.
Test(fq_codel, no_flow_is_fresh_for_ever)
{
	struct link link;
	begin(&link, 10000000);
	for (unsigned i = 0; i < 50; i++)
		put(&link, 2, 1000, 0);
	// Flow 1 has its next packet whenever one has gone.
	unsigned others = 0;
	for (unsigned i = 0; i < 60; i++) {
		put(&link, 1, 1000, 0);
		struct queued *q = scheduler_dequeue(link.s, link.now);
		cr_assert_not_null(q);
		others += q->flow == 2;
		free(q);
	}
	cr_expect_geq(others, 25, "%u of 60 were the other flow's", others);
	end(&link);
}

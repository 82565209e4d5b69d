// SPDX-License-Identifier: BSD-3-Clause
// A to-vm queue without rings and buffers, in a time that the tests make: what goes when, what
// stays, and that all of it is counted.
#include <criterion/criterion.h>
#include <math.h>

#include "kit_queued.h"
#include "switch/queue.h"

enum {
	LEN = 1000,
	FLOWS_USED = 16,
};

// A TSO frame counts as its segments, and of one for which a ring has no room some may have gone.
enum {
	SEGMENTS = 10
};

static struct to_vm_queue queue;
static struct queueing queueing;
static uint64_t now, received, sent, lost, next[FLOWS_USED], seen[FLOWS_USED];
static uint64_t share; // of the buffers
static unsigned room;  // of the receiver's ring
static bool tso;

static void use(struct config_rate config)
{
	config.target_ns = 5000000;
	config.interval_ns = 100000000;
	rate_compile(&queueing.limit, &config, 1500, KIT_HZ);
	queue_settings(&queueing.settings, &config, 1500, KIT_HZ);
	queueing.version++;
}

static void setup(void)
{
	memset(&queue, 0, sizeof(queue));
	memset(next, 0, sizeof(next));
	memset(seen, 0, sizeof(seen));
	received = sent = lost = 0;
	now = KIT_HZ;
	room = UINT32_MAX;
	share = UINT64_MAX;
	tso = false;
	queueing = (struct queueing){.queue = &queue, .us = KIT_HZ / 1000000};
	use((struct config_rate){.bits = 80000000, .scheduler = SCHEDULER_FIFO});
	queueing.scheduler = scheduler_new(SCHEDULER_FIFO, &queueing.settings);
	atomic_store(&queue.scheduler, queueing.scheduler);
	queue.version = queueing.version;
}

static void count_lost(struct queued *gone)
{
	for (struct queued *q = gone; q; q = q->next)
		lost += q->packets;
	kit_free_lost(gone);
}

// Puts those that are ready into the ring, as far as there is room.
static void put(void)
{
	bool full = false;
	for (unsigned i = 0; i < queue.nready; i++) {
		struct queued *q = queue.ready[i];
		uint32_t n = full ? 0 : q->packets < room ? q->packets : room;
		if (room != UINT32_MAX)
			room -= n;
		sent += n;
		full |= n < q->packets;
		if (full)
			queue_refuse(&queue, q, (q->packets - n) * LEN, q->packets - n);
	}
}

static bool add(unsigned n, uint32_t flow)
{
	struct queued *packets[BURST_MAX], *gone;
	for (unsigned i = 0; i < n; i++) {
		unsigned segments = tso && i % 3 == 0 ? SEGMENTS : 1;
		packets[i] = kit_queued(flow, segments * LEN, 0, 0);
		packets[i]->packets = segments;
		kit_of(packets[i])->number = next[flow]++;
		received += segments;
	}
	bool tell = queue_add(&queue, packets, n, now, UINT64_MAX, &gone);
	count_lost(gone);
	return tell;
}

// What its owner does when it is to be looked at; returns when it is to be again.
static uint64_t look(void)
{
	struct queued *gone, *done[BURST_MAX];
	if (queue.version != queueing.version)
		queue_change(&queue, &queueing);
	if (queue_is_empty(&queue))
		return UINT64_MAX;
	queue_fetch(&queue, &queueing.limit, now, share, &gone);
	count_lost(gone);
	put();
	unsigned n = queue_settle(&queue, done);
	for (unsigned i = 0; i < n; i++) {
		uint32_t flow = done[i]->flow;
		cr_assert_geq(kit_of(done[i])->number, seen[flow], "flow %u: overtaken", flow);
		seen[flow] = kit_of(done[i])->number + 1;
		free(done[i]);
	}
	return queue_again(&queue, &queueing, now);
}

static void check_books(void)
{
	uint32_t held = atomic_load(&queue.held);
	cr_assert_eq(sent + lost + held, received, "%lu sent, %lu lost, %u held, %lu received",
		sent, lost, held, received);
	uint64_t waiting = queue.nready + atomic_load(&queue.scheduler)->packets;
	cr_assert(tso ? held >= waiting : held == waiting);
	cr_assert_eq(atomic_load(&queue.held_bytes), (uint64_t)held * LEN);
}

// Its owner sleeps until the next look is due.
static void run(uint64_t until)
{
	uint64_t again = now;
	while (again <= until) {
		now = again > now ? again : now + 1000;
		again = look();
		check_books();
	}
	now = until;
}

TestSuite(queue, .init = setup);

// What cannot find room is known before it is copied, and what can is not turned away.
Test(queue, room_is_known_beforehand)
{
	use((struct config_rate){.bits = 80000000, .queue_bytes = 10 * LEN});
	queue_change(&queue, &queueing);
	cr_expect(queue_has_room(&queueing, 0, 20 * LEN));
	room = 0;
	for (unsigned i = 0; i < 10; i++) {
		cr_expect(queue_has_room(&queueing, 0, LEN));
		cr_expect(queue_has_room(&queueing, (9 - i) * LEN, LEN));
		cr_expect_not(queue_has_room(&queueing, (10 - i) * LEN, LEN));
		add(1, 1);
		run(now + KIT_MS);
	}
	cr_expect_eq(lost, 0);
	cr_expect_not(queue_has_room(&queueing, 0, LEN));
	add(1, 1);
	cr_expect_eq(lost, 1);
	room = UINT32_MAX;
	run(now + KIT_HZ);
}

Test(queue, what_waits_goes_at_the_rate)
{
	static const struct {
		uint64_t bits, packets, per_second;
		enum config_layer layer;
	} cases[] = {
		{1000000, 0, 125, LAYER_L2},
		{80000000, 0, 10000, LAYER_L2},
		{8000000000, 0, 1000000, LAYER_L2},
		{8192000000, 0, 1000000, LAYER_WIRE},
		{0, 20000, 20000, LAYER_L2},
		{80000000, 5000, 5000, LAYER_L2},
		{80000000, 50000, 10000, LAYER_L2},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		use((struct config_rate){.bits = cases[i].bits,
			.packets = cases[i].packets,
			.layer = cases[i].layer,
			.queue_bytes = 1 << 20});
		uint64_t span = KIT_HZ * (cases[i].per_second < 1000 ? 20 : 1), began = 0;
		// Behind the first burst, which the bucket gives at once.
		for (uint64_t t = 0; t < span + KIT_HZ / 10; t += KIT_MS / 10) {
			while (atomic_load(&queue.held) < 900)
				add(BURST_MAX, 1);
			run(now + KIT_MS / 10);
			if (!began && t >= KIT_HZ / 10)
				began = sent;
		}
		double is = (double)(sent - began),
		       want = (double)cases[i].per_second * (double)span / (double)KIT_HZ;
		cr_expect(fabs(is - want) <= want * 0.005 + 1, "%u: %.0f, not %.0f", i, is, want);
	}
	kit_free_lost(queue_empty_out(&queue));
}

Test(queue, a_burst_waits_no_longer_than_it_must)
{
	rate_charge(&queue.rate, &queueing.limit, now, 1000000, 1); // a tenth of a second's debt
	cr_expect(add(10, 1), "the owner was not told");
	cr_expect_not(add(10, 1), "it was told twice");
	uint64_t again = look();
	cr_expect_eq(sent, 0);
	cr_expect_eq(again, now + 10 * KIT_MS, "others may need the buffers: %lu", again - now);
	run(now + 89 * KIT_MS);
	cr_expect_eq(sent, 0);
	again = look();
	cr_expect(again > now + KIT_MS && again < now + 10 * KIT_MS, "%lu", again - now);
	run(now + 110 * KIT_MS);
	cr_expect_eq(sent, 20);
	cr_expect_eq(look(), UINT64_MAX);
	cr_expect(add(1, 1));
	run(now + KIT_MS);
}

// Nothing is lost, nothing charged, and it is asked less and less often.
Test(queue, a_full_ring_loses_nothing)
{
	room = 5;
	add(20, 1);
	uint64_t again = look();
	cr_expect_eq(sent, 5);
	unsigned looks = 0;
	for (uint64_t end = now + 20 * KIT_MS; now < end; looks++) {
		cr_assert_gt(again, now);
		now = again;
		again = look();
		check_books();
	}
	cr_expect_eq(sent, 5);
	cr_expect(looks > 20 && looks < 40, "%u looks in 20 ms", looks);
	cr_expect_eq(atomic_load(&queue.receiver_at), now);
	room = UINT32_MAX;
	run(now + 20 * KIT_MS);
	cr_expect_eq(sent, 20);
}

// A frame that takes more buffers than there ever are.
Test(queue, a_frame_that_never_fits_is_given_up)
{
	room = 0;
	add(20, 1);
	look();
	const uint64_t us = queueing.us;
	cr_expect_not(queue_is_stuck(&queue, 5, us, now));
	cr_expect_not(queue_is_stuck(&queue, 5, us, now + 99 * KIT_MS));
	// One buffer more: it may be waiting for others.
	cr_expect_not(queue_is_stuck(&queue, 6, us, now + 99 * KIT_MS));
	cr_expect_not(queue_is_stuck(&queue, 6, us, now + 190 * KIT_MS));
	cr_expect(queue_is_stuck(&queue, 6, us, now + 200 * KIT_MS));
	// The next one has its own time.
	room = 1;
	look();
	cr_expect_eq(sent, 1);
	cr_expect_not(queue_is_stuck(&queue, 6, us, now + 201 * KIT_MS));
	kit_free_lost(queue_empty_out(&queue));
}

// Whatever a ring has room for at a time, and however small it is: no segment is lost, and what
// waits is told in segments.
Test(queue, a_ring_with_room_for_some_segments_loses_none)
{
	tso = true;
	use((struct config_rate){.bits = 80000000, .queue_bytes = 10000 * LEN});
	for (unsigned i = 0; i < 200; i++) {
		room = i % 7;
		add(5, i % FLOWS_USED);
		run(now + KIT_MS);
	}
	cr_expect_gt(sent, 300);
	cr_expect_eq(lost, 0);
	room = UINT32_MAX;
	run(now + KIT_HZ);
	cr_expect_eq(sent, received);
	cr_expect(queue_is_empty(&queue));
	// What is beyond the limit is told likewise.
	use((struct config_rate){.bits = 80000000, .queue_bytes = 33 * LEN});
	room = 0;
	for (unsigned i = 0; i < 100; i++) {
		add(7, i % FLOWS_USED);
		run(now + KIT_MS);
	}
	cr_expect_gt(lost, 1000);
	room = UINT32_MAX;
	run(now + KIT_HZ);
	check_books();
}

// While it does not read, others' packets still come, and are lost beyond the limit.
Test(queue, a_stuck_receiver_holds_no_more_than_its_queue)
{
	room = 0;
	use((struct config_rate){.bits = 80000000, .queue_bytes = 100 * LEN});
	for (unsigned i = 0; i < 100; i++) {
		add(BURST_MAX, i % FLOWS_USED);
		run(now + KIT_MS);
	}
	cr_expect_eq(sent, 0);
	cr_expect_eq(atomic_load(&queue.held), 100);
	room = UINT32_MAX;
	run(now + KIT_HZ);
	cr_expect_eq(sent, 100);
	check_books();
}

static void add_long(unsigned n, uint64_t buffers_max)
{
	struct queued *gone;
	for (unsigned i = 0; i < n; i++) {
		struct queued *q = kit_queued(1, 65000, 0, 0);
		queue_add(&queue, &q, 1, now, buffers_max, &gone);
		received++;
		lost += kit_free_lost(gone);
	}
}

// Whether nobody reads or the rate is low: it is the owner's look that gives them back.
Test(queue, buffers_that_are_needed_elsewhere_are_given_back)
{
	for (unsigned i = 0; i < 2; i++) {
		room = i ? UINT32_MAX : 0;
		use((struct config_rate){.bits = i ? 1000 : 8000000000, .queue_bytes = 1 << 20});
		for (unsigned k = 0; k < 20; k++) {
			add(30, k % FLOWS_USED);
			run(now + KIT_MS);
		}
		cr_assert_gt(atomic_load(&queue.held), 500);
		share = 100;
		run(now + 10 * KIT_MS);
		cr_expect_eq(atomic_load(&queue.held), 100);
		share = UINT64_MAX;
	}
	kit_free_lost(queue_empty_out(&queue));
}

// Of frames of 64 KiB few are made ready, and they count as what waits does.
Test(queue, what_is_ready_takes_few_buffers)
{
	room = 0;
	use((struct config_rate){.bits = 10000000000, .queue_bytes = 1 << 30});
	look();
	add_long(40, UINT64_MAX);
	for (unsigned i = 0; i < 10; i++)
		look();
	cr_expect_eq(queue.nready, 2);
	cr_expect_eq(atomic_load(&queue.ready_buffers), 66);
	add_long(1, 20 * 33);
	cr_expect_eq(atomic_load(&queue.held), 20);
	use((struct config_rate){.bits = 10000000000, .queue_bytes = 10 * 65000});
	look();
	for (unsigned i = 0; i < 20; i++)
		add_long(1, UINT64_MAX);
	cr_expect_leq(atomic_load(&queue.held_bytes), 20 * 65000);
	kit_free_lost(queue_empty_out(&queue));
}

// What was refused is tried again before more is taken.
Test(queue, nothing_joins_what_was_refused)
{
	use((struct config_rate){.bits = 8000000000});
	add(30, 1);
	add(30, 1);
	look();
	cr_expect_eq(sent, BURST_MAX);
	room = 5;
	look();
	cr_expect_eq(queue.nready, 60 - BURST_MAX - 5);
	add(20, 1);
	room = 0;
	look();
	cr_expect_eq(queue.nready, 60 - BURST_MAX - 5);
	room = UINT32_MAX;
	run(now + 20 * KIT_MS);
	cr_expect_eq(sent, received);
}

Test(queue, schedulers_and_limits_change_without_loss)
{
	static const enum config_scheduler kinds[] = {SCHEDULER_FQ_CODEL, SCHEDULER_FIFO,
		SCHEDULER_DRR, SCHEDULER_PRIO, SCHEDULER_DRR, SCHEDULER_FQ_CODEL, SCHEDULER_PRIO,
		SCHEDULER_FIFO};
	room = 300;
	for (unsigned i = 0; i < 400; i++) {
		enum config_scheduler kind = kinds[i % 8];
		struct scheduler *newest = queueing.scheduler,
				 *used = atomic_load(&queue.scheduler);
		use((struct config_rate){.bits = 80000000 + i, .queue_bytes = 4 << 20});
		queueing.scheduler = scheduler_new(kind, &queueing.settings);
		// One that its owner has never seen.
		if (newest != used)
			scheduler_free(newest);
		add(7, i % FLOWS_USED);
		// And it does not see each of them.
		if (i % 3)
			continue;
		run(now + KIT_MS / 2);
		cr_expect_eq(atomic_load(&queue.scheduler), queueing.scheduler);
		scheduler_free(used);
	}
	cr_expect_eq(lost, 0);
	room = UINT32_MAX;
	run(now + KIT_HZ);
	cr_expect_eq(sent, received);
}

// What was accepted before a limit was lowered waits on; newcomers are lost until there is room.
Test(queue, a_lower_limit_loses_newcomers_only)
{
	for (unsigned kind = 0; kind <= SCHEDULER_FQ_CODEL; kind++) {
		struct scheduler *used = queueing.scheduler;
		use((struct config_rate){.bits = 1000000000});
		queueing.scheduler = scheduler_new((enum config_scheduler)kind, &queueing.settings);
		look();
		queue_change(&queue, &queueing);
		scheduler_free(used);
		rate_charge(&queue.rate, &queueing.limit, now, 100000000, 1); // 0.8 s
		while (received - sent - lost < 1000)
			add(20, received % FLOWS_USED);
		use((struct config_rate){.bits = 1000000});
		look();
		for (unsigned i = 0; i < 50; i++)
			add(1, i % FLOWS_USED);
		cr_expect_eq(lost, 50, "%u: %lu lost", kind, lost);
		use((struct config_rate){.bits = 1000000000});
		run(now + 2 * KIT_HZ);
		cr_expect(kind == SCHEDULER_FQ_CODEL || lost == 50, "%u: %lu lost", kind, lost);
		cr_expect(queue_is_empty(&queue));
		check_books();
		received -= lost;
		lost = 0;
	}
}

// However slow: their segments' headers count as well.
Test(queue, tso_frames_wait_by_default)
{
	use((struct config_rate){.bits = 1000000});
	look();
	queue_change(&queue, &queueing);
	rate_charge(&queue.rate, &queueing.limit, now, 1000000, 1);
	for (unsigned i = 0; i < 3; i++) {
		struct queued *q = kit_queued(1, 65160 + 45 * 66, 0, 0), *gone;
		queue_add(&queue, &q, 1, now, UINT64_MAX, &gone);
		cr_expect_eq(kit_free_lost(gone), 0, "frame %u", i);
	}
	kit_free_lost(queue_empty_out(&queue));
}

// A rate that was taken away: what waits goes at once, and first.
Test(queue, without_a_limit_all_goes)
{
	add(20, 1);
	rate_charge(&queue.rate, &queueing.limit, now, 10000000, 1);
	queueing.limit = (struct rate_limit){0};
	run(now + KIT_MS);
	cr_expect_eq(sent, received);
	cr_expect(queue_is_empty(&queue));
}

Test(queue, emptied_out_it_is_as_new)
{
	room = 2;
	add(30, 1);
	look();
	cr_expect_eq(kit_free_lost(queue_empty_out(&queue)), 28);
	cr_expect(queue_is_empty(&queue));
	cr_expect_eq(atomic_load(&queue.held_bytes), 0);
	cr_expect_null(queue_empty_out(&queue));
	received = sent;
	room = UINT32_MAX;
	cr_expect(add(1, 1));
	run(now + KIT_MS);
	check_books();
}

Test(queue, what_is_not_configured_is_chosen_from_the_rate)
{
	static const struct {
		uint64_t bits, packets, limit;
	} cases[] = {
		{1000000, 0, QUEUE_MIN_BYTES},
		{100000000, 0, 1250000},
		{10000000000, 0, QUEUE_MAX_BYTES},
		{0, 10000, 1514000},
		{100000000, 5000, 757000},
		{100000000, 1000, QUEUE_MIN_BYTES},
	};
	struct scheduler_settings s;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config_rate config = {.bits = cases[i].bits,
			.packets = cases[i].packets,
			.target_ns = 5000000,
			.interval_ns = 100000000};
		queue_settings(&s, &config, 1500, KIT_HZ);
		cr_expect_eq(s.limit, cases[i].limit, "%u: %lu", i, s.limit);
		// 12 ms is what one frame takes at 1 Mbit.
		cr_expect_eq(s.target, i ? 5 * KIT_MS : 12112000, "%u: %lu", i, s.target);
		cr_expect_eq(s.interval, 100 * KIT_MS);
	}
}

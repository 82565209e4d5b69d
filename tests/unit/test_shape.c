// SPDX-License-Identifier: BSD-3-Clause
// Which frames of a VM may go, by its own rate and by those that it shares; in a time that the
// tests make. VMs here always have frames to send, as their rings do, unless a test says otherwise.
#include "switch/shape.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define HZ   2100000000ull
#define US   (HZ / 1000000)
#define MBIT 1000000ull

enum {
	MTU = 1500,
	VMS = 8
};

struct vm {
	struct shaper shaper;
	struct shaper *words; // another one's: it is a queue of the same port
	struct shaping shaping;
	uint32_t len;
	bool idle;
	uint64_t again; // as a worker's agenda has it
	uint64_t bytes, packets, bursts, taken;
};

static struct vm vms[VMS];
static struct share shares[2];
static struct share_view views[2];
static struct share_part parts[2][VMS];
static struct packet burst[BURST_MAX];

static void setup(void)
{
	memset(vms, 0, sizeof(vms));
	memset(shares, 0, sizeof(shares));
	memset(views, 0, sizeof(views));
	memset(burst, 0, sizeof(burst));
	for (unsigned i = 0; i < VMS; i++) {
		vms[i].words = &vms[i].shaper;
		vms[i].len = 1514;
		vms[i].shaping.look = SHAPE_LOOK_US * US;
	}
}

static void limit(unsigned vm, struct config_rate config)
{
	rate_compile(&vms[vm].shaping.own, &config, MTU, HZ);
	vms[vm].shaping.is_set = true;
}

// The first VMs share it by these weights, of which 0 is the end.
static void share(unsigned which, struct config_rate config, const uint16_t *weights)
{
	struct share_view *view = &views[which];
	view->share = &shares[which];
	view->members = parts[which];
	for (unsigned i = 0; i < VMS && weights[i]; i++) {
		struct shaping *shaping = &vms[i].shaping;
		shaping->is_set = true;
		shaping->shares[shaping->nshares++] = (struct share_ref){
			.view = view, .port = (uint16_t)(i + 1), .weight = weights[i]};
		parts[which][view->nmembers++] = (struct share_part){(uint16_t)(i + 1), weights[i]};
	}
	share_compile(view, &config, MTU, HZ);
}

// What a worker does with a queue that is to be looked at.
static void look_at(struct vm *vm, uint64_t now)
{
	if (vm->again > now)
		return;
	vm->again = 0;
	if (vm->idle)
		return;
	unsigned n = shape_take(vm->words, &vm->shaping, now, &vm->again);
	if (!n)
		return;
	for (unsigned i = 0; i < n; i++)
		burst[i].len = vm->len;
	struct shape_sum sum;
	unsigned go = shape_burst(vm->words, &vm->shaping, now, burst, n, true, &sum, &vm->again);
	cr_assert(go || vm->again > now);
	vm->taken += n;
	vm->bytes += sum.load.bytes;
	vm->packets += sum.load.packets;
	vm->bursts += go != 0;
}

static void run(unsigned count, uint64_t *now, uint64_t us, uint64_t step)
{
	for (uint64_t end = *now + us * US; *now < end; *now += step)
		for (unsigned i = 0; i < count; i++)
			look_at(&vms[i], *now);
}

static void forget(void)
{
	for (unsigned i = 0; i < VMS; i++)
		vms[i].bytes = vms[i].packets = vms[i].bursts = vms[i].taken = 0;
}

static double mbit(const struct vm *vm, uint64_t us)
{
	return (double)vm->bytes * 8 / (double)us;
}

static void expect_near(double got, double want, double error, const char *what)
{
	cr_expect(fabs(got / want - 1) <= error, "%s: %g, not %g", what, got, want);
}

TestSuite(shape, .init = setup);
TestSuite(share, .init = setup);

// --- a port's own rate

Test(shape, the_rate_is_held_and_little_is_taken_twice)
{
	static const uint64_t rates[] = {1, 10, 100, 1000, 10000, 100000};
	static const uint32_t lens[] = {60, 1514, 65550};
	for (unsigned r = 0; r < sizeof(rates) / sizeof(*rates); r++)
		for (unsigned l = 0; l < sizeof(lens) / sizeof(*lens); l++) {
			// What a burst in each look comes to.
			if (BURST_MAX * lens[l] * 8 / 3 < rates[r] * 2)
				continue;
			setup();
			limit(0, (struct config_rate){.bits = rates[r] * MBIT});
			vms[0].len = lens[l];
			uint64_t now = HZ, us = 500 * lens[l] * 8 / rates[r] + 1000000;
			run(1, &now, us / 8, 3 * US);
			forget();
			run(1, &now, us, 3 * US);
			expect_near(mbit(&vms[0], us), (double)rates[r], 0.003, "Mbit/s");
			uint64_t twice = vms[0].taken - vms[0].packets;
			cr_expect(twice <= vms[0].packets / 10 + 5, "%lu of %lu gathered again",
				twice, vms[0].packets);
		}
}

// A worker is not asked to look again for each single frame.
Test(shape, frames_go_in_bursts_where_they_are_small)
{
	uint64_t now = HZ;
	limit(0, (struct config_rate){.bits = 1000 * MBIT});
	run(1, &now, 1000000, 2 * US);
	cr_expect_leq(vms[0].bursts, 1000000 / SHAPE_LOOK_US + 100);
	cr_expect_geq(vms[0].bursts, 1000000 / SHAPE_LOOK_US / 2);
}

Test(shape, packets_of_tso_frames)
{
	struct packet p = {.len = 54 + 10000, .payload_off = 54};
	struct shape_load load = shape_load(&p);
	cr_expect_eq(load.packets, 1);
	cr_expect_eq(load.bytes, 10054);
	p.offload = OFFLOAD_TSO4;
	p.gso_size = 1000;
	load = shape_load(&p);
	cr_expect_eq(load.packets, 10);
	cr_expect_eq(load.bytes, 10 * 1054);
	p.gso_size = 1448;
	load = shape_load(&p);
	cr_expect_eq(load.packets, 7);
	cr_expect_eq(load.bytes, 10000 + 7 * 54);
	// A claim that nothing has confirmed, with offsets of another packet.
	p.payload_off = 60000;
	packet_drop(&p, DROP_BAD_HEADER);
	p.len = UINT32_MAX;
	load = shape_load(&p);
	cr_expect_eq(load.packets, 1);
	cr_expect_eq(load.bytes, FRAME_MAX);
}

Test(shape, packets_a_second)
{
	uint64_t now = HZ;
	limit(0, (struct config_rate){.packets = 10000});
	vms[0].len = 60;
	run(1, &now, 100000, 3 * US);
	forget();
	run(1, &now, 2000000, 3 * US);
	expect_near((double)vms[0].packets, 20000, 0.005, "packets");
	cr_expect_leq(vms[0].taken, vms[0].packets * 3 / 2);
}

// Queues of one port that always have frames, on one worker, which comes to the first one first.
static void expect_even(struct config_rate config, unsigned queues, uint32_t len, uint64_t step_us)
{
	uint64_t now = HZ, us = 4000000;
	setup();
	for (unsigned i = 0; i < queues; i++) {
		limit(i, config);
		vms[i].shaping.by_queues = true;
		vms[i].words = &vms[0].shaper;
		vms[i].len = len;
	}
	run(queues, &now, us, step_us * US);
	double sum = 0, part = (double)config.bits / (double)MBIT / queues;
	for (unsigned i = 0; i < queues; i++) {
		char what[24];
		snprintf(what, sizeof(what), "queue %u", i);
		expect_near(mbit(&vms[i], us), part, 0.2, what);
		sum += mbit(&vms[i], us);
	}
	expect_near(sum, part * queues, 0.005, "Mbit/s");
}

Test(shape, queues_share_the_rate_evenly)
{
	expect_even((struct config_rate){.bits = 100 * MBIT}, 2, 1514, 5);
	expect_even((struct config_rate){.bits = 1000 * MBIT}, 2, 1514, 5);
	expect_even((struct config_rate){.bits = 1000 * MBIT}, 4, 65550, 11);
	expect_even((struct config_rate){.bits = 5000 * MBIT}, 3, 1514, 5);
}

Test(shape, a_slow_vm_is_seldom_looked_at)
{
	uint64_t now = HZ;
	limit(0, (struct config_rate){.bits = MBIT});
	run(1, &now, 1000000, 2 * US);
	cr_expect_leq(vms[0].bursts, 100);
}

// --- shared rates

static void expect_shares(unsigned count, const double *want, uint64_t us, double error)
{
	for (unsigned i = 0; i < count; i++) {
		char what[16];
		snprintf(what, sizeof(what), "VM %u", i);
		expect_near(mbit(&vms[i], us), want[i], error, what);
	}
}

Test(share, weights_1_2_4_at_any_rate_and_length)
{
	static const uint64_t rates[] = {1, 70, 700, 3500};
	static const uint32_t lens[][3] = {{1514, 1514, 1514}, {60, 1514, 9014}, {65550, 60, 1514}};
	for (unsigned r = 0; r < sizeof(rates) / sizeof(*rates); r++)
		for (unsigned l = 0; l < 3; l++) {
			setup();
			share(0, (struct config_rate){.bits = rates[r] * MBIT},
				(uint16_t[]){1, 2, 4, 0});
			uint64_t now = HZ, us = 2000000;
			uint32_t longest = 0;
			for (unsigned i = 0; i < 3; i++) {
				vms[i].len = lens[l][i];
				longest = vms[i].len > longest ? vms[i].len : longest;
			}
			// Long enough that one frame is no matter.
			if (us < 1000ull * longest * 8 / rates[r])
				us = 1000ull * longest * 8 / rates[r];
			run(3, &now, us / 4, 7 * US);
			forget();
			run(3, &now, us, 7 * US);
			double part = (double)rates[r] / 7;
			expect_shares(3, (double[]){part, 2 * part, 4 * part}, us, 0.02);
		}
}

// Workers that look at different times, one much more often than the others.
Test(share, weights_hold_for_workers_that_come_late)
{
	uint64_t now = HZ, us = 4000000;
	share(0, (struct config_rate){.bits = 700 * MBIT}, (uint16_t[]){1, 2, 4, 0});
	for (unsigned part = 0; part < 2; part++) {
		forget();
		for (uint64_t i = 0, end = now + us * US; now < end; now += 2 * US, i++) {
			look_at(&vms[0], now);
			if (i % 35 == 0)
				look_at(&vms[1], now);
			if (i % 50 == 7)
				look_at(&vms[2], now);
		}
	}
	expect_shares(3, (double[]){100, 200, 400}, us, 0.02);
}

// Another program has its CPU for a time slice, again and again.
Test(share, weights_hold_for_a_worker_that_is_held_up)
{
	uint64_t now = HZ, us = 4000000;
	share(0, (struct config_rate){.bits = 700 * MBIT}, (uint16_t[]){1, 2, 4, 0});
	for (unsigned part = 0; part < 2; part++) {
		forget();
		for (uint64_t start = now, end = now + us * US; now < end; now += 5 * US) {
			look_at(&vms[0], now);
			look_at(&vms[1], now);
			if ((now - start) % (12000 * US) > 3000 * US)
				look_at(&vms[2], now);
		}
	}
	expect_shares(3, (double[]){100, 200, 400}, us, 0.02);
}

Test(share, weights_up_to_1000)
{
	uint64_t now = HZ, us = 4000000;
	share(0, (struct config_rate){.bits = 1111 * MBIT}, (uint16_t[]){1, 10, 100, 1000, 0});
	run(4, &now, us / 4, 7 * US);
	forget();
	run(4, &now, us, 7 * US);
	expect_shares(4, (double[]){1, 10, 100, 1000}, us, 0.02);
}

Test(share, what_one_leaves_the_others_get)
{
	uint64_t now = HZ, us = 1000000;
	share(0, (struct config_rate){.bits = 700 * MBIT}, (uint16_t[]){1, 2, 4, 0});
	run(3, &now, us, 7 * US);
	vms[2].idle = true;
	run(3, &now, 5000, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(2, (double[]){700. / 3, 1400. / 3}, us, 0.02);
	vms[1].idle = true;
	run(3, &now, 5000, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(1, (double[]){700}, us, 0.01);
	// Who comes back has saved nothing up.
	vms[1].idle = vms[2].idle = false;
	run(3, &now, 5000, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(3, (double[]){100, 200, 400}, us, 0.02);
}

Test(share, what_an_own_limit_leaves_the_others_get)
{
	uint64_t now = HZ, us = 2000000;
	share(0, (struct config_rate){.bits = 700 * MBIT}, (uint16_t[]){1, 2, 4, 0});
	limit(2, (struct config_rate){.bits = 100 * MBIT});
	run(3, &now, us / 4, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(3, (double[]){200, 400, 100}, us, 0.02);
}

// Of two shared rates the lower one counts, and the other one's part goes to its other members.
Test(share, a_port_in_two_of_them)
{
	uint64_t now = HZ, us = 2000000;
	share(0, (struct config_rate){.bits = 600 * MBIT}, (uint16_t[]){1, 1, 1, 0});
	share(1, (struct config_rate){.bits = 100 * MBIT}, (uint16_t[]){1, 0});
	run(3, &now, us / 4, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(3, (double[]){100, 250, 250}, us, 0.02);
}

Test(share, packets_are_shared_where_no_bits_are)
{
	uint64_t now = HZ, us = 2000000;
	share(0, (struct config_rate){.packets = 70000}, (uint16_t[]){1, 2, 4, 0});
	vms[0].len = 9014;
	vms[2].len = 60;
	run(3, &now, us / 4, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	for (unsigned i = 0; i < 3; i++)
		expect_near((double)vms[i].packets, 20000. * (1 << i), 0.02, "packets");
}

// However small its weight is: nobody else is there.
Test(share, one_of_many_gets_all_of_it)
{
	static const uint16_t even[] = {1, 1, 1, 1, 1, 1, 1, 0}, odd[] = {1, 10, 100, 1000, 0};
	const uint64_t us = 1000000;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t now = HZ;
		setup();
		share(0, (struct config_rate){.bits = 9000 * MBIT}, i ? odd : even);
		for (unsigned k = 1; k < 7; k++)
			vms[k].idle = true;
		run(7, &now, us, 7 * US);
		forget();
		run(7, &now, us, 7 * US);
		expect_shares(1, (double[]){9000}, us, 0.01);
	}
}

Test(share, two_small_ones_get_all_of_it)
{
	uint64_t now = HZ, us = 1000000;
	share(0, (struct config_rate){.bits = 1000 * MBIT}, (uint16_t[]){1, 1, 1000, 0});
	vms[2].idle = true;
	run(3, &now, us, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(2, (double[]){500, 500}, us, 0.02);
}

// Nobody is waited for by what frames have cost before.
Test(share, a_higher_rate_holds_at_once)
{
	uint64_t now = HZ, us = 50000;
	share(0, (struct config_rate){.bits = MBIT}, (uint16_t[]){1, 1, 0});
	vms[0].len = vms[1].len = 65550;
	run(2, &now, 3000000, 7 * US);
	struct rate_limit before = views[0].limit;
	share_compile(&views[0], &(struct config_rate){.bits = 1000 * MBIT}, MTU, HZ);
	rate_change(&shares[0].rate, &before, &views[0].limit, now);
	share_begin_anew(&shares[0]);
	// As a publication wakes the workers.
	vms[0].again = vms[1].again = 0;
	vms[1].idle = true;
	forget();
	run(2, &now, us, 7 * US);
	expect_near(mbit(&vms[0], us), 1000, 0.1, "Mbit/s");
}

// A machine that was suspended counts from anew; a claim to wait is no older than that.
Test(share, a_counter_that_was_set_back_leaves_no_claim)
{
	uint64_t now = 1ull << 50;
	share(0, (struct config_rate){.bits = 100 * MBIT}, (uint16_t[]){1, 1, 0});
	run(2, &now, 100000, 7 * US);
	now = HZ;
	vms[0].again = vms[1].again = 0;
	vms[1].idle = true;
	run(2, &now, 10000, 7 * US);
	forget();
	run(2, &now, 100000, 7 * US);
	expect_near(mbit(&vms[0], 100000), 100, 0.02, "Mbit/s");
}

// Its queue has gone while it waited: it is not waited for.
Test(share, who_vanishes_is_forgotten)
{
	uint64_t now = HZ, us = 1000000;
	share(0, (struct config_rate){.bits = 700 * MBIT}, (uint16_t[]){4, 2, 1, 0});
	run(3, &now, us, 7 * US);
	vms[0].again = UINT64_MAX;
	run(3, &now, 5000, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_near(mbit(&vms[1], us), 1400. / 3, 0.02, "VM 1");
	expect_near(mbit(&vms[2], us), 700. / 3, 0.02, "VM 2");
}

Test(share, holds_across_the_wrap)
{
	share(0, (struct config_rate){.bits = 700 * MBIT}, (uint16_t[]){1, 2, 4, 0});
	// Virtual times near their end, the floor beyond.
	for (unsigned i = 0; i < 3; i++)
		shares[0].members[i + 1].time = UINT64_MAX - 1000;
	shares[0].floor = UINT64_MAX - 1000;
	uint64_t now = HZ, us = 1000000;
	run(3, &now, us / 4, 7 * US);
	forget();
	run(3, &now, us, 7 * US);
	expect_shares(3, (double[]){100, 200, 400}, us, 0.02);
}

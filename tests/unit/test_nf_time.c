// SPDX-License-Identifier: BSD-3-Clause
// Which packets are taken for the one that went into a network function, and what samples come to.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "switch/chain.h"
#include "switch/pipeline.h"

static struct pass pass;
static struct nf *nf;
static uint8_t bytes[STASH_HEADERS];
static struct packet packet;

enum {
	L3 = 14,
	L4 = L3 + 20
};

static void begin(void)
{
	nf = aligned_alloc(64, (sizeof(*nf) + sizeof(struct nf_counters) + 63) & ~(size_t)63);
	memset(nf, 0, sizeof(*nf));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	packet = (struct packet){
		.data = bytes,
		.len = 100,
		.head_len = 100,
		.flags = PACKET_IPV4 | PACKET_L4,
		.l3_off = L3,
		.l4_off = L4,
		.payload_off = L4 + 8,
		.l4_proto = IPPROTO_UDP,
		.conn = 7,
	};
	pass.tsc = 1000000;
	pass.nf_pause = 1000;
}

static void end(void)
{
	free(nf);
}

TestSuite(nf_time, .init = begin, .fini = end);

static uint32_t samples(void)
{
	return atomic_load(&nf->times.count);
}

static uint32_t noted(void)
{
	return atomic_load(&nf->timed);
}

Test(nf_time, the_packet_that_comes_back_is_a_sample)
{
	nf_time_begin(&pass, nf, &packet, false);
	cr_expect_eq(noted(), 7);
	nf_time_end(nf, &packet, false);
	cr_expect(samples() == 1 && !noted());
}

Test(nf_time, what_an_nf_may_change_tells_nothing)
{
	nf_time_begin(&pass, nf, &packet, false);
	bytes[0] ^= 1;      // the receiver's MAC
	bytes[L3 + 8]--;    // hops left
	bytes[L3 + 10]++;   // and the checksum that goes with them
	bytes[L4 + 6] ^= 1; // UDP's, which the NF may have completed
	nf_time_end(nf, &packet, false);
	cr_expect_eq(samples(), 1);
}

// Each of these is another packet of the connection.
Test(nf_time, other_packets_are_none)
{
	static const unsigned at[] = {L3 + 2, L3 + 5, L4 + 8, L4 + 8 + 15};
	nf_time_begin(&pass, nf, &packet, false);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		bytes[at[i]] ^= 1;
		nf_time_end(nf, &packet, false);
		bytes[at[i]] ^= 1;
	}
	nf_time_end(nf, &packet, true);
	cr_expect(!samples() && noted() == 7);
	nf_time_end(nf, &packet, false);
	cr_expect_eq(samples(), 1);
}

Test(nf_time, a_segment_is_told_by_its_numbers)
{
	packet.l4_proto = IPPROTO_TCP;
	packet.payload_off = L4 + 20;
	nf_time_begin(&pass, nf, &packet, true);
	bytes[L4 + 7] ^= 1;
	nf_time_end(nf, &packet, true);
	bytes[L4 + 7] ^= 1;
	bytes[L4 + 11] ^= 1;
	nf_time_end(nf, &packet, true);
	bytes[L4 + 11] ^= 1;
	cr_expect_eq(samples(), 0);
	// Merged with others it is longer.
	bytes[L3 + 2]++;
	nf_time_end(nf, &packet, true);
	cr_expect_eq(samples(), 1);
}

Test(nf_time, fragments_are_not_noted)
{
	packet.flags |= PACKET_FRAGMENT;
	nf_time_begin(&pass, nf, &packet, false);
	cr_expect_eq(noted(), 0);
}

// What is behind the frame's end is not looked at: it is what the stash had before.
Test(nf_time, a_datagram_without_payload)
{
	packet.len = packet.head_len = packet.payload_off;
	nf_time_begin(&pass, nf, &packet, false);
	bytes[packet.payload_off] ^= 1;
	nf_time_end(nf, &packet, false);
	cr_expect_eq(samples(), 1);
}

Test(nf_time, one_at_a_time_and_not_too_often)
{
	nf_time_begin(&pass, nf, &packet, false);
	uint64_t since = atomic_load(&nf->times.since);
	pass.tsc = since + 50 * pass.nf_pause;
	packet.conn = 8;
	nf_time_begin(&pass, nf, &packet, false);
	cr_expect_eq(noted(), 7, "it is still in there");
	pass.tsc = since + 101 * pass.nf_pause;
	nf_time_begin(&pass, nf, &packet, false);
	cr_expect_eq(noted(), 8, "it was lost");
	nf_time_end(nf, &packet, false);
	since = atomic_load(&nf->times.since);
	pass.tsc = since + pass.nf_pause - 1;
	nf_time_begin(&pass, nf, &packet, false);
	cr_expect_eq(noted(), 0, "too soon");
	pass.tsc = since + pass.nf_pause;
	nf_time_begin(&pass, nf, &packet, false);
	cr_expect_eq(noted(), 8);
}

static void sample(uint64_t cycles, uint64_t at)
{
	uint32_t i = atomic_fetch_add(&nf->times.count, 1);
	atomic_store(&nf->times.last[i % NF_TIMES].cycles, cycles);
	atomic_store(&nf->times.last[i % NF_TIMES].at, at);
}

Test(nf_time, percentiles_of_what_is_recent)
{
	uint64_t ns[NF_TIMES], now = UINT64_C(100000000000), hz = 2000000000;
	struct time_spent spent;
	nf_times_sum_up(ns, nf_times_get(&nf->times, now, hz, ns), &spent);
	cr_expect(!spent.samples && !spent.max_ns);
	for (unsigned i = 100; i; i--)
		sample(2000 * i, now - hz);
	sample(1, now - NF_TIME_S * hz);
	nf_times_sum_up(ns, nf_times_get(&nf->times, now, hz, ns), &spent);
	cr_expect_eq(spent.samples, 100);
	cr_expect_eq(spent.p50_ns, 50000);
	cr_expect_eq(spent.p99_ns, 99000);
	cr_expect_eq(spent.max_ns, 100000);
	for (unsigned i = 0; i < NF_TIMES; i++)
		sample(10, now);
	nf_times_sum_up(ns, nf_times_get(&nf->times, now, hz, ns), &spent);
	cr_expect(spent.samples == NF_TIMES && spent.p50_ns == 5 && spent.max_ns == 5);
}

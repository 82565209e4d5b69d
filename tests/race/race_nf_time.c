// SPDX-License-Identifier: BSD-3-Clause
// Two workers have packets in one network function, and now and then lose one, while another thread
// reads the samples: each is the time of one packet, from its own beginning to its own end.
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "switch/chain.h"
#include "switch/pipeline.h"

enum {
	WORKERS = 2,
	PAUSE = 10,    // cycles from a sample to the next
	INSIDE = 2000, // cycles, at least, that a packet is in there
	SAMPLES = 200000,
	L3 = 14,
	L4 = L3 + 20,
	PAYLOAD = L4 + 8,
	LEN = 100
};
#define HZ UINT64_C(1000000000) // so cycles are nanoseconds

static struct nf nf;
static atomic_bool stop;

static void *work(void *arg)
{
	struct pass pass = {.nf_pause = PAUSE};
	uint8_t bytes[LEN] = {0};
	struct packet packet = {
		.data = bytes,
		.len = LEN,
		.head_len = LEN,
		.flags = PACKET_IPV4 | PACKET_L4,
		.l3_off = L3,
		.l4_off = L4,
		.payload_off = PAYLOAD,
		.l4_proto = IPPROTO_UDP,
		.conn = *(uint32_t *)arg,
	};
	for (uint32_t n = 1; !atomic_load(&stop); n++) {
		memcpy(bytes + PAYLOAD, &packet.conn, sizeof(packet.conn));
		memcpy(bytes + PAYLOAD + 4, &n, sizeof(n));
		pass.tsc = __rdtsc();
		nf_time_begin(&pass, &nf, &packet, n & 1);
		uint64_t begun = __rdtsc();
		while (__rdtsc() - begun < INSIDE)
			;
		if (n % 16)
			nf_time_end(&nf, &packet, n & 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[WORKERS];
	uint32_t conns[WORKERS];
	uint64_t begun = __rdtsc();
	unsigned wrong = 0;
	uint32_t last = 0;
	for (unsigned i = 0; i < WORKERS; i++) {
		conns[i] = i + 1;
		pthread_create(&threads[i], NULL, work, &conns[i]);
	}
	while (last < SAMPLES) {
		uint64_t ns[NF_TIMES], now = __rdtsc();
		uint32_t count = atomic_load(&nf.times.count);
		unsigned n = nf_times_get(&nf.times, now, HZ, ns);
		for (unsigned i = 0; i < n; i++)
			wrong += ns[i] < INSIDE || ns[i] > __rdtsc() - begun;
		wrong += count < last;
		last = count;
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	printf("%u samples, %u wrong\n", last, wrong);
	return !wrong ? EXIT_SUCCESS : EXIT_FAILURE;
}

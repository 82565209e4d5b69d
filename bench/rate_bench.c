// SPDX-License-Identifier: BSD-3-Clause
// What many ports with rates cost on one worker: busy cycles of the time stamp counter per packet,
// with one port and with up to a thousand, whose VMs always have frames to send. A round is the
// worker's: the agenda, how much is due, taking it from the ring, parsing, charging; not the way to
// a receiver, which knows no rates.
//
// Time is made up, and goes on by ROUND from one round to the next; rounds that find nothing due
// are idle, as a worker counts them. What a VM's driver writes lies in its CPU's caches and not in
// the worker's, whether there is one port or many, so it is flushed.
//
// usage: weir-rate-bench [--json]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <x86intrin.h>

#include "switch/agenda.h"
#include "switch/parse.h"
#include "switch/shape.h"
#include "tests/unit/kit_guest.h"

#define HZ    2000000000ull
#define ROUND (HZ / 1000000) // cycles from one round to the next: 1 µs
#define PPS   5000ull        // of each port where there are many

enum {
	MANY = 1000,
	RING = 64,
	FRAME = 64,
	VNET = 12,
	LINE = 64,
	PACKETS = 100000,
};

static struct port {
	struct shaper shaper;
	struct shaping shaping;
	struct ring ring;
	struct kit_driver driver;
	struct kit_guest guest;
} * ports[MANY];

static struct {
	uint64_t now;
	uint64_t packets, bursts;
	uint32_t touched[MANY];
	uint32_t ntouched;
} bench;

static struct burst burst;
static struct ring_signals signals;
static uint64_t words[2 * MANY];

static void fail(const char *what)
{
	fprintf(stderr, "weir-rate-bench: %s\n", what);
	exit(EXIT_FAILURE);
}

// --- VMs -----------------------------------------------------------------------------------------

static void flush(const void *at, size_t size)
{
	uintptr_t line = (uintptr_t)at & ~(uintptr_t)(LINE - 1);
	for (; line < (uintptr_t)at + size; line += LINE)
		_mm_clflush((const void *)line);
}

static void flush_buffer(const struct port *p, uint64_t addr)
{
	const struct memory_region *r = &p->guest.mem.regions[0];
	flush((const uint8_t *)r->host + (addr - r->guest_addr), VNET + FRAME);
}

// Whatever was given back is sent again.
static void refill(struct port *p)
{
	static const uint8_t frame[FRAME] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0,
		50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 4, 0, 4, 0, 0, 30};
	static const struct kit_layout one = {.n = 1, .ndirect = 1, .lens = {VNET + FRAME}};
	static const struct virtio_net_hdr none = {0};
	struct kit_driver *d = &p->driver;
	struct kit_used used;
	while (kit_pop(d, &used))
		;
	while (d->nfree) {
		uint16_t at = d->avail_idx % d->size;
		int head = kit_send(d, &none, frame, FRAME, &one);
		if (head < 0)
			fail("no descriptor");
		flush_buffer(p, d->desc[head].addr);
		flush(&d->desc[head], sizeof(d->desc[head]));
		flush(&d->avail->ring[at], sizeof(d->avail->ring[at]));
	}
	kit_publish(d);
	flush(&d->avail->idx, sizeof(d->avail->idx));
}

static struct port *make_port(uint64_t pps)
{
	const struct kit_region region = {.size = RING * 128};
	const struct config_rate rate = {.bits = pps * FRAME * 8};
	// Apart from the others, as ports are.
	struct port *p = aligned_alloc(LINE, (sizeof(*p) + LINE - 1) / LINE * LINE);
	if (!p)
		fail("no memory");
	memset(p, 0, sizeof(*p));
	kit_guest_init(&p->guest, &region, 1);
	kit_driver_init(&p->driver, &p->guest, RING, 0, 1ull << VIRTIO_F_VERSION_1);
	kit_want_signal(&p->driver, false);
	struct ring_setup setup = kit_driver_setup(&p->driver);
	if (ring_init(&p->ring, &setup))
		fail("no ring");
	p->shaping.look = HZ / 1000000 * SHAPE_LOOK_US;
	p->shaping.is_set = true;
	rate_compile(&p->shaping.own, &rate, 1500, HZ);
	refill(p);
	return p;
}

static void free_port(struct port *p)
{
	if (p->ring.fault)
		fail(ring_fault_text(p->ring.fault));
	ring_fini(&p->ring);
	kit_driver_fini(&p->driver);
	kit_guest_fini(&p->guest);
	free(p);
}

// --- the worker ----------------------------------------------------------------------------------

// As a worker looks at a queue: see switch/rx.c and switch/shape_stage.c.
static uint64_t look(void *ctx, uint32_t i, uint64_t due)
{
	struct port *p = ports[i];
	uint64_t again = due;
	struct shape_sum sum;
	(void)ctx;
	if (!ring_pending(&p->ring))
		return 0;
	unsigned max = shape_take(&p->shaper, &p->shaping, bench.now, &again);
	if (!max)
		return again;
	unsigned n = ring_take(&p->ring, &burst, max);
	for (unsigned k = 0; k < n; k++)
		parse_packet(&burst.packets[k]);
	unsigned go = shape_burst(&p->shaper, &p->shaping, bench.now, burst.packets, n,
		ring_pending(&p->ring), &sum, &again);
	if (go < n)
		ring_untake(&p->ring, n - go);
	ring_complete(&p->ring, &signals);
	ring_signals_make_room(&signals);
	bench.packets += go;
	bench.bursts += go > 0;
	bench.touched[bench.ntouched++] = i;
	return again;
}

struct result {
	uint32_t ports;
	double cycles; // per packet
	double burst;
};

// The cost of reading the counter twice.
static uint64_t reading(void)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < 1000; i++) {
		uint64_t start = __rdtsc(), took = __rdtsc() - start;
		least = took < least ? took : least;
	}
	return least;
}

static void refill_touched(void)
{
	for (uint32_t i = 0; i < bench.ntouched; i++)
		refill(ports[bench.touched[i]]);
	bench.ntouched = 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// A round that was interrupted must not count: the median over pieces of some rounds.
static struct result measure(uint32_t count, uint64_t pps)
{
	enum {
		PIECES = 200
	};
	static double pieces[PIECES];
	struct agenda agenda = agenda_at(words, count);
	uint64_t own = reading(), total = 0, bursts = 0;
	bench.now = HZ;
	memset(words, 0, sizeof(words));
	for (uint32_t i = 0; i < count; i++)
		ports[i] = make_port(pps);
	for (int piece = -1; piece < PIECES; piece++) {
		uint64_t cycles = 0, packets = 0;
		// The first one is for what is only so at the begin: full buckets, cold caches.
		while (packets <
			(piece < 0 ? 4u * PACKETS / PIECES + 100u * count : PACKETS / PIECES)) {
			uint64_t start = __rdtsc();
			uint64_t due = agenda_round(&agenda, count, bench.now, look, NULL);
			ring_signals_send(&signals);
			uint64_t took = __rdtsc() - start - own;
			cycles += bench.packets ? took : 0;
			packets += bench.packets;
			total += bench.packets;
			bursts += bench.bursts;
			// Nothing is due before.
			bench.now += ROUND;
			if (due != UINT64_MAX && due > bench.now)
				bench.now = due;
			bench.packets = bench.bursts = 0;
			refill_touched();
		}
		if (piece >= 0)
			pieces[piece] = (double)cycles / (double)packets;
	}
	for (uint32_t i = 0; i < count; i++)
		free_port(ports[i]);
	qsort(pieces, PIECES, sizeof(pieces[0]), by_size);
	return (struct result){.ports = count,
		.cycles = pieces[PIECES / 2],
		.burst = (double)total / (double)bursts};
}

static void allow_files(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * MANY)
		limit.rlim_cur = limit.rlim_max < 2 * MANY ? limit.rlim_max : 2 * MANY;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	static const uint32_t counts[] = {1, 10, 60, 100, 1000};
	bool json = argc > 1 && !strcmp(argv[1], "--json");
	allow_files();
	struct result many[5];
	for (int i = 0; i < 5; i++)
		many[i] = measure(counts[i], PPS);
	struct result all = measure(1, PPS * MANY);
	if (json) {
		printf("{\"one\": %.1f, \"thousand\": %.1f, \"all_in_one\": %.1f, \"burst\": %.1f, "
		       "\"all_burst\": %.1f}\n",
			many[0].cycles, many[4].cycles, all.cycles, many[4].burst, all.burst);
		return EXIT_SUCCESS;
	}
	printf("ports  of kpps    cycles per packet  packets per burst\n");
	for (int i = 0; i < 5; i++)
		printf("%5u  %7.1f  %19.1f  %17.1f\n", many[i].ports, PPS / 1e3, many[i].cycles,
			many[i].burst);
	printf("%5u  %7.1f  %19.1f  %17.1f\n", all.ports, PPS * MANY / 1e3, all.cycles, all.burst);
	printf("a thousand ports: %.2f x one of them, %.2f x one with all of their load\n",
		many[4].cycles / many[0].cycles, many[4].cycles / all.cycles);
	return EXIT_SUCCESS;
}

// SPDX-License-Identifier: BSD-3-Clause
// weir-roundtrip: how long a cache line takes from one CPU to another and back. On a virtual
// machine this wanders, and every figure of a switch whose two ends are two CPUs wanders with it.
//
// No pause between two looks: it would be counted as well.
//
// One thread writes odd numbers into the line, the other answers with even ones. Round trips are
// timed in blocks: the clock costs nothing beside a block, and a block in which one of the threads
// had to wait for its CPU is an outlier that a median does not see.
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_TRIPS 250
#define BLOCKS_MAX  100000
#define MS_MAX      10000
#define NS_PER_S    1000000000ull
// So many looks without an answer: the other thread does not run, and the clock is worth a look.
#define PATIENCE 65536

static alignas(128) struct {
	_Atomic uint32_t value;
	char rest[124];
} line;

// Apart from the line: an answer that is late must not overwrite it.
static alignas(128) _Atomic bool done;

static const char usage[] =
	"Usage: weir-roundtrip [--cpus A,B] [--ms TIME]\n"
	"Prints the time of a cache line's round trip between two CPUs as one line of JSON.\n"
	"\n"
	"  --cpus A,B   the two CPUs; default 0,1\n"
	"  --ms TIME    how long it measures, in milliseconds; default 20\n";

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int pin(unsigned long cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	int rc = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (rc)
		fprintf(stderr, "weir-roundtrip: CPU %lu: %s\n", cpu, strerror(rc));
	return rc;
}

static void *answer(void *arg)
{
	if (pin(*(unsigned long *)arg))
		exit(1);
	// The first odd number is not answered before this thread is on its CPU.
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		uint32_t value = atomic_load_explicit(&line.value, memory_order_acquire);
		if (value & 1)
			atomic_store_explicit(&line.value, value + 1, memory_order_release);
	}
	return NULL;
}

// Sends `value`, which is odd, and waits for the answer. False: there was none until `end`.
static bool round_trip(uint32_t value, uint64_t end)
{
	atomic_store_explicit(&line.value, value, memory_order_release);
	for (unsigned looks = 0;
		atomic_load_explicit(&line.value, memory_order_acquire) != value + 1;) {
		if (++looks == PATIENCE) {
			looks = 0;
			if (now_ns() > end)
				return false;
		}
	}
	return true;
}

// Fills `trips` with each block's mean time of a round trip; the number of blocks.
static unsigned measure(double *trips, unsigned long ms)
{
	uint32_t value = 1;
	unsigned blocks = 0;
	// For an answering thread that has yet to start, or that others keep from its CPU.
	uint64_t begin = now_ns(), first_end = begin + NS_PER_S;
	if (!round_trip(value, first_end))
		return 0;
	begin = now_ns();
	uint64_t end = begin + ms * 1000000ull;
	while ((begin < end || !blocks) && blocks < BLOCKS_MAX) {
		for (unsigned i = 0; i < BLOCK_TRIPS; i++)
			if (!round_trip(value += 2, blocks ? end : first_end))
				return blocks;
		uint64_t now = now_ns();
		trips[blocks++] = (double)(now - begin) / BLOCK_TRIPS;
		begin = now;
	}
	return blocks;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static bool number(const char *text, unsigned long max, const char **end, unsigned long *value)
{
	char *after;
	*value = strtoul(text, &after, 10);
	*end = after;
	return *text >= '0' && *text <= '9' && *value <= max;
}

static bool parse(int argc, char **argv, unsigned long cpus[2], unsigned long *ms)
{
	static const struct option options[] = {{"cpus", required_argument, NULL, 'c'},
		{"ms", required_argument, NULL, 'm'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *end;
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		bool good = false;
		if (c == 'c')
			good = number(optarg, CPU_SETSIZE - 1, &end, &cpus[0]) && *end == ',' &&
			       number(end + 1, CPU_SETSIZE - 1, &end, &cpus[1]) && !*end;
		else if (c == 'm')
			good = number(optarg, MS_MAX, &end, ms) && !*end && *ms;
		else if (c == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (!good)
			return false;
	}
	return optind == argc && cpus[0] != cpus[1];
}

int main(int argc, char **argv)
{
	static double trips[BLOCKS_MAX];
	unsigned long cpus[2] = {0, 1}, ms = 20;
	pthread_t thread;
	if (!parse(argc, argv, cpus, &ms)) {
		fputs(usage, stderr);
		return 2;
	}
	if (pin(cpus[0]) || pthread_create(&thread, NULL, answer, &cpus[1]))
		return 1;
	unsigned blocks = measure(trips, ms);
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	if (!blocks) {
		fputs("weir-roundtrip: the two threads did not run at the same time\n", stderr);
		return 1;
	}
	qsort(trips, blocks, sizeof(*trips), compare);
	printf("{\"round_trip_ns\": %.1f, \"min_ns\": %.1f, \"max_ns\": %.1f}\n", trips[blocks / 2],
		trips[0], trips[blocks - 1]);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
// Two workers store frames that are dropped while another thread reads them: never a mixture of
// two.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu/arch.h>

#include "switch/drop_sample.h"

enum {
	WRITERS = 2,
	PAUSES = 50,
	CHANGES = 2000
};

static struct drop_sample sample;
static atomic_bool stop;

// Each frame has one byte throughout, and a length and a time that follow from it.
static void *writer(void *arg)
{
	uint8_t frame[DROP_HEADER_SIZE];
	for (uint8_t n = *(uint8_t *)arg; !atomic_load(&stop); n = (uint8_t)(n + WRITERS)) {
		memset(frame, n, sizeof(frame));
		drop_sample_put(&sample, n + 1u, frame, n % DROP_HEADER_SIZE);
		// Else one of them is inside at almost any time.
		for (unsigned i = 0; i < PAUSES; i++)
			caa_cpu_relax();
	}
	return NULL;
}

static bool is_whole(const struct drop_header *header)
{
	uint8_t n = (uint8_t)(header->tsc - 1);
	if (header->len != n % DROP_HEADER_SIZE)
		return false;
	for (unsigned i = 0; i < header->len; i++)
		if (header->bytes[i] != n)
			return false;
	return true;
}

int main(void)
{
	pthread_t threads[WRITERS];
	uint8_t first[WRITERS];
	unsigned changes = 0, torn = 0;
	uint64_t last = 0;
	for (unsigned i = 0; i < WRITERS; i++) {
		first[i] = (uint8_t)i;
		pthread_create(&threads[i], NULL, writer, &first[i]);
	}
	// Reads of one and the same sample show nothing: until so many others were seen.
	while (changes < CHANGES) {
		struct drop_header header;
		if (!drop_sample_get(&sample, &header))
			continue;
		changes += header.tsc != last;
		last = header.tsc;
		torn += !is_whole(&header);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	printf("%u samples, %u torn\n", changes, torn);
	return !torn ? EXIT_SUCCESS : EXIT_FAILURE;
}

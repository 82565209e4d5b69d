// SPDX-License-Identifier: BSD-3-Clause
// The last dropped frame of a reason; threads against each other are in tests/race.
#include <criterion/criterion.h>

#include "switch/drop_sample.h"

enum {
	INTERVAL = 1000
};

static uint8_t frame[2 * DROP_HEADER_SIZE];

static void make_frame(uint8_t first)
{
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(first + i);
}

Test(drop_sample, none_at_first)
{
	struct drop_sample sample = {0};
	struct drop_header header;
	cr_expect(!drop_sample_get(&sample, &header));
	cr_expect(drop_sample_due(&sample, 5000, INTERVAL));
}

Test(drop_sample, the_first_bytes_and_when)
{
	static const uint32_t lens[] = {
		0, 1, 7, 8, 14, 60, DROP_HEADER_SIZE, DROP_HEADER_SIZE + 1, 200};
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct drop_sample sample = {0};
		struct drop_header header;
		uint32_t len = lens[i] < DROP_HEADER_SIZE ? lens[i] : DROP_HEADER_SIZE;
		make_frame((uint8_t)i);
		drop_sample_put(&sample, 7000 + i, frame, lens[i]);
		cr_assert(drop_sample_get(&sample, &header));
		cr_expect_eq(header.tsc, 7000 + i);
		cr_expect_eq(header.len, len);
		cr_expect_arr_eq(header.bytes, frame, len);
	}
}

// A shorter frame leaves nothing of a longer one behind.
Test(drop_sample, a_shorter_one_follows)
{
	struct drop_sample sample = {0};
	struct drop_header header;
	make_frame(1);
	drop_sample_put(&sample, 1, frame, DROP_HEADER_SIZE);
	drop_sample_put(&sample, 2, frame + 50, 3);
	cr_assert(drop_sample_get(&sample, &header));
	cr_expect_eq(header.len, 3);
	cr_expect_arr_eq(header.bytes, frame + 50, 3);
	for (unsigned i = 3; i < DROP_HEADER_SIZE; i++)
		cr_expect_eq(header.bytes[i], 0);
}

Test(drop_sample, seldom_under_a_flood)
{
	struct drop_sample sample = {0};
	unsigned stored = 0;
	for (uint64_t tsc = 10 * INTERVAL; tsc < 20 * INTERVAL; tsc += 10) {
		if (!drop_sample_due(&sample, tsc, INTERVAL))
			continue;
		drop_sample_put(&sample, tsc, frame, 60);
		stored++;
	}
	cr_expect_eq(stored, 10);
	// Another worker's clock stands a little ahead or behind.
	cr_expect(!drop_sample_due(&sample, 19 * INTERVAL - 5, INTERVAL));
}

Test(drop_sample, a_writer_inside)
{
	struct drop_sample sample = {0};
	struct drop_header header;
	drop_sample_put(&sample, 1, frame, 60);
	atomic_fetch_add(&sample.seq, 1);
	cr_expect(!drop_sample_get(&sample, &header));
	drop_sample_put(&sample, 2, frame, 14);
	atomic_fetch_add(&sample.seq, 1);
	cr_assert(drop_sample_get(&sample, &header));
	cr_expect_eq(header.tsc, 1);
	cr_expect_eq(header.len, 60);
}

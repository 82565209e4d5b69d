// SPDX-License-Identifier: BSD-3-Clause
// Streams of frames, each between two ports, with a size, a rate and marks of its own; several may
// share a port. For each it is kept when its frames arrived.
#ifndef WEIR_BENCH_STREAMS_H
#define WEIR_BENCH_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/arrivals.h"
#include "bench/load/histogram.h"

enum {
	STREAMS_MAX = 128,
	STREAM_FLOWS = 256, // of one
};

struct stream_plan {
	bool others;  // sent by somebody else: only its arrivals are kept
	uint8_t from; // ports
	uint8_t to;
	uint8_t tos; // DSCP and ECN
	uint16_t flows;
	uint32_t frame;  // bytes; 0: IMIX
	double rate;     // frames per second; 0: as fast as they go
	uint32_t window; // frames on their way; 0: no limit
};

struct streams_plan {
	unsigned count;
	uint32_t bucket_us;
	uint32_t buckets;
	struct stream_plan streams[STREAMS_MAX];
};

// Of one stream since the start.
struct stream_record {
	uint64_t sent;
	uint64_t received;
	uint64_t refused;    // due, and not sent for a full ring or window
	uint64_t marked;     // received with the ECN bits that say "congestion experienced"
	uint64_t misordered; // behind one of the same stream that was sent later
	struct histogram latency;
	struct arrival_bucket *buckets;
};

struct streams_record {
	unsigned count;
	uint64_t start_ns; // CLOCK_MONOTONIC at the first bucket's begin
	double hz;         // cycles per second
	struct arrivals arrivals;
	struct stream_record streams[STREAMS_MAX];
};

// What was kept of the last streams, from their stop to the next start.
const struct streams_record *streams_recorded(void);

#endif

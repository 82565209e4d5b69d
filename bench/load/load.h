// SPDX-License-Identifier: BSD-3-Clause
// What the load thread is asked to do, and what it counts.
#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "bench/load/frames.h"
#include "bench/load/histogram.h"
#include "bench/load/ports.h"
#include "bench/load/streams.h"

enum traffic_kind {
	TRAFFIC_STREAM, // of frames, alike for all ports
	TRAFFIC_TALK,   // whole TCP conversations
	TRAFFIC_STREAMS // each as it is told
};

struct load_plan {
	enum traffic_kind kind;
	uint32_t frame; // bytes; 0: IMIX
	unsigned directions;
	uint32_t flows; // per direction
	uint32_t macs;  // per port
	bool tcp;
	bool zipf;
	double rate; // frames, or conversations, per second of all directions; 0: no limit
	uint32_t conversations; // open at once, per direction
	bool visits;            // which network functions each flow visits is kept
	struct streams_plan streams;
};

struct tally {
	uint64_t since; // TSC
	uint64_t sent;
	uint64_t received;
	uint64_t bytes;   // received
	uint64_t checked; // frames, also of others, whose L4 checksum the card calls right
	uint64_t refused; // due, but the ring was full
	uint64_t misordered;
	uint64_t corrupt;
	uint64_t relayed;       // by network functions
	uint64_t strays;        // frames not of the load that came to one
	uint64_t conversations; // completed
	uint64_t abandoned;     // conversations that stood still
	uint64_t calls;         // that received something
	uint64_t busy;          // TSC of rounds that moved something
	struct histogram latency;
};

// One kind of traffic. All on the load thread.
struct traffic_ops {
	// Prepares; 0 or -errno, the reason is printed.
	int (*start)(const struct load_plan *plan);
	// One round over all ports; `sending` false: only receive. The frames moved.
	unsigned (*round)(bool sending);
	void (*stop)(void);
};

extern const struct traffic_ops stream_traffic;
extern const struct traffic_ops talk_traffic;
extern const struct traffic_ops streams_traffic;

// The process's one generator.
extern struct ports load_ports;
extern struct tally load_tally; // since the last mark

// What the clock shows, and the time stamp counter at that moment.
uint64_t load_clock_ns(clockid_t clock, uint64_t *tsc);
// Cycles of the time stamp counter in a second, to one in a million. DPDK's own figure is rounded.
double load_hz(void);
// How many frames may be on their way to one receiver: buffers that the driver has not posted again
// yet are left out.
uint32_t load_window(uint32_t frame);

// What the load thread does until the control thread's input ends.
void load_run(void);

enum {
	PACE_JUMP = 10000000,  // cycles: some milliseconds
	LOST_CYCLES = 50000000 // TSC: some 20 ms, more than a time slice
};

// Frames that are due at a steady rate.
struct pace {
	double per_cycle; // 0: no limit
	uint64_t start;   // TSC
	uint64_t done;
};

void pace_init(struct pace *pace, double per_second);

// How many of at most max are due; what is given counts as done. A clock that jumped ahead, as when
// the process was stopped, makes nothing due.
static inline unsigned pace_due(struct pace *pace, uint64_t now, unsigned max)
{
	if (pace->per_cycle == 0)
		return max;
	uint64_t due = (uint64_t)((double)(now - pace->start) * pace->per_cycle);
	uint64_t open = due - pace->done;
	if (open <= max) {
		pace->done = due;
		return (unsigned)open;
	}
	if (open > max + (uint64_t)(pace->per_cycle * PACE_JUMP)) {
		pace->start = now;
		pace->done = 0;
		return 0;
	}
	pace->done += max;
	return max;
}

// Frames waiting for room in a ring.
struct outbox {
	struct rte_mbuf *frames[PORT_BURST];
	unsigned first;
	unsigned end;
};

// Sends what waits there; returns how many went.
static inline unsigned outbox_push(struct outbox *box, unsigned port)
{
	unsigned waiting = box->end - box->first;
	if (!waiting)
		return 0;
	unsigned went = rte_eth_tx_burst(
		load_ports.ids[port], 0, box->frames + box->first, (uint16_t)waiting);
	box->first += went;
	if (box->first == box->end)
		box->first = box->end = 0;
	return went;
}

// Likewise, and counts it.
static inline unsigned outbox_flush(struct outbox *box, unsigned port)
{
	unsigned went = outbox_push(box, port);
	load_tally.sent += went;
	return went;
}

void outbox_free(struct outbox *box);

// What is behind the head of TSO frames, once before they are sent.
void bodies_fill(void);
// Hangs the rest of a TSO frame behind its head. False: no buffers.
bool bodies_add(struct rte_mbuf *head);

static inline unsigned partner(unsigned port)
{
	return port ^ 1;
}

#endif

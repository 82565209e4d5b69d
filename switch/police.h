// SPDX-License-Identifier: BSD-3-Clause
// Policing: what a VM sends beyond its rate is dropped instead of made to wait. A single rate three
// colour marker (RFC 2697) by DPDK's meter: green passes; yellow, which is beyond the burst and
// lives on what was left unused before, passes with a higher drop precedence; red is dropped.
//
// Life cycle: the meter lasts as long as its port, what it holds to is the snapshot's.
// Synchronisation: the meter's words belong together, so workers of a port's queues take its lock,
// once for a burst, and nothing else inside.
#ifndef WEIR_SWITCH_POLICE_H
#define WEIR_SWITCH_POLICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/packet.h"

enum {
	// Bytes, of either bucket: a TSO frame has to fit, and a sender's TCP to find its window.
	POLICE_BURST_MIN = 131072,
	POLICE_BURST_US = 10000,
	// log2 of the parts of a TSC cycle that meters' time has: DPDK's periods are whole numbers.
	POLICE_TICKS = 16,
};

enum police_colour {
	POLICE_GREEN,
	POLICE_YELLOW,
	POLICE_RED,
	POLICE_COLOURS
};

// The meter's words, not in DPDK's types: of this header's readers some do without it. Zeroed, it
// is new.
struct police {
	atomic_bool locked;
	bool began;
	uint64_t time;
	uint64_t committed, excess; // bytes that are left
};

struct police_profile {
	uint64_t burst;         // of either bucket, bytes
	uint64_t period, bytes; // so many come in
	uint64_t overhead;      // bytes that are counted beside each packet's
};

// DPDK would ask the EAL how fast the counter is, and be right to a hundredth. Any thread.
void police_compile(
	struct police_profile *profile, const struct config_rate *config, uint64_t tsc_hz);

// The colour of a frame that counts as so many bytes. Under the lock; workers.
enum police_colour police_colour(
	struct police *police, const struct police_profile *profile, uint64_t tsc, uint32_t bytes);

// Raises the drop precedence of assured forwarding (RFC 2597) from the lowest to the next, within
// its class; other code points stay. The IPv4 checksum is mended by the difference (RFC 1624).
void police_remark(struct packet *packet);

#endif

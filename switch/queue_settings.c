// SPDX-License-Identifier: BSD-3-Clause
// What a configured rate.to-vm comes to for its queue.
#include "switch/queue.h"

static uint64_t in_cycles(uint64_t ns, uint64_t tsc_hz)
{
	return (uint64_t)((__uint128_t)ns * tsc_hz / 1000000000);
}

// Bytes per second, as far as packets of an MTU go.
static uint64_t speed_of(const struct config_rate *config, uint64_t frame)
{
	uint64_t by_bits = config->bits ? config->bits / 8 : UINT64_MAX;
	uint64_t by_packets = config->packets ? config->packets * frame : UINT64_MAX;
	return by_bits < by_packets ? by_bits : by_packets;
}

void queue_settings(struct scheduler_settings *settings, const struct config_rate *config,
	uint16_t mtu, uint64_t tsc_hz)
{
	const uint64_t frame = (uint64_t)mtu + RATE_FRAME, speed = speed_of(config, frame);
	uint64_t limit = config->queue_bytes;
	if (!limit) {
		limit = speed / (1000 / QUEUE_MS);
		limit = limit < QUEUE_MIN_BYTES ? QUEUE_MIN_BYTES : limit;
		limit = limit > QUEUE_MAX_BYTES ? QUEUE_MAX_BYTES : limit;
	}
	// RFC 8289, 4.4: below what one frame takes any packet would have waited too long.
	uint64_t target = in_cycles(config->target_ns, tsc_hz);
	uint64_t least = (uint64_t)((__uint128_t)frame * tsc_hz / speed);
	*settings = (struct scheduler_settings){
		.limit = limit,
		.quantum = (uint32_t)frame,
		.ecn = config->ecn,
		.target = target > least ? target : least,
		.interval = in_cycles(config->interval_ns, tsc_hz),
	};
}

// SPDX-License-Identifier: BSD-3-Clause
// Packets for schedulers and queues, which know of them what stands in struct queued.
#ifndef WEIR_TESTS_UNIT_KIT_QUEUED_H
#define WEIR_TESTS_UNIT_KIT_QUEUED_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "switch/checksum.h"
#include "switch/scheduler.h"

#define KIT_HZ 1000000000ull // so that a cycle is a nanosecond
#define KIT_MS (KIT_HZ / 1000)

enum {
	KIT_MTU = 1514,
	KIT_LIMIT = 10 << 20,
};

struct kit_queued {
	struct queued queued;
	uint64_t number; // in its flow
	uint8_t ip[40];
};

static inline struct kit_queued *kit_of(struct queued *q)
{
	return (struct kit_queued *)q;
}

// ecn: the two bits of its IPv4 or IPv6 header.
static inline struct queued *kit_queued(uint32_t flow, uint32_t bytes, uint64_t now, unsigned ecn)
{
	struct kit_queued *k = calloc(1, sizeof(*k));
	k->queued = (struct queued){.since = now,
		.bytes = bytes,
		.packets = 1,
		.buffers = (bytes + 1999) / 2000,
		.flow = flow,
		.class = flow % SCHEDULER_CLASSES,
		.is_ipv6 = flow & 1,
		.ip = k->ip};
	if (flow & 1) {
		k->ip[0] = 0x60;
		k->ip[1] = (uint8_t)(ecn << 4);
	} else {
		k->ip[0] = 0x45;
		k->ip[1] = (uint8_t)ecn;
		k->ip[9] = 17;
		memcpy(k->ip + 12, &flow, sizeof(flow));
		checksum_ipv4_header(k->ip, 20);
	}
	return &k->queued;
}

static inline unsigned kit_ecn(const struct queued *q)
{
	return q->ip[1] >> (q->is_ipv6 ? 4 : 0) & 3;
}

static inline bool kit_checksum_is_right(const struct queued *q)
{
	return q->is_ipv6 || checksum_fold(checksum_sum32(q->ip, 20)) == 0xffff;
}

static inline struct scheduler_settings kit_settings(void)
{
	return (struct scheduler_settings){.limit = KIT_LIMIT,
		.quantum = KIT_MTU,
		.ecn = true,
		.target = 5 * KIT_MS,
		.interval = 100 * KIT_MS};
}

// Of the settings above but for its limit; kit_end.
static inline struct scheduler *kit_scheduler(enum config_scheduler kind, uint64_t limit)
{
	struct scheduler_settings settings = kit_settings();
	settings.limit = limit;
	return scheduler_new(kind, &settings);
}

// Frees a list of lost ones. How many.
static inline unsigned kit_free_lost(struct queued *lost)
{
	unsigned n = 0;
	while (lost) {
		struct queued *next = lost->next;
		free(lost);
		lost = next;
		n++;
	}
	return n;
}

static inline unsigned kit_free_rest(struct scheduler *s)
{
	unsigned n = 0;
	struct queued *q;
	while ((q = scheduler_dequeue(s, 0))) {
		free(q);
		n++;
	}
	return n + kit_free_lost(scheduler_take_lost(s));
}

// Frees it and what is in it. How many packets that were.
static inline unsigned kit_end(struct scheduler *s)
{
	unsigned n = kit_free_rest(s);
	scheduler_free(s);
	return n;
}

#endif

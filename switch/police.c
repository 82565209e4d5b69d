// SPDX-License-Identifier: BSD-3-Clause
#include "switch/police.h"

#include <rte_meter.h>

#include "base/bytes.h"
#include "switch/checksum.h"
#include "switch/rate.h"

// Half a second, or less.
#define BEHIND ((int64_t)1 << (30 + POLICE_TICKS))

void police_compile(
	struct police_profile *profile, const struct config_rate *config, uint64_t tsc_hz)
{
	const __uint128_t second = (__uint128_t)tsc_hz << POLICE_TICKS;
	uint64_t burst = config->burst_bytes;
	if (!burst)
		burst = config->bits / 8 * POLICE_BURST_US / 1000000;
	if (burst < POLICE_BURST_MIN)
		burst = POLICE_BURST_MIN;
	// So many bytes that their period is right to a millionth.
	uint64_t bytes = 1 + config->bits / 8 * 1000000 / (uint64_t)second;
	*profile = (struct police_profile){
		.burst = burst,
		.period = (uint64_t)(second * 8 * bytes / config->bits),
		.bytes = bytes,
		.overhead = rate_overhead(config),
	};
}

// A worker whose round began before another one's is as early as that one. Further behind it can
// only be if the counter was set back.
static uint64_t begin(struct police *police, const struct police_profile *profile, uint64_t now)
{
	int64_t since = (int64_t)(now - police->time);
	if (police->began && since < 0 && -since < BEHIND)
		return police->time;
	if (!police->began || since < 0) {
		police->began = true;
		police->time = now;
		police->committed = police->excess = profile->burst;
	}
	return now;
}

enum police_colour police_colour(
	struct police *police, const struct police_profile *profile, uint64_t tsc, uint32_t bytes)
{
	uint64_t now = begin(police, profile, tsc << POLICE_TICKS);
	// What was left of a larger burst is more than there is room for.
	uint64_t excess = police->excess < profile->burst ? police->excess : profile->burst;
	struct rte_meter_srtcm_profile to = {.cbs = profile->burst,
		.ebs = profile->burst,
		.cir_period = profile->period,
		.cir_bytes_per_period = profile->bytes};
	struct rte_meter_srtcm meter = {
		.time = police->time, .tc = police->committed, .te = excess};
	enum rte_color colour = rte_meter_srtcm_color_blind_check(&meter, &to, now, bytes);
	police->time = meter.time;
	police->committed = meter.tc;
	police->excess = meter.te;
	return (enum police_colour)colour;
}

_Static_assert((int)POLICE_GREEN == RTE_COLOR_GREEN && (int)POLICE_YELLOW == RTE_COLOR_YELLOW &&
		       (int)POLICE_RED == RTE_COLOR_RED,
	"colours are DPDK's");

static uint8_t remarked(uint8_t dscp)
{
	// AFxy is 8 × x + 2 × y, x from 1 to 4.
	bool lowest = (dscp & 7) == 2 && dscp >> 3 >= 1 && dscp >> 3 <= 4;
	return lowest ? dscp + 2 : dscp;
}

static void remark_ipv4(uint8_t *l3)
{
	uint16_t was = load16(l3);
	uint8_t dscp = remarked((was >> 2) & 0x3f);
	const uint8_t before[2] = {l3[0], l3[1]};
	store16(l3, (uint16_t)((was & ~0xfc) | dscp << 2));
	checksum_replace16(l3 + 10, before, l3);
}

static void remark_ipv6(uint8_t *l3)
{
	// Version, eight bits of traffic class, flow label.
	uint16_t was = load16(l3);
	uint8_t dscp = remarked((was >> 6) & 0x3f);
	store16(l3, (uint16_t)((was & ~0x0fc0) | dscp << 6));
}

void police_remark(struct packet *packet)
{
	uint8_t *l3 = packet->data + packet->l3_off;
	if (packet->flags & PACKET_IPV4)
		remark_ipv4(l3);
	else if (packet->flags & PACKET_IPV6)
		remark_ipv6(l3);
}

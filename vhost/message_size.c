// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/message_size.h"

enum {
	U64 = 8,
	STATE = sizeof(struct vhost_vring_state),
	ADDR = sizeof(struct vhost_vring_addr),
	TABLE = 8, // the number of regions, which follow
	LOG = 16,
};

// A request that is not named here has no payload, or is refused.
static const uint8_t due[REQUEST_COUNT] = {
	[SET_FEATURES] = U64,
	[SET_MEM_TABLE] = TABLE,
	[SET_LOG_BASE] = LOG,
	[SET_VRING_NUM] = STATE,
	[SET_VRING_ADDR] = ADDR,
	[SET_VRING_BASE] = STATE,
	[GET_VRING_BASE] = STATE,
	[SET_VRING_KICK] = U64,
	[SET_VRING_CALL] = U64,
	[SET_VRING_ERR] = U64,
	[SET_PROTOCOL_FEATURES] = U64,
	[SET_VRING_ENABLE] = STATE,
	[SEND_RARP] = U64,
	[NET_SET_MTU] = U64,
	[SET_STATUS] = U64,
};

uint32_t message_size_due(const struct message *m)
{
	if (m->request >= REQUEST_COUNT)
		return 0;
	if (m->request != SET_MEM_TABLE || m->size < TABLE)
		return due[m->request];
	uint32_t n = m->payload.memory.nregions;
	// The library refuses more than there can be.
	return TABLE +
	       (n <= MEMORY_REGIONS_MAX ? n : 0) * (uint32_t)sizeof(m->payload.memory.regions[0]);
}

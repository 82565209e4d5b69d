// SPDX-License-Identifier: BSD-3-Clause
// What of headers more than one state machine asks for. Worker.
#ifndef WEIR_CONNTRACK_WIRE_H
#define WEIR_CONNTRACK_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/packet.h"

// Where the IP packet ends, from `data`, as its own header says: a frame may be padded.
static inline uint32_t packet_l3_end(const struct packet *p)
{
	const uint8_t *l3 = p->data + p->l3_off;
	if (p->flags & PACKET_IPV4)
		return p->l3_off + (uint32_t)load16(l3 + 2);
	return p->l3_off + 40u + load16(l3 + 4);
}

// ICMP and ICMPv6 queries come in pairs. False: the message is neither request nor reply.
static inline bool icmp_query(bool v6, uint8_t type, uint8_t *request, bool *reply)
{
	enum {
		ECHO4_REPLY = 0,
		ECHO4 = 8,
		TIMESTAMP = 13,
		MASK_REPLY = 18, // requests are odd, their replies the next: 13 to 18
		ECHO6 = 128,
		ECHO6_REPLY = 129,
	};
	*reply = false;
	*request = type;
	if (v6) {
		*reply = type == ECHO6_REPLY;
		*request = ECHO6;
		return type == ECHO6 || type == ECHO6_REPLY;
	}
	if (type == ECHO4 || type == ECHO4_REPLY) {
		*reply = type == ECHO4_REPLY;
		*request = ECHO4;
		return true;
	}
	if (type < TIMESTAMP || type > MASK_REPLY)
		return false;
	*reply = !(type & 1);
	*request = (uint8_t)(type - *reply);
	return true;
}

// The type of what answers a request.
static inline uint8_t icmp_reply_to(bool v6, uint8_t request)
{
	const uint8_t echo4 = 8, echo4_reply = 0;
	return !v6 && request == echo4 ? echo4_reply : (uint8_t)(request + 1);
}

#endif

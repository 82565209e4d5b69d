// SPDX-License-Identifier: BSD-3-Clause
#include "switch/hold.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "switch/parse.h"

enum {
	// Of packets without which nothing else goes, however they are marked, and of those with
	// neither an IP header nor a tag.
	CLASS_CONTROL = 6,
	// Neighbour discovery (RFC 4861, 4).
	ND_FIRST = 133,
	ND_LAST = 137,
	BODY_MAX = HOLD_BUFFER - offsetof(struct held, body) - sizeof(struct segment),
};

_Static_assert(sizeof(struct held) + (HOLD_BUFFERS_MAX - 1) * sizeof(struct segment) <= HOLD_BUFFER,
	"the segments of the longest frame fit the first buffer");
_Static_assert((HOLD_BUFFERS_MAX - 1) * HOLD_BUFFER >= FRAME_MAX, "so does its payload the others");
_Static_assert(BODY_MAX >= 1514 - STASH_HEADERS, "one buffer holds what most frames are");

struct shape_load hold_load(const struct packet *p)
{
	struct shape_load load = shape_load(p);
	if (p->flags & PACKET_BEGUN) {
		load.packets -= p->segments_gone;
		load.bytes -= (uint64_t)p->segments_gone * (p->payload_off + p->gso_size);
	}
	return load;
}

unsigned hold_buffers(const struct packet *p)
{
	uint32_t body = p->len - p->head_len;
	return body <= BODY_MAX ? 1 : 1 + (body + HOLD_BUFFER - 1) / HOLD_BUFFER;
}

// Where the payload comes from.
struct source {
	const struct segment *at;
	uint32_t off; // into *at
};

static void copy_from(struct source *from, uint8_t *dst, uint32_t n)
{
	while (n) {
		uint32_t run = from->at->len - from->off;
		if (!run) {
			from->at++;
			from->off = 0;
			continue;
		}
		run = run < n ? run : n;
		memcpy(dst, from->at->base + from->off, run);
		from->off += run;
		dst += run;
		n -= run;
	}
}

static void copy_body(struct held *h, const struct packet *p, void *const *buffers)
{
	struct source from = {.at = p->body};
	uint32_t left = p->len - p->head_len;
	unsigned n = hold_buffers(p) - 1;
	h->packet.body = h->body;
	h->packet.nbody = (uint16_t)(left ? n + !n : 0);
	if (!n) {
		uint8_t *dst = (uint8_t *)&h->body[1];
		h->body[0] = (struct segment){dst, left};
		copy_from(&from, dst, left);
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t run = left < HOLD_BUFFER ? left : HOLD_BUFFER;
		copy_from(&from, buffers[i + 1], run);
		h->body[i] = (struct segment){buffers[i + 1], run};
		left -= run;
	}
}

static bool finds_neighbours(const struct packet *p)
{
	const uint16_t icmpv6 = PACKET_IPV6 | PACKET_L4;
	if (p->flags & PACKET_ARP)
		return true;
	return (p->flags & icmpv6) == icmpv6 && p->l4_proto == IPPROTO_ICMPV6 &&
	       p->data[p->l4_off] >= ND_FIRST && p->data[p->l4_off] <= ND_LAST;
}

// The class selector of DSCP (RFC 2474), or the priority of its tag.
static uint8_t class_of(const struct packet *p)
{
	const uint8_t *ip = p->data + p->l3_off;
	if (finds_neighbours(p))
		return CLASS_CONTROL;
	if (p->flags & PACKET_IPV4)
		return ip[1] >> 5;
	if (p->flags & PACKET_IPV6)
		return ip[0] >> 1 & 7;
	return p->vlan_tpid ? (uint8_t)(p->vlan_tci >> 13) : CLASS_CONTROL;
}

struct held *hold_copy(const struct packet *p, void *const *buffers, const uint64_t flow_secret[2])
{
	struct held *h = buffers[0];
	struct shape_load load = hold_load(p);
	h->packet = *p;
	// A tag that was pushed meanwhile stands in the headroom; there it may be popped again.
	uint8_t *end = h->stash + STASH_SIZE;
	h->packet.data = p->head_len > STASH_HEADERS ? end - p->head_len
						     : h->stash + STASH_HEADROOM;
	memcpy(h->packet.data, p->data, p->head_len);
	copy_body(h, p, buffers);
	h->queued = (struct queued){
		.bytes = (uint32_t)load.bytes,
		.packets = (uint32_t)load.packets,
		.buffers = hold_buffers(p),
		.flow = packet_flow_keyed(p, flow_secret),
		.is_ipv6 = (p->flags & PACKET_IPV6) != 0,
		.class = class_of(p),
	};
	if (p->flags & (PACKET_IPV4 | PACKET_IPV6))
		h->queued.ip = h->packet.data + p->l3_off;
	return h;
}

unsigned hold_list(struct held *h, void **buffers)
{
	unsigned n = h->queued.buffers;
	buffers[0] = h;
	for (unsigned i = 1; i < n; i++)
		buffers[i] = (void *)(uintptr_t)h->packet.body[i - 1].base;
	return n;
}

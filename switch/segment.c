// SPDX-License-Identifier: BSD-3-Clause
#include "switch/segment.h"

#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "switch/checksum.h"
#include "switch/offload.h"

#define FEATURE(bit) (1ull << (bit))

// Whether the receiver takes the TSO frame as it is.
static bool takes_tso(const struct packet *p, uint64_t features)
{
	uint64_t needed = FEATURE(VIRTIO_NET_F_GUEST_CSUM);
	needed |= p->offload & OFFLOAD_TSO4 ? FEATURE(VIRTIO_NET_F_GUEST_TSO4)
					    : FEATURE(VIRTIO_NET_F_GUEST_TSO6);
	if (p->offload & OFFLOAD_ECN)
		needed |= FEATURE(VIRTIO_NET_F_GUEST_ECN);
	return (features & needed) == needed;
}

// Behind the segments that have gone before.
static void go_on(struct segmenter *s)
{
	const struct packet *p = s->packet;
	uint32_t stashed = p->head_len - p->payload_off;
	s->index = p->segments_gone;
	s->offset = (uint32_t)p->segments_gone * p->gso_size;
	s->body_off = s->offset > stashed ? s->offset - stashed : 0;
}

static enum drop_reason begin_tso(struct segmenter *s, uint64_t features, uint16_t mtu)
{
	const struct packet *p = s->packet;
	if ((uint32_t)(p->payload_off - p->l3_off) + p->gso_size > mtu)
		return DROP_TO_VM_MTU;
	if (takes_tso(p, features) && !(p->flags & PACKET_BEGUN))
		return DROP_NONE;
	if (p->gso_size < SEGMENT_GSO_MIN)
		return DROP_SEGMENT_FAILED;
	s->in_software = true;
	s->count = (p->len - p->payload_off + p->gso_size - 1) / p->gso_size;
	if (p->flags & PACKET_BEGUN)
		go_on(s);
	return DROP_NONE;
}

enum drop_reason segment_begin(
	struct segmenter *s, const struct packet *p, uint64_t receiver_features, uint16_t mtu)
{
	s->packet = p;
	s->body = p->body;
	s->body_off = 0;
	s->offset = 0;
	s->count = 1;
	s->index = 0;
	s->guest_csum = receiver_features & FEATURE(VIRTIO_NET_F_GUEST_CSUM);
	s->in_software = false;
	if (p->offload & OFFLOAD_TSO)
		return begin_tso(s, receiver_features, mtu);
	return p->len - p->l3_off > mtu ? DROP_TO_VM_MTU : DROP_NONE;
}

uint32_t segment_count(const struct segmenter *s)
{
	return s->count;
}

static uint16_t checksum_offset(const struct packet *p)
{
	return p->l4_proto == IPPROTO_TCP ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET;
}

static void ask_for_checksum(const struct packet *p, struct frame *frame)
{
	frame->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame->vnet.csum_start = p->l4_off;
	frame->vnet.csum_offset = checksum_offset(p);
}

// Lets the copy complete the checksum of a frame whose head is private.
static void complete_checksum(const struct packet *p, struct frame *frame)
{
	uint32_t l4_len = frame->head_len + frame->body_len - p->l4_off;
	frame->csum_start = p->l4_off;
	frame->csum_at = p->l4_off + checksum_offset(p);
	frame->csum_init = checksum_pseudo(p, frame->head, l4_len);
	frame->csum_udp = p->l4_proto == IPPROTO_UDP;
	memset(frame->head + frame->csum_at, 0, 2);
}

// The frame as it came, but for its checksum.
static void whole_frame(struct segmenter *s, struct frame *frame)
{
	const struct packet *p = s->packet;
	frame->head = p->data;
	frame->head_len = p->head_len;
	frame->body = p->body;
	frame->body_len = p->len - p->head_len;
	if (!p->offload)
		return;
	if (p->offload & OFFLOAD_CSUM_PARTIAL) {
		if (!s->guest_csum) {
			memcpy(s->head, p->data, p->head_len);
			frame->head = s->head;
			complete_checksum(p, frame);
			return;
		}
		ask_for_checksum(p, frame);
	} else if (p->offload & OFFLOAD_CSUM_VALID && s->guest_csum) {
		frame->vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	if (p->offload & OFFLOAD_TSO) {
		frame->vnet.gso_type = p->offload & OFFLOAD_TSO4 ? VIRTIO_NET_HDR_GSO_TCPV4
								 : VIRTIO_NET_HDR_GSO_TCPV6;
		if (p->offload & OFFLOAD_ECN)
			frame->vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		frame->vnet.gso_size = p->gso_size;
		frame->vnet.hdr_len = p->payload_off;
	}
}

// The segment's bytes: headers, then the payload from offset on, of which the first may stand in
// the stash.
static void cut(struct segmenter *s, struct frame *frame, uint32_t len)
{
	const struct packet *p = s->packet;
	uint32_t stashed = p->head_len - p->payload_off;
	uint32_t in_head = 0;
	memcpy(s->head, p->data, p->payload_off);
	if (s->offset < stashed) {
		in_head = len < stashed - s->offset ? len : stashed - s->offset;
		memcpy(s->head + p->payload_off, p->data + p->payload_off + s->offset, in_head);
	}
	frame->head = s->head;
	frame->head_len = p->payload_off + in_head;
	frame->body_len = len - in_head;
	// Walked along with the segments, so that a scattered frame is not walked once for each.
	while (frame->body_len && s->body_off >= s->body->len)
		s->body_off -= s->body++->len;
	frame->body = s->body;
	frame->body_off = s->body_off;
	s->body_off += frame->body_len;
}

// Each segment is a packet of its own (RFC 791, 3.2; RFC 6864 for the identification).
static void number_l3(struct segmenter *s, uint32_t frame_len)
{
	const struct packet *p = s->packet;
	uint8_t *l3 = s->head + p->l3_off;
	uint32_t total = frame_len - p->l3_off;
	if (p->flags & PACKET_IPV4) {
		store16(l3 + 2, (uint16_t)total);
		store16(l3 + 4, (uint16_t)(load16(l3 + 4) + s->index));
		checksum_ipv4_header(l3, (l3[0] & 0xf) * 4u);
	} else {
		store16(l3 + 4, (uint16_t)(total - 40));
	}
}

// RFC 9293, 3.4; FIN and PSH speak of the last byte, CWR of the first (RFC 3168, 6.1.2).
static void number_tcp(struct segmenter *s, bool last)
{
	uint8_t *tcp = s->head + s->packet->l4_off;
	store32(tcp + 4, load32(tcp + 4) + s->offset);
	if (!last)
		tcp[TCP_FLAGS_OFFSET] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (s->index)
		tcp[TCP_FLAGS_OFFSET] &= (uint8_t)~TCP_CWR;
}

static void one_segment(struct segmenter *s, struct frame *frame)
{
	const struct packet *p = s->packet;
	uint32_t left = p->len - p->payload_off - s->offset;
	uint32_t len = left < p->gso_size ? left : p->gso_size;
	uint32_t frame_len = p->payload_off + len;
	cut(s, frame, len);
	number_l3(s, frame_len);
	number_tcp(s, len == left);
	if (s->guest_csum) {
		uint16_t pseudo = checksum_pseudo(p, s->head, frame_len - p->l4_off);
		memcpy(s->head + p->l4_off + TCP_CSUM_OFFSET, &pseudo, sizeof(pseudo));
		ask_for_checksum(p, frame);
	} else {
		complete_checksum(p, frame);
	}
	s->offset += len;
}

int segment_next(struct segmenter *s, struct frame *frame)
{
	if (s->index == s->count)
		return 0;
	memset(frame, 0, sizeof(*frame));
	if (s->in_software)
		one_segment(s, frame);
	else
		whole_frame(s, frame);
	s->index++;
	return 1;
}

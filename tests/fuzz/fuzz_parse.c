// SPDX-License-Identifier: BSD-3-Clause
// Any frame with any offload claim: parsed, held against a port's addresses, tagged, untagged and
// cut for any receiver, on exact heap copies. Sanitizers see wrong accesses; the checks here,
// broken promises of parse.h, guard_check.h, segment.h and ring.h.
//
// Input: 12 bytes of what is not the frame (see struct input), then the frame.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

#include "switch/guard_check.h"
#include "switch/parse.h"
#include "switch/segment.h"

struct input {
	uint8_t offload;
	uint8_t head_len; // of the stash, at most STASH_HEADERS
	uint8_t gso_size[2];
	uint8_t csum_start; // 0: as a good sender sets it for IPv4
	uint8_t csum_offset;
	uint8_t features;
	uint8_t piece; // bytes in each segment of the body
	uint8_t grow;  // the frame's end is repeated up to this many times
	uint8_t mtu;
	uint8_t tci[2];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_parsed(const struct packet *p, uint32_t len)
{
	check(p->len <= len && p->head_len <= p->len);
	check(p->l3_off >= FRAME_MIN && p->l3_off <= p->head_len);
	check(p->l4_off >= p->l3_off && p->payload_off >= p->l4_off);
	check(p->payload_off <= p->head_len);
	check(!(p->flags & PACKET_L4) || p->payload_off >= p->l4_off + 8);
	check(!(p->flags & PACKET_L4) || !(p->flags & PACKET_LATER_FRAGMENT));
	check(!(p->offload & OFFLOAD_TSO) || p->offload & OFFLOAD_CSUM_PARTIAL);
	check(!(p->offload & OFFLOAD_TSO) || p->len - p->payload_off > p->gso_size);
	check(!(p->offload & OFFLOAD_CSUM_PARTIAL) || p->flags & PACKET_L4);
	check(!(p->offload & (OFFLOAD_CSUM_VALID | OFFLOAD_UNKNOWN_GSO)));
}

// Reads each byte of a frame the way a copy does.
static uint32_t walk(const struct frame *frame, const struct packet *p)
{
	uint32_t sum = 0, left = frame->body_len, skip = frame->body_off;
	const struct segment *end = p->body + p->nbody;
	for (uint32_t i = 0; i < frame->head_len; i++)
		sum += frame->head[i];
	for (const struct segment *s = frame->body; left; s++) {
		check(s < end && skip < s->len);
		uint32_t n = s->len - skip < left ? s->len - skip : left;
		for (uint32_t i = 0; i < n; i++)
			sum += s->base[skip + i];
		left -= n;
		skip = 0;
	}
	return sum;
}

static void check_frames(struct packet *p, uint64_t features, uint16_t mtu)
{
	static struct segmenter s;
	struct packet before = *p;
	if (segment_begin(&s, p, features, mtu) != DROP_NONE)
		return;
	uint32_t n = 0, payload = 0;
	volatile uint32_t sum = 0;
	struct frame frame;
	while (segment_next(&s, &frame)) {
		check(frame.head_len >= p->payload_off);
		check(!frame.csum_at || frame.head != p->data);
		check(!frame.csum_at || frame.csum_at + 2u <= frame.head_len);
		check(!frame.csum_at ||
			(!frame.head[frame.csum_at] && !frame.head[frame.csum_at + 1]));
		check(frame.head_len + frame.body_len - p->l3_off <= mtu ||
			frame.vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE);
		payload += frame.head_len + frame.body_len - p->payload_off;
		sum = sum + walk(&frame, p);
		n++;
	}
	check(n == segment_count(&s) && n >= 1 && n <= 1 + 65535 / SEGMENT_GSO_MIN);
	check(payload == p->len - p->payload_off);
	check(!memcmp(&before, p, sizeof(before)));
}

static struct guard guard_of(const uint8_t *mac, const uint8_t *v4, const uint8_t *v6)
{
	struct config_addresses addresses = {0};
	if (mac)
		memcpy(addresses.mac, mac, 6);
	if (v4) {
		addresses.nips = 2;
		addresses.ips[0] = (struct config_prefix){AF_INET, 32, {0}};
		addresses.ips[1] = (struct config_prefix){AF_INET6, 128, {0}};
		memcpy(addresses.ips[0].address, v4, 4);
		memcpy(addresses.ips[1].address, v6, 16);
	}
	struct guard guard;
	guard_compile(&guard, &addresses);
	return guard;
}

// The addresses that the frame has are a port's, and then they are not.
static void check_guard(const struct packet *p)
{
	static const uint8_t v4[4] = {10, 0, 0, 1}, v6[16] = {0xfd, [15] = 1}, mac[6] = {2, 1};
	const uint8_t *l3 = p->data + p->l3_off;
	const uint8_t *source4 = p->flags & PACKET_IPV4 ? l3 + 12 : v4;
	const uint8_t *source6 = p->flags & PACKET_IPV6 ? l3 + 8 : v6;
	struct guard own = guard_of(p->data + 6, source4, source6);
	enum drop_reason reason = guard_check(&own, p);
	check(reason != DROP_SPOOFED_MAC && reason != DROP_SPOOFED_IP);
	struct guard other = guard_of(mac, NULL, NULL);
	reason = guard_check(&other, p);
	check((reason == DROP_SPOOFED_MAC) == !!memcmp(p->data + 6, mac, 6));
	other = guard_of(NULL, v4, v6);
	reason = guard_check(&other, p);
	if (reason != DROP_NONE)
		return;
	check(!(p->flags & PACKET_IPV4) || !memcmp(l3 + 12, v4, 4) ||
		!memcmp(l3 + 12, (uint8_t[4]){0}, 4));
	check(!(p->flags & PACKET_IPV6) || !memcmp(l3 + 8, v6, 16) || l3[8] == 0xfe ||
		!memcmp(l3 + 8, (uint8_t[16]){0}, 16));
	check(p->ether_type != ETH_P_ARP || !memcmp(l3 + 14, v4, 4) || !memcmp(l3 + 24, v4, 4));
}

static void exercise(struct packet *p, const struct input *in)
{
	uint64_t features = (uint64_t)in->features << 1 & 0xff;
	features |= in->features & 0x80 ? 1ull << VIRTIO_NET_F_GUEST_TSO6 : 0;
	features |= in->features & 1 ? 1ull << VIRTIO_NET_F_GUEST_ECN : 0;
	uint16_t mtu = in->mtu ? (uint16_t)(in->mtu * 257) : 1500;
	uint16_t tci = (uint16_t)(in->tci[0] << 8 | in->tci[1]);
	uint32_t len = p->len;
	parse_packet(p);
	if (p->verdict == VERDICT_DROP) {
		check(p->drop != DROP_NONE);
		return;
	}
	check_parsed(p, len);
	check_guard(p);
	check_frames(p, features, mtu);
	len = p->len - (p->flags & PACKET_TAGGED ? 4 : 0);
	packet_set_tag(p, 0x8100, tci);
	check(p->len == len + 4);
	check_parsed(p, p->len);
	check_frames(p, features, mtu);
	packet_set_tag(p, 0, 0);
	check(p->len == len);
	check_parsed(p, p->len);
	check_frames(p, ~features, mtu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;
	static struct segment segments[FRAME_MAX];
	if (size < sizeof(in) + FRAME_MIN)
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	if (size > 2048)
		size = 2048;

	uint32_t len = (uint32_t)size;
	uint8_t *whole = malloc(size * (in.grow + 1u));
	memcpy(whole, data, size);
	for (unsigned i = 0; i < in.grow && len + size <= FRAME_MAX; i++, len += (uint32_t)size)
		memcpy(whole + len, data, size);
	uint32_t head_len = in.head_len < FRAME_MIN ? STASH_HEADERS : in.head_len;
	if (head_len > STASH_HEADERS)
		head_len = STASH_HEADERS;
	if (head_len > len)
		head_len = len;
	uint8_t *block = malloc(STASH_HEADROOM + head_len);
	memcpy(block + STASH_HEADROOM, whole, head_len);

	struct packet p = {.data = block + STASH_HEADROOM,
		.body = segments,
		.len = len,
		.head_len = (uint16_t)head_len,
		.offload = in.offload & 0x3f,
		.gso_size = (uint16_t)(in.gso_size[0] << 8 | in.gso_size[1]),
		.csum_start = in.csum_start ? in.csum_start : 34,
		.csum_offset = in.csum_offset};
	uint32_t piece = in.piece ? in.piece * 8u : len;
	for (uint32_t off = head_len; off < len; off += piece) {
		uint32_t n = len - off < piece ? len - off : piece;
		uint8_t *copy = malloc(n);
		memcpy(copy, whole + off, n);
		segments[p.nbody++] = (struct segment){copy, n};
	}
	exercise(&p, &in);

	for (unsigned i = 0; i < p.nbody; i++)
		free((void *)segments[i].base);
	free(block);
	free(whole);
	return 0;
}

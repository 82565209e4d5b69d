// SPDX-License-Identifier: BSD-3-Clause
// Frames that are none, and virtio-net headers that contradict them. The descriptors are sound.
#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "tests/hostile/attack.h"

enum {
	ETH = 14,
	IP4 = 20,
	IP6 = 40,
	TCP = 20,
	UDP = 8,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17
};

static void put_u16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t checksum(const uint8_t *at, size_t n)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static size_t put_ethernet(struct rng *rng, uint8_t *at, const uint8_t *source, unsigned type)
{
	memset(at, 0xff, 6);
	memcpy(at + 6, source, 6);
	put_u16(at + 12, type);
	// Sometimes a priority tag, which names no VLAN.
	if (rng_below(rng, 8))
		return ETH;
	put_u16(at + 12, 0x8100);
	put_u16(at + 14, 0x2000);
	put_u16(at + 16, type);
	return ETH + 4;
}

static size_t put_ip(uint8_t *at, bool v6, unsigned protocol, size_t payload)
{
	memset(at, 0, v6 ? IP6 : IP4);
	if (v6) {
		at[0] = 0x60;
		put_u16(at + 4, payload);
		at[6] = (uint8_t)protocol;
		at[7] = 64;
		at[8] = at[24] = 0xfd;
		at[23] = 1;
		at[39] = 2;
		return IP6;
	}
	at[0] = 0x45;
	put_u16(at + 2, IP4 + payload);
	at[8] = 64;
	at[9] = (uint8_t)protocol;
	put_u16(at + 12, 0x0a00);
	put_u16(at + 14, 1);
	put_u16(at + 16, 0x0a00);
	put_u16(at + 18, 2);
	put_u16(at + 10, checksum(at, IP4));
	return IP4;
}

size_t frame_sound(struct rng *rng, uint8_t *frame, const uint8_t *source)
{
	bool v6 = rng_one_in(rng, 2), tcp = rng_one_in(rng, 2);
	size_t l4 = tcp ? TCP : UDP;
	size_t payload = rng_below(rng, rng_one_in(rng, 4) ? 1400 : 100);
	size_t n = put_ethernet(rng, frame, source, v6 ? 0x86dd : 0x0800);
	n += put_ip(frame + n, v6, tcp ? PROTOCOL_TCP : PROTOCOL_UDP, l4 + payload);
	memset(frame + n, 0, l4);
	put_u16(frame + n, 1000 + rng_below(rng, 100));
	put_u16(frame + n + 2, 80);
	if (tcp)
		frame[n + 12] = TCP / 4 << 4;
	else
		put_u16(frame + n + 4, UDP + payload);
	memset(frame + n + l4, 0x5a, payload);
	return n + l4 + payload;
}

static void put(struct attack *a, const void *vnet, const uint8_t *frame, size_t n)
{
	guest_put(a->guest, FIRST, vnet, frame, n);
}

// --- frames --------------------------------------------------------------------------------------

void frame_noise(struct attack *a)
{
	uint8_t frame[FRAME_SIZE_MAX];
	size_t n = 14 + rng_below(a->rng, FRAME_SIZE_MAX - 14);
	rng_fill(a->rng, frame, n);
	put(a, NULL, frame, n);
}

void frame_broken(struct attack *a)
{
	uint8_t frame[FRAME_SIZE_MAX];
	size_t n = frame_sound(a->rng, frame, a->guest->mac);
	size_t headers = n < 96 ? n : 96;
	for (unsigned i = 1 + rng_below(a->rng, 4); i; i--)
		frame[rng_below(a->rng, (uint32_t)headers)] = (uint8_t)rng_next(a->rng);
	// Cut, so that lengths in the headers speak of more than is there.
	if (rng_one_in(a->rng, 3))
		n = 14 + rng_below(a->rng, (uint32_t)n - 13);
	put(a, NULL, frame, n);
}

void frame_short(struct attack *a)
{
	uint8_t frame[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1};
	put(a, NULL, frame, rng_below(a->rng, 14));
}

void frame_too_long(struct attack *a)
{
	enum {
		PIECES = 33 // of 2 KiB: longer than any IP packet
	};
	for (unsigned i = 0; i < PIECES; i++)
		attack_desc(a, i, buffer_addr(FROM_VM, FIRST + i), BUFFER_SIZE,
			i + 1 < PIECES ? VRING_DESC_F_NEXT : 0, FIRST + i + 1);
}

void frame_group_source(struct attack *a)
{
	uint8_t frame[FRAME_SIZE_MAX];
	size_t n = frame_sound(a->rng, frame, a->guest->mac);
	frame[6] |= 1;
	put(a, NULL, frame, n);
}

// --- headers -------------------------------------------------------------------------------------

void header_noise(struct attack *a)
{
	uint8_t frame[FRAME_SIZE_MAX], vnet[VNET_SIZE];
	rng_fill(a->rng, vnet, sizeof(vnet));
	put(a, vnet, frame, frame_sound(a->rng, frame, a->guest->mac));
}

static void put_lie(struct attack *a, struct virtio_net_hdr_mrg_rxbuf h, uint8_t *frame, size_t n)
{
	h.num_buffers = (uint16_t)rng_edge(a->rng);
	put(a, &h, frame, n);
}

void header_checksum(struct attack *a)
{
	uint8_t frame[FRAME_SIZE_MAX];
	size_t n = frame_sound(a->rng, frame, a->guest->mac);
	struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	h.hdr.csum_start = rng_one_in(a->rng, 2) ? (uint16_t)rng_below(a->rng, 80)
						 : (uint16_t)rng_edge(a->rng);
	h.hdr.csum_offset = rng_one_in(a->rng, 2) ? 16 : (uint16_t)rng_edge(a->rng);
	put_lie(a, h, frame, n);
}

void header_segmentation(struct attack *a)
{
	static const uint8_t types[] = {VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6,
		VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 77};
	uint8_t frame[FRAME_SIZE_MAX];
	size_t n = frame_sound(a->rng, frame, a->guest->mac);
	struct virtio_net_hdr_mrg_rxbuf h = {
		.hdr = {.flags = rng_below(a->rng, 4) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
			.gso_type = types[rng_below(a->rng, sizeof(types))],
			.hdr_len = (uint16_t)rng_edge(a->rng),
			.gso_size = (uint16_t)rng_edge(a->rng),
			.csum_start = (uint16_t)(rng_below(a->rng, 4) ? 34 : rng_edge(a->rng)),
			.csum_offset = 16}};
	put_lie(a, h, frame, n);
}

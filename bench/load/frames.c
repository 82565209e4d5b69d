// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/frames.h"

#include <netinet/in.h>

enum {
	ETHER = 14,
	IP = 20,
	TCP = 20,
	UDP = 8
};

const uint8_t imix_order[IMIX_CYCLE] = {0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0};
const uint32_t imix_sizes[FRAME_SIZES] = {64, 576, 1500};

void frame_mac(uint8_t mac[6], uint8_t port, uint32_t index)
{
	const uint8_t bytes[6] = {
		0x02, 0x57, port, (uint8_t)(index >> 16), (uint8_t)(index >> 8), (uint8_t)index};
	memcpy(mac, bytes, sizeof(bytes));
}

void frame_teach(uint8_t *at, uint8_t port, uint32_t mac)
{
	memset(at, 0, FRAME_HEAD);
	memset(at, 0xff, 6);
	frame_mac(at + 6, port, mac);
	put16(at + 12, htons(ETHER_TYPE_TEACH));
}

bool frame_teaches(const uint8_t *head)
{
	return get16(head + 12) == htons(ETHER_TYPE_TEACH);
}

uint32_t sum_words(const uint8_t *at, uint32_t n)
{
	uint64_t sum = 0;
	uint32_t i;
	for (i = 0; i + 2 <= n; i += 2)
		sum += get16(at + i);
	if (i < n)
		sum += at[i];
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

uint32_t pattern_fill(uint8_t *at, uint32_t n, uint16_t seed)
{
	uint32_t pos;
	for (pos = 0; pos + 2 <= n; pos += 2)
		put16(at + pos, pattern_word(seed, pos));
	if (pos < n)
		at[pos] = (uint8_t)pattern_word(seed, pos);
	return sum_words(at, n);
}

bool pattern_holds(const uint8_t *at, uint32_t n, uint32_t pos, uint16_t seed)
{
	for (uint32_t i = 0; i < n; i++, pos++) {
		uint16_t word = pattern_word(seed, pos & ~1u);
		if (at[i] != (uint8_t)(pos & 1 ? word >> 8 : word))
			return false;
	}
	return true;
}

static void put32(uint8_t *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, sizeof(v));
}

// All but the L4 header's own fields. total: of the IP packet.
static void init_template(
	struct frame_template *t, struct frame_ends ends, uint8_t proto, uint32_t total)
{
	uint8_t *ip = t->head + ETHER;
	uint8_t *l4 = ip + IP;
	frame_mac(t->head, ends.to, 0);
	frame_mac(t->head + 6, ends.from, 0);
	put16(t->head + 12, htons(0x0800));
	ip[0] = 0x45;
	put16(ip + 2, htons((uint16_t)total));
	ip[8] = 64;
	ip[9] = proto;
	ip[12] = ip[16] = 10;
	ip[13] = ends.from;
	ip[17] = ends.to;
	t->ip_sum = sum_words(ip, IP);
	t->client_at = (uint16_t)(ETHER + IP + (ends.reply ? 2 : 0));
	put16(l4 + (ends.reply ? 0 : 2), htons(FRAME_SERVER_PORT));
}

static void init_tcp(struct frame_template *t, const struct frame_segment *segment, uint32_t total)
{
	uint8_t *ip = t->head + ETHER;
	uint8_t *tcp = ip + IP;
	put32(tcp + 4, segment->sequence);
	put32(tcp + 8, segment->acknowledgement);
	tcp[12] = TCP / 4 << 4;
	tcp[13] = segment->flags;
	put16(tcp + 14, htons(0xffff));
	t->tag_at = ETHER + IP + TCP;
	t->tag_words = segment->data ? sizeof(struct frame_tag) / 2 : 0;
	t->l4_sum = sum_words(ip + 12, 8) + htons(IPPROTO_TCP) + htons((uint16_t)(total - IP)) +
		    sum_words(tcp, TCP);
}

void frame_template_init(struct frame_template *t, struct frame_ends ends, bool tcp, uint32_t len)
{
	// In the middle of a conversation.
	static const struct frame_segment middle = {
		.flags = 0x18, .sequence = 1, .acknowledgement = 1, .data = true};
	uint32_t total = len - ETHER;
	*t = (struct frame_template){.len = len};
	init_template(t, ends, tcp ? IPPROTO_TCP : IPPROTO_UDP, total);
	if (tcp) {
		init_tcp(t, &middle, total);
		return;
	}
	put16(t->head + ETHER + IP + 4, htons((uint16_t)(total - IP)));
	t->tag_at = ETHER + IP + UDP;
}

void frame_template_tos(struct frame_template *t, uint8_t tos)
{
	t->head[ETHER + 1] = tos;
	t->ip_sum = sum_words(t->head + ETHER, IP);
}

void frame_segment_init(
	struct frame_template *t, struct frame_ends ends, const struct frame_segment *segment)
{
	uint32_t total = IP + TCP + (segment->data ? sizeof(struct frame_tag) : 0);
	*t = (struct frame_template){.len = FRAME_HEAD};
	init_template(t, ends, IPPROTO_TCP, total);
	init_tcp(t, segment, total);
}

bool frame_head_holds(const uint8_t *head, uint32_t len, uint8_t to)
{
	const uint8_t *ip = head + ETHER;
	uint32_t total = ntohs(get16(ip + 2));
	if (head[0] != 0x02 || head[1] != 0x57 || head[2] != to || ip[17] != to || ip[0] != 0x45)
		return false;
	if (ETHER + total > len || (ETHER + total != len && len != FRAME_HEAD) ||
		sum_fold(sum_words(ip, IP)) != 0xffff)
		return false;
	if (len != FRAME_HEAD || ip[9] != IPPROTO_TCP)
		return true;
	uint32_t sum = sum_words(ip + 12, 8) + htons(IPPROTO_TCP) + htons((uint16_t)(total - IP)) +
		       sum_words(ip + IP, total - IP);
	return sum_fold(sum) == 0xffff;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_wire.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

void wire_store16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint16_t wire_load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint8_t *append(struct wire *w, uint32_t len)
{
	uint8_t *at = w->bytes + w->len;
	memset(at, 0, len);
	w->len += len;
	return at;
}

void wire_ethernet(struct wire *w)
{
	static const uint8_t macs[] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1};
	w->len = 0;
	w->version = 0;
	memcpy(append(w, 14), macs, sizeof(macs));
	w->type_at = 12;
	w->l3 = w->l4 = w->payload = 14;
}

void wire_type(struct wire *w, uint16_t ether_type)
{
	wire_store16(w->bytes + w->type_at, ether_type);
}

void wire_tag(struct wire *w, uint16_t tpid, uint16_t tci)
{
	wire_type(w, tpid);
	wire_store16(append(w, 4), tci);
	w->type_at = w->len - 2;
	w->l3 = w->l4 = w->payload = (uint16_t)w->len;
}

void wire_ipv4(struct wire *w, uint32_t options)
{
	wire_type(w, 0x0800);
	w->l3 = (uint16_t)w->len;
	uint8_t *ip = append(w, 20 + options);
	ip[0] = (uint8_t)(0x45 + options / 4);
	wire_store16(ip + 4, 0xfffe); // the identification wraps within a few segments
	ip[6] = 0x40;
	ip[8] = 64;
	memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	memset(ip + 20, 1, options);
	w->next_at = w->l3 + 9u;
	w->l4 = w->payload = (uint16_t)w->len;
	w->version = 4;
}

void wire_ipv6(struct wire *w)
{
	wire_type(w, 0x86dd);
	w->l3 = (uint16_t)w->len;
	uint8_t *ip = append(w, 40);
	ip[0] = 0x60;
	ip[6] = 59;
	ip[7] = 64;
	memcpy(ip + 8, "\xfd\0\0\0\0\0\0\0\xff\xff\xee\xee\xdd\xdd\0\1", 16);
	memcpy(ip + 24, "\xfd\0\0\0\0\0\0\0\xff\xff\xee\xee\xdd\xdd\0\2", 16);
	w->next_at = w->l3 + 6u;
	w->l4 = w->payload = (uint16_t)w->len;
	w->version = 6;
}

void wire_extension(struct wire *w, uint8_t type, uint32_t len)
{
	w->bytes[w->next_at] = type;
	w->next_at = w->len;
	uint8_t *ext = append(w, len);
	ext[0] = 59;
	ext[1] = (uint8_t)(type == IPPROTO_AH         ? len / 4 - 2
			   : type == IPPROTO_FRAGMENT ? 0
						      : len / 8 - 1);
	w->l4 = w->payload = (uint16_t)w->len;
}

void wire_l4(struct wire *w, uint8_t proto, uint32_t len)
{
	w->bytes[w->next_at] = proto;
	w->l4 = (uint16_t)w->len;
	append(w, len);
	w->payload = (uint16_t)w->len;
}

void wire_tcp(struct wire *w, uint32_t options)
{
	wire_l4(w, IPPROTO_TCP, 20 + options);
	uint8_t *tcp = w->bytes + w->l4;
	// The sequence number wraps within a few segments.
	memcpy(tcp, "\x9c\x40\x00\x50\xff\xff\xf0\x01\x01\x02\x03\x04", 12);
	tcp[12] = (uint8_t)((5 + options / 4) << 4);
	tcp[13] = 0x10;
	wire_store16(tcp + 14, 512);
	memset(tcp + 20, 1, options);
}

void wire_udp(struct wire *w)
{
	wire_l4(w, IPPROTO_UDP, 8);
	memcpy(w->bytes + w->l4, "\x9c\x41\x00\x35", 4);
}

void wire_payload(struct wire *w, uint32_t len)
{
	uint8_t *at = append(w, len);
	for (uint32_t i = 0; i < len; i++)
		at[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
}

uint16_t wire_checksum(const uint8_t *at, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t wire_pseudo(const uint8_t *l3, uint8_t proto, uint32_t l4_len)
{
	uint32_t from = l3[0] >> 4 == 4 ? 12 : 8, to = l3[0] >> 4 == 4 ? 20 : 40;
	uint32_t sum = proto + (l4_len >> 16) + (l4_len & 0xffff);
	for (uint32_t i = from; i < to; i += 2)
		sum += wire_load16(l3 + i);
	return sum;
}

void wire_finish(struct wire *w)
{
	uint8_t *l3 = w->bytes + w->l3, *l4 = w->bytes + w->l4;
	uint32_t l4_len = w->len - w->l4;
	uint8_t proto = w->bytes[w->next_at];
	if (w->version == 4) {
		wire_store16(l3 + 2, (uint16_t)(w->len - w->l3));
		wire_store16(l3 + 10, 0);
		wire_store16(l3 + 10, wire_checksum(l3, (l3[0] & 15u) * 4, 0));
	} else {
		wire_store16(l3 + 4, (uint16_t)(w->len - w->l3 - 40));
	}
	uint32_t at = proto == IPPROTO_TCP ? 16 : 6;
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || l4_len < at + 2)
		return;
	if (proto == IPPROTO_UDP)
		wire_store16(l4 + 4, (uint16_t)l4_len);
	wire_store16(l4 + at, 0);
	uint16_t check = wire_checksum(l4, l4_len, wire_pseudo(l3, proto, l4_len));
	wire_store16(l4 + at, check || proto == IPPROTO_TCP ? check : 0xffff);
}

void parcel_load(struct parcel *parcel, const uint8_t *bytes, uint32_t len, uint32_t head_len,
	uint32_t piece)
{
	if (head_len > len)
		head_len = len;
	struct packet *p = &parcel->packet;
	memset(p, 0xa5, sizeof(*p)); // parse_packet sets what it promises
	parcel->block = malloc(STASH_HEADROOM + head_len);
	memset(parcel->block, 0xa5, STASH_HEADROOM);
	memcpy(parcel->block + STASH_HEADROOM, bytes, head_len);
	p->data = parcel->block + STASH_HEADROOM;
	p->len = len;
	p->head_len = (uint16_t)head_len;
	p->verdict = VERDICT_NONE;
	p->drop = DROP_NONE;
	p->offload = 0;
	p->gso_size = p->hdr_len = p->csum_start = p->csum_offset = 0;
	p->nbody = 0;
	uint32_t body = len - head_len;
	if (!piece)
		piece = body ? body : 1;
	parcel->segments = calloc((body + piece - 1) / piece + 1, sizeof(struct segment));
	p->body = parcel->segments;
	for (uint32_t off = head_len; off < len; off += piece) {
		uint32_t n = len - off < piece ? len - off : piece;
		uint8_t *copy = malloc(n);
		memcpy(copy, bytes + off, n);
		parcel->segments[p->nbody++] = (struct segment){copy, n};
	}
}

void parcel_free(struct parcel *parcel)
{
	for (unsigned i = 0; i < parcel->packet.nbody; i++)
		free((void *)parcel->segments[i].base);
	free(parcel->segments);
	free(parcel->block);
}

static void complete(const struct frame *frame, uint8_t *out, uint32_t len)
{
	uint64_t sum = frame->csum_init;
	for (uint32_t i = frame->csum_start; i < len; i += 2) {
		uint16_t word = 0; // in memory order; an odd last byte is padded with zero
		memcpy(&word, out + i, i + 1 < len ? 2 : 1);
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	uint16_t check = (uint16_t)~sum;
	if (!check && frame->csum_udp)
		check = 0xffff;
	memcpy(out + frame->csum_at, &check, 2);
}

uint32_t frame_assemble(const struct frame *frame, uint8_t *out)
{
	uint32_t len = frame->head_len, left = frame->body_len, skip = frame->body_off;
	memcpy(out, frame->head, frame->head_len);
	for (const struct segment *s = frame->body; left; s++) {
		uint32_t n = s->len - skip < left ? s->len - skip : left;
		memcpy(out + len, s->base + skip, n);
		len += n;
		left -= n;
		skip = 0;
	}
	if (frame->csum_at)
		complete(frame, out, len);
	return len;
}

uint32_t packet_assemble(const struct packet *p, uint8_t *out)
{
	struct frame frame = {.head = p->data,
		.head_len = p->head_len,
		.body = p->body,
		.body_len = p->len - p->head_len};
	return frame_assemble(&frame, out);
}

// SPDX-License-Identifier: BSD-3-Clause
// What a single fragment says of itself, and which parts of a datagram have been seen.
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "conntrack/fragment_private.h"
#include "conntrack/tcp.h"

enum {
	IPV4_MORE = 0x2000,
	IPV4_OFFSET = 0x1fff,
	IPV6_LEN = 40,
	IPV6_MORE = 1,
	IPV6_OFFSET = 0xfff8,
	FRAGMENT_HEADER_LEN = 8,
	IP_LENGTH_MAX = 65535, // IPv4: all of it; IPv6: behind the fixed header
};

// `before`: what the whole packet's length counts before the part that is cut. RFC 791 and RFC 8200
// 4.5 for the length that must be a multiple of 8 and the end that must not be too far; nothing at
// all would be no part of a datagram.
static void judge(struct piece *piece, uint32_t before, bool more)
{
	uint32_t len = piece->end - piece->start;
	piece->last = !more;
	piece->sound = len && !(more && len % UNIT) && before + piece->end <= IP_LENGTH_MAX;
}

static void piece_of_ipv4(struct piece *piece, const uint8_t *ip)
{
	uint32_t hlen = (ip[0] & 0xf) * 4u;
	uint16_t fragment = load16(ip + 6);
	memcpy(piece->id.source, ip + 12, 4);
	memcpy(piece->id.destination, ip + 16, 4);
	piece->id.identification = load16(ip + 4);
	piece->id.protocol = ip[9];
	piece->id.family = CONN_IPV4;
	piece->start = (fragment & IPV4_OFFSET) * UNIT;
	piece->end = piece->start + load16(ip + 2) - hlen;
	judge(piece, hlen, fragment & IPV4_MORE);
}

// Walks the headers that parse_packet has followed, up to l4_off. A second fragment header, of a
// fragment that was cut again, is refused: no router does that, and receivers differ in what they
// make of it.
static void piece_of_ipv6(struct piece *piece, const struct packet *p)
{
	const uint8_t *ip = p->data + p->l3_off;
	const uint8_t *header = NULL;
	uint32_t off = p->l3_off + IPV6_LEN;
	uint8_t type = ip[6];
	bool nested = false;
	while (off + FRAGMENT_HEADER_LEN <= p->l4_off) {
		const uint8_t *ext = p->data + off;
		uint32_t len = (ext[1] + 1u) * 8;
		if (type == IPPROTO_FRAGMENT) {
			nested |= header != NULL;
			header = ext;
			len = FRAGMENT_HEADER_LEN;
		} else if (type == IPPROTO_AH) {
			len = (ext[1] + 2u) * 4;
		}
		type = ext[0];
		off += len;
	}
	memcpy(piece->id.source, ip + 8, 16);
	memcpy(piece->id.destination, ip + 24, 16);
	piece->id.family = CONN_IPV6;
	if (!header)
		return; // cannot be: parse_packet saw one
	uint16_t fragment = load16(header + 2);
	uint32_t before = (uint32_t)(header - ip) - IPV6_LEN;
	memcpy(&piece->id.identification, header + 4, 4);
	piece->start = fragment & IPV6_OFFSET;
	piece->end = piece->start + load16(ip + 4) - before - FRAGMENT_HEADER_LEN;
	judge(piece, before, fragment & IPV6_MORE);
	piece->sound &= !nested;
}

void piece_of(struct piece *piece, const struct packet *p, uint32_t zone, uint16_t port)
{
	*piece = (struct piece){.id = {.zone = zone, .port = port}};
	if (p->flags & PACKET_IPV4)
		piece_of_ipv4(piece, p->data + p->l3_off);
	else
		piece_of_ipv6(piece, p);
}

void piece_note_segment(struct conn_key *key, const struct packet *p)
{
	struct tcp_segment segment = tcp_read(p);
	key->seq = segment.seq;
	key->end = segment.end;
	if (segment.flags & TCP_FIN)
		key->flags |= KEY_FIN;
}

enum ranges_verdict ranges_add(struct ranges *ranges, uint32_t start, uint32_t end)
{
	const uint16_t from = (uint16_t)(start / UNIT), to = (uint16_t)((end + UNIT - 1) / UNIT);
	struct range *r = ranges->of;
	unsigned i = ranges->count; // of the first that ends behind the new one's start
	while (i && r[i - 1].end > from)
		i--;
	if (i < ranges->count && r[i].start < to)
		return r[i].start <= from && to <= r[i].end ? RANGES_SEEN : RANGES_OVERLAP;
	bool joins_before = i && r[i - 1].end == from;
	bool joins_behind = i < ranges->count && r[i].start == to;
	if (joins_before && joins_behind) {
		r[i - 1].end = r[i].end;
		ranges->count--;
		memmove(r + i, r + i + 1, (ranges->count - i) * sizeof(*r));
	} else if (joins_before) {
		r[i - 1].end = to;
	} else if (joins_behind) {
		r[i].start = from;
	} else if (ranges->count == RANGES_MAX) {
		return RANGES_FULL;
	} else {
		memmove(r + i + 1, r + i, (ranges->count - i) * sizeof(*r));
		r[i] = (struct range){from, to};
		ranges->count++;
	}
	return RANGES_NEW;
}

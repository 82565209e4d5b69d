// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_fragment.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "switch/parse.h"

static void fill(struct wire *w, const struct cut *cut)
{
	uint32_t at = w->len;
	wire_payload(w, cut->len);
	for (uint32_t i = 0; i < cut->len; i++)
		w->bytes[at + i] = (uint8_t)((cut->start + i) * 7 + cut->identification);
	// A UDP header that is sound in a fragment: ports and a length.
	static const uint8_t udp[8] = {0x9c, 0x41, 0x00, 0x35, 0xff, 0xff, 0, 0};
	if (!cut->start)
		memcpy(w->bytes + at, udp, cut->len < sizeof(udp) ? cut->len : sizeof(udp));
}

void cut_frame(struct wire *w, const struct cut *cut)
{
	uint8_t protocol = cut->protocol ? cut->protocol : IPPROTO_UDP;
	wire_ethernet(w);
	if (cut->version == 4) {
		wire_ipv4(w, cut->before);
		w->bytes[w->next_at] = protocol;
		wire_store16(w->bytes + w->l3 + 4, (uint16_t)cut->identification);
		wire_store16(w->bytes + w->l3 + 6,
			(uint16_t)(cut->start / 8 | (cut->more ? 0x2000 : 0)));
		fill(w, cut);
		wire_store16(w->bytes + w->l3 + 2, (uint16_t)(w->len - w->l3));
		return;
	}
	wire_ipv6(w);
	if (cut->before)
		wire_extension(w, IPPROTO_DSTOPTS, cut->before);
	wire_extension(w, IPPROTO_FRAGMENT, 8);
	uint8_t *header = w->bytes + w->len - 8;
	header[0] = protocol;
	wire_store16(header + 2, (uint16_t)(cut->start | cut->more));
	wire_store16(header + 4, (uint16_t)(cut->identification >> 16));
	wire_store16(header + 6, (uint16_t)cut->identification);
	fill(w, cut);
	wire_store16(w->bytes + w->l3 + 4, (uint16_t)(w->len - w->l3 - 40));
}

struct conn_key cut_key(const struct cut *cut)
{
	struct conn_key key = {.id.meta = cut->zone << 11 | 1, .hash = cut->identification};
	key.v6[0][0] = cut->version;
	key.v6[1][0] = (uint8_t)cut->port;
	key.direction = cut->identification & 1;
	return key;
}

enum fragment_verdict cut_see(struct fragments *f, const struct cut *cut, uint32_t piece,
	uint64_t now, struct conn_key *key, struct fragment_drop *drop)
{
	static struct wire wire;
	struct parcel parcel;
	struct conn_key own = {0};
	struct fragment_drop ignored;
	cut_frame(&wire, cut);
	parcel_load(&parcel, wire.bytes, wire.len, STASH_HEADERS, piece);
	parse_packet(&parcel.packet);
	bool fragment = parcel.packet.verdict == VERDICT_NONE &&
			parcel.packet.flags & PACKET_FRAGMENT;
	if (!fragment)
		abort(); // the test's own mistake
	if (!cut->start && !cut->unkeyed)
		own = cut_key(cut);
	enum fragment_verdict verdict = fragments_see(
		f, &parcel.packet, cut->zone, cut->port, now, &own, drop ? drop : &ignored);
	if (key)
		*key = own;
	parcel_free(&parcel);
	return verdict;
}

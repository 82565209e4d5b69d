// SPDX-License-Identifier: BSD-3-Clause
#include "switch/nsh.h"

#include <string.h>

#include "base/bytes.h"
#include "switch/parse.h"

enum {
	MAC_LEN = 6,
	ETHER_LEN = 14,
	ETHER_TYPE = 0x894f,
	// From the NSH, RFC 8300, 2.2 and 2.3.
	BASE = ETHER_LEN,
	MD_TYPE = BASE + 2,
	NEXT_PROTOCOL = BASE + 3,
	SERVICE_PATH = BASE + 4,
	LENGTH = 2, // of all, in words of four bytes
	TTL = 63,
	NO_METADATA = 2,
	ETHERNET = 3,
	// Of the base header's first half: version, OAM and length must be as above; the bit
	// between is not looked at, nor is TTL.
	CHECKED = 0xe03f,
};

// Of the half byte beside the MD type four bits are unassigned, and ignored.
static bool is_sound(const uint8_t *frame)
{
	return load16(frame + 12) == ETHER_TYPE && (load16(frame + BASE) & CHECKED) == LENGTH &&
	       (frame[MD_TYPE] & 0xf) == NO_METADATA && frame[NEXT_PROTOCOL] == ETHERNET;
}

static void move_start(struct packet *p, int by)
{
	p->data += by;
	p->len -= (uint32_t)by;
	p->head_len = (uint16_t)(p->head_len - by);
	p->l3_off = (uint16_t)(p->l3_off - by);
	p->l4_off = (uint16_t)(p->l4_off - by);
	p->payload_off = (uint16_t)(p->payload_off - by);
	// It means something with a partial checksum only.
	p->csum_start = (uint16_t)(p->csum_start - by);
}

void nsh_push(
	struct packet *p, const uint8_t destination[6], const uint8_t source[6], struct nsh nsh)
{
	packet_set_tag(p, 0, 0);
	move_start(p, -NSH_ROOM);
	memcpy(p->data, destination, MAC_LEN);
	memcpy(p->data + MAC_LEN, source, MAC_LEN);
	store16(p->data + 12, ETHER_TYPE);
	store16(p->data + BASE, TTL << 6 | LENGTH);
	p->data[MD_TYPE] = NO_METADATA;
	p->data[NEXT_PROTOCOL] = ETHERNET;
	store32(p->data + SERVICE_PATH, nsh.path << 8 | nsh.index);
}

bool nsh_pull(struct packet *p, struct nsh *nsh)
{
	if (p->head_len < NSH_ROOM + ETHER_LEN || !is_sound(p->data))
		return false;
	uint32_t service = load32(p->data + SERVICE_PATH);
	*nsh = (struct nsh){.path = service >> 8, .index = (uint8_t)service};
	move_start(p, NSH_ROOM);
	parse_packet(p);
	return true;
}

void nsh_off(struct packet *p)
{
	move_start(p, NSH_ROOM);
}

void nsh_on(struct packet *p)
{
	move_start(p, -NSH_ROOM);
}

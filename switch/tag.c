// SPDX-License-Identifier: BSD-3-Clause
#include <arpa/inet.h>
#include <string.h>

#include "switch/parse.h"

enum {
	MACS_LEN = 12,
	ETHER_LEN = 14,
	TAG_LEN = 4,
	TPID = 0x8100 // of a frame that came without
};

// Moves the Ethernet addresses, and everything counted from data, by this many bytes.
static void move_start(struct packet *p, int by)
{
	uint8_t macs[MACS_LEN];
	memcpy(macs, p->data, sizeof(macs));
	p->data += by;
	memcpy(p->data, macs, sizeof(macs));

	p->len -= by;
	p->head_len -= by;
	p->l3_off -= by;
	p->l4_off -= by;
	p->payload_off -= by;
	// It means something with a partial checksum only; moving it otherwise is harmless.
	p->csum_start -= by;
}

void packet_set_tag(struct packet *p, uint16_t tpid, uint16_t tci)
{
	if (!tpid) {
		if (p->flags & PACKET_TAGGED)
			move_start(p, TAG_LEN);
		p->flags &= ~PACKET_TAGGED;
		return;
	}
	if (!(p->flags & PACKET_TAGGED))
		move_start(p, -TAG_LEN);
	p->flags |= PACKET_TAGGED;
	p->vlan_tpid = tpid;
	p->vlan_tci = tci;
	uint32_t tag = htonl((uint32_t)tpid << 16 | tci);
	memcpy(p->data + MACS_LEN, &tag, sizeof(tag));
}

static uint16_t own_tpid(const struct packet *p)
{
	return p->vlan_tpid ? p->vlan_tpid : TPID;
}

static uint16_t own_tci(const struct packet *p)
{
	return (uint16_t)((p->vlan_tci & 0xf000) | p->vlan);
}

void packet_tag_vlan(struct packet *p, bool tagged)
{
	packet_set_tag(p, tagged ? own_tpid(p) : 0, own_tci(p));
}

bool packet_leave_tag(const struct packet *p, uint16_t *tci)
{
	// Behind all tags: with one in the frame, the device's would be the second.
	if (p->l3_off != ETHER_LEN || own_tpid(p) != TPID)
		return false;
	*tci = own_tci(p);
	return true;
}

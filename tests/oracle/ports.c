// SPDX-License-Identifier: BSD-3-Clause
// The guests of two vhost-user ports. When the switch has given a burst's buffers back, it has also
// delivered it.
#include <string.h>

#include "tests/hostile/guest.h"
#include "tests/oracle/board.h"
#include "tests/oracle/ways.h"

enum {
	RING = 256
};

static struct guest guests[SIDES];

static void drain(unsigned side)
{
	struct guest *g = &guests[side];
	struct queue *v = &g->rings[TO_VM];
	for (uint16_t used = queue_used(v); v->seen != used;) {
		const struct vring_used_elem *e = &v->used->ring[v->seen++ % v->size];
		const uint8_t *at = g->memory + buffer_place(TO_VM, e->id) + VNET_SIZE + ETHER_LEN;
		if (e->len > VNET_SIZE + ETHER_LEN)
			board_arrived(BY_WEIR, side, at, e->len - VNET_SIZE - ETHER_LEN);
		guest_post(g, (uint16_t)e->id);
		queue_add(v, (uint16_t)e->id);
	}
	queue_set_index(v, v->next);
}

// A frame of no protocol by which the switch learns the address.
static void announce(unsigned side)
{
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	memcpy(frame + 6, guests[side].mac, 6);
	put16(frame + 12, 0x88b5);
	guest_put(&guests[side], 0, NULL, frame, sizeof(frame));
	guest_send(&guests[side], 1);
}

void ports_open(const char *const sockets[SIDES])
{
	for (unsigned side = 0; side < SIDES; side++) {
		struct guest *g = &guests[side];
		guest_open(g, sockets[side], true, (uint8_t)(1 + side));
		peer_open(&g->peer);
		guest_negotiate(g, FEATURE(VIRTIO_NET_F_MRG_RXBUF) | FEATURE(VIRTIO_F_VERSION_1));
		guest_start(g, RING);
		for (uint16_t i = 0; i < RING; i++) {
			guest_post(g, i);
			queue_add(&g->rings[TO_VM], i);
		}
		queue_set_index(&g->rings[TO_VM], RING);
	}
	announce(SIDE_A);
	announce(SIDE_B);
	drain(SIDE_A);
	drain(SIDE_B);
}

void ports_send(unsigned side, const struct batch *b)
{
	uint8_t frame[ETHER_LEN + PACKET_MAX];
	memcpy(frame, guests[!side].mac, 6);
	memcpy(frame + 6, guests[side].mac, 6);
	bool fragmented = false;
	for (unsigned i = 0; i < b->count; i++) {
		const struct step *s = b->of[i].step;
		fragmented |= b->of[i].talk->units[s->unit].cover >= 0;
		put16(frame + 12, b->of[i].talk->ipv6 ? 0x86dd : 0x0800);
		memcpy(frame + ETHER_LEN, b->of[i].talk->bytes + s->at, s->len);
		guest_put(&guests[side], (uint16_t)i, NULL, frame, ETHER_LEN + s->len);
	}
	guest_send(&guests[side], b->count);
	// Held fragments go on before the next burst is taken, and behind the answer to the last
	// one.
	if (fragmented)
		announce(side);
	drain(!side);
	drain(side);
}

void ports_close(void)
{
	guest_close(&guests[SIDE_A]);
	guest_close(&guests[SIDE_B]);
}

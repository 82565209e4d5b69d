// SPDX-License-Identifier: BSD-3-Clause
#include "switch/announce.h"

#include <string.h>

enum {
	ANNOUNCEMENT = 60, // bytes: the shortest Ethernet frame
};

// With the MAC as Ethernet source, and as the hardware address that asks and is asked for.
static void write_rarp(uint8_t *frame, const uint8_t mac[6])
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t head[] = {
		0x80, 0x35,                   // RARP
		0, 1, 0x08, 0x00, 6, 4, 0, 3, // Ethernet, IPv4, their lengths; a request
	};
	memset(frame, 0, ANNOUNCEMENT);
	memcpy(frame, all, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, head, sizeof(head));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 32, mac, 6);
}

bool announce(struct pass *pass, const struct queue_ref *queue)
{
	struct burst *burst = &pass->burst;
	uint8_t mac[6];
	if (!vhost_port_announcement(queue->view->vhost, queue->pair, mac))
		return false;
	uint8_t *frame = burst->stash[0] + STASH_HEADROOM;
	write_rarp(frame, mac);
	burst->packets[0] = (struct packet){
		.data = frame, .len = ANNOUNCEMENT, .head_len = ANNOUNCEMENT};
	burst->count = 1;
	burst->nsegments = 0;
	pass->source = NULL;
	pass->mbufs[0] = NULL;
	return true;
}

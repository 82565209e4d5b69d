// SPDX-License-Identifier: BSD-3-Clause
// A network card whose frames are taken and sent as they are, offloads included: a TSO frame stays
// one frame, and a checksum that is still to be filled in stays so. One thread.
#ifndef WEIR_NF_IDS_WIRE_H
#define WEIR_NF_IDS_WIRE_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WIRE_FRAME_MAX = 65536 + 64 // what IP can say, and what may stand before it
};

struct wire_frame {
	struct virtio_net_hdr offload;
	size_t length;
	// Room for a VLAN tag, which the kernel takes out of a frame before anyone sees it.
	uint8_t data[WIRE_FRAME_MAX];
};

// A descriptor that poll() can wait for, or -errno.
int wire_open(const char *card);
// The card's own address. 0 or -errno.
int wire_address(int fd, uint8_t mac[6]);
// 1: a frame; 0: none waits; -EMSGSIZE: one that is too long, and lost; -errno: the card is down or
// gone.
int wire_take(int fd, struct wire_frame *frame);
// 0, or -errno: it is lost, -EAGAIN and -ENOBUFS if the card's queue is full.
int wire_send(int fd, const struct wire_frame *frame);

#endif

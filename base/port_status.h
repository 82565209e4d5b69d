// SPDX-License-Identifier: BSD-3-Clause
// What a port tells about itself, whatever kind it is.
#ifndef WEIR_BASE_PORT_STATUS_H
#define WEIR_BASE_PORT_STATUS_H

#include <stdint.h>
#include <sys/types.h>

// One table gives the enum and the stable name. The sentence, with reason and mend, is computed.
#define PORT_STATES(X) \
	X(WAITING_VMM, "waiting for the VMM") \
	X(PERMISSION, "permission denied") \
	X(WAITING_DRIVER, "waiting for the guest driver") \
	X(NOT_SHARED, "memory not shared") \
	X(UP, "up") \
	X(LINK_DOWN, "link down") \
	X(FAULTED, "faulted")

enum port_state {
#define X(id, name) PORT_##id,
	PORT_STATES(X)
#undef X
};

struct port_status {
	enum port_state state;
	char text[256]; // e.g. "faulted: descriptor loop in queue 1"; what the state column shows
	char mend[640]; // what to do about it; empty when nothing is to be done
	// The virtio features that the guest has negotiated, or those of a virtio-net receiver that
	// a NIC has by itself.
	uint64_t features;
	uint16_t pairs; // queue pairs whose both rings are running, or a NIC's receive queues
	// Of a VM's port only:
	uint16_t guest_mtu; // as the VMM told by NET_SET_MTU; 0: it did not
	uint32_t reconnects;
	uint32_t refused; // second connections refused
	pid_t peer_pid;   // who opened the other end of the socket; 0: not connected or unknown
	uint32_t announcements;  // SEND_RARP requests so far
	uint8_t announce_mac[6]; // of the last one
};

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The generator's ends: DPDK's net_virtio_user devices, each a VM's network card that listens for a
// switch as QEMU does. Ports 2n and 2n+1 are partners. Behind those that talk with each other stand
// the ports of network functions (relay.h). Load thread only, but for ports_open.
#ifndef WEIR_BENCH_PORTS_H
#define WEIR_BENCH_PORTS_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	PORTS_MAX = 32, // of DPDK, as Debian builds it
	PORT_BURST = 32,
	SMALL_MAX = 2048 // bytes of a frame in `heads`, buffers as drivers have them
};

struct ports_setup {
	unsigned cpu;
	unsigned ring;       // descriptors per queue
	unsigned buffer;     // data bytes of a receive buffer
	unsigned memory_mib; // of DPDK
	bool huge;           // it is on huge pages
	bool mergeable;
	bool tso;        // and checksum offloads, in both directions
	unsigned count;  // that talk
	unsigned relays; // of network functions
	bool one_armed;
	char *const *sockets; // of all
};

struct ports {
	unsigned count;  // that talk
	unsigned relays; // behind them, of network functions
	bool one_armed;  // each of these is one; else two partners are
	bool tso;
	unsigned ring;                // descriptors per queue
	unsigned buffer;              // data bytes of a receive buffer
	uint16_t ids[PORTS_MAX];      // of ethdev
	struct rte_mempool *heads;    // frames to send: one buffer each, or a TSO frame's head
	struct rte_mempool *jumbo;    // for those above SMALL_MAX; NULL with tso
	struct rte_mempool *bodies;   // the rest of TSO frames; NULL without them
	struct rte_mempool *received; // buffers to receive into
};

// Starts the EAL on the calling thread, which becomes the load thread on its CPU, and waits for a
// switch at each socket, in order. Once per process. 0 or -errno; the reason is printed.
int ports_open(struct ports *ports, const struct ports_setup *setup, const char *program);
void ports_close(struct ports *ports);

#endif

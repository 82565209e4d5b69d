// SPDX-License-Identifier: BSD-3-Clause
// A NIC port: any Ethernet device of DPDK, physical or virtual. Workers take packets from its
// receive queues and hand it packets; everything else is the main thread's.
//
// Life cycle: nic_open makes the device, starts it and its packet buffers; the port that owns it
// publishes it in a snapshot. A device that vanishes does not tell: nic_look asks each 100 ms, and
// the port then unpublishes it, waits for a grace period and closes it. A bond whose member has
// vanished goes on with the others: the port unpublishes it while nic_drop_members takes the member
// out, and opens it anew when the member is back.
// Synchronisation: what workers read is constant while published, but for `running`. A receive
// queue has one owner; a transmit queue is one worker's own where the device has enough of them,
// and is used under its lock in any case, taken once per burst and never nested.
#ifndef WEIR_SWITCH_NIC_H
#define WEIR_SWITCH_NIC_H

#include <net/if.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "base/packet.h"
#include "base/spin.h"
#include "switch/switch.h"
#include "vhost/port.h"

enum {
	DEVICE_ARGS_SIZE = DEVICE_SIZE + 80,
	NIC_ROOM = 2048, // bytes of a packet buffer where no larger one is needed
};
#define NIC_TSO \
	(1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 | \
		1ull << VIRTIO_NET_F_GUEST_ECN)

struct nic_tx_queue {
	alignas(64) atomic_bool locked;
};

// An interface of the kernel that a device is made of (`iface=`), and whose fate its driver does
// not look at.
struct nic_interface {
	char name[IF_NAMESIZE]; // empty: there is none
	unsigned index;         // when the device was made; another one is another interface
	bool lost;              // and taken out of its bond
};

struct nic {
	// What workers see.
	uint16_t ethdev; // DPDK's port id
	uint16_t nrx;    // receive queues
	uint16_t ntx;    // transmit queues
	// What the device does by itself, as the features of a virtio-net receiver.
	uint64_t features;
	bool multi_segs;  // it sends frames that lie in several buffers
	bool ip_checksum; // beside TSO it wants to be asked for the IPv4 header's checksum
	bool insert_tags; // it puts VLAN tags in that are given beside the frame
	uint32_t room;    // bytes of one packet buffer
	struct rte_mempool *pool;
	_Atomic bool running; // its link is up
	// A bond sends what it has to say to its partner (LACP) only when it is asked to send: so
	// often at least, in cycles; 0: no bond. When it last was is queue 0's owner's.
	uint64_t nudge_each;
	uint64_t nudged_at;

	// The main thread's.
	char name[NAME_SIZE]; // the port's
	struct config_dpdk config;
	char device[DEVICE_ARGS_SIZE]; // with all its arguments
	uint16_t nmembers;
	uint16_t members[DEVICE_MEMBERS]; // DPDK's port ids
	// Of the device, then of the members.
	struct nic_interface interfaces[1 + DEVICE_MEMBERS];
	_Atomic bool removed; // by the bus; set on a thread of DPDK's
	struct nic_tx_queue tx[WORKERS_MAX];
};

// Makes and starts the device. 0 and *out, or -errno with a sentence that names it: no such device
// or interface, bound to a driver of the kernel, no permission, an MTU it cannot have, no memory
// for its packet buffers. mtu: bytes of L3. Main thread.
int nic_open(struct nic **out, const char *name, const struct config_dpdk *config, uint16_t mtu,
	uint16_t nworkers, struct error *err);
// Stops it and gives it back. Its buffers go when the last of them has come back from other
// devices. No published snapshot names it, and a grace period has passed. Main thread.
void nic_close(struct nic *nic);

// Whether the change needs the device to be made anew.
bool nic_needs_reopen(const struct config_dpdk *a, const struct config_dpdk *b);

enum nic_news {
	NIC_SAME,
	NIC_GONE,        // the device has vanished: close it
	NIC_MEMBER_LOST, // take it out with nic_drop_members, while no worker sees the NIC
	NIC_MEMBER_BACK, // close it and open it anew
};
// Looks at link and interfaces; with NIC_GONE *err says why. Main thread, some ten times a second.
enum nic_news nic_look(struct nic *nic, struct error *err);
void nic_drop_members(struct nic *nic);

// Main thread.
void nic_status(const struct nic *nic, struct port_status *status);

// Extended statistics of the device that are not zero, at most max: how many. Main thread.
size_t nic_statistics(const struct nic *nic, struct port_statistic *statistics, size_t max);

// Frees buffers of NICs that are closed, as far as all of them have come back. Main thread.
void nic_reclaim(void);

// --- the data path -------------------------------------------------------------------------------

// Takes a burst from a receive queue: burst->packets as far as rx fills them, with the headers
// where they lie in the buffers, and *mbufs, which belong to the caller. How many. The queue's
// owner.
unsigned nic_take(struct nic *nic, uint16_t queue, struct burst *burst, struct rte_mbuf **mbufs);

static inline void nic_tx_lock(struct nic *nic, unsigned queue)
{
	spin_lock(&nic->tx[queue].locked);
}

static inline void nic_tx_unlock(struct nic *nic, unsigned queue)
{
	spin_unlock(&nic->tx[queue].locked);
}

#endif

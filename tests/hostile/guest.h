// SPDX-License-Identifier: BSD-3-Clause
// A guest without a VM: its memory, one queue pair, and a driver that behaves. Mutations then spoil
// what it has built.
//
// Memory, one memfd: per ring 64 KiB (descriptors, available, used, indirect table), the buffers of
// both, and two pages' worth of regions that are mapped apart: one that goes on where the first one
// ends, one at the very top of the guest's addresses.
#ifndef WEIR_TESTS_HOSTILE_GUEST_H
#define WEIR_TESTS_HOSTILE_GUEST_H

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/hostile/peer.h"
#include "tests/hostile/rng.h"

enum {
	TO_VM = 0, // vring of the receive queue
	FROM_VM = 1,
	RING_MAX = 1024, // entries
	RING_BYTES = 0x10000,
	AVAIL_AT = 0x4000,
	USED_AT = 0x6000,
	TABLE_AT = 0x9000,
	TABLE_MAX = (RING_BYTES - TABLE_AT) / 16,
	BUFFERS = 256, // per ring; entry i uses buffer i % BUFFERS
	BUFFER_SIZE = 2048,
	VNET_SIZE = 12,
	SIDE_BYTES = 0x10000, // of each of the two other regions
	MAIN_BYTES = 2 * RING_BYTES + 2 * BUFFERS * BUFFER_SIZE,
	FILE_BYTES = MAIN_BYTES + 2 * SIDE_BYTES,
};

#define GUEST_BASE 0x10000000ull
#define NEXT_BASE  (GUEST_BASE + MAIN_BYTES) // the second region's
#define TOP_BASE   (0ull - 2 * SIDE_BYTES)   // the third one's
#define USER_BASE  0x7e0000000000ull
#define OUTSIDE    (GUEST_BASE / 2) // in no region

#define FEATURE(n) (1ull << (n))
// All that changes what a ring of a network card looks like.
#define CARD_FEATURES \
	(FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_CSUM) | \
		FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6) | \
		FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6) | \
		FEATURE(VIRTIO_NET_F_MRG_RXBUF) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
		FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_F_VERSION_1))

struct queue {
	unsigned index;
	uint16_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_desc *table; // indirect
	uint32_t place;           // of the ring in the file
	uint16_t next;            // the available index as the driver counts it
	uint16_t seen;            // used entries it has looked at
	int kick, call;
};

struct guest {
	struct peer peer;
	int memory_fd;
	uint8_t *memory; // FILE_BYTES
	struct queue rings[2];
	uint64_t offered, features;
	uint8_t mac[6];
};

void guest_open(struct guest *g, const char *path, bool connects, uint8_t mac);
void guest_close(struct guest *g);

// The first messages of a connection; features are those wanted, as far as they are offered.
void guest_negotiate(struct guest *g, uint64_t features);
// The rest, up to running rings of `size` entries, all empty.
void guest_start(struct guest *g, uint16_t size);
// A clean reset of one ring, which then starts at index `base`. Returns where the switch was.
uint16_t guest_reset_ring(struct guest *g, unsigned ring, uint16_t base);
// Both rings, and whatever was done to the memory table.
void guest_restart(struct guest *g, uint64_t features, uint16_t size);

// The messages that guest_start sends, to be spoiled by somebody.
void guest_say_memory(const struct guest *g, struct message *m);
void guest_say_addr(const struct guest *g, unsigned ring, struct message *m);

// Where things are, as offsets in the file and as guest addresses.
static inline uint32_t buffer_place(unsigned ring, unsigned entry)
{
	return 2 * RING_BYTES + (ring * BUFFERS + entry % BUFFERS) * BUFFER_SIZE;
}

static inline uint64_t buffer_addr(unsigned ring, unsigned entry)
{
	return GUEST_BASE + buffer_place(ring, entry);
}

// Makes a chain available without telling: nobody sees it before queue_set_index.
static inline void queue_add(struct queue *v, uint16_t head)
{
	v->avail->ring[v->next++ % v->size] = head;
}

static inline void queue_set_index(struct queue *v, uint16_t index)
{
	__atomic_store_n(&v->avail->idx, index, __ATOMIC_RELEASE);
}

static inline uint16_t queue_used(const struct queue *v)
{
	return __atomic_load_n(&v->used->idx, __ATOMIC_ACQUIRE);
}

void queue_kick(const struct queue *v);

// One frame behind a virtio-net header in entry's buffer; the descriptor is set, nothing published.
void guest_put(struct guest *g, uint16_t entry, const void *vnet, const uint8_t *frame, size_t len);
// An empty buffer of the to-vm ring, likewise.
void guest_post(struct guest *g, uint16_t entry);

// Sends n frames of the from-vm ring, entries 0 … n - 1 already put, and waits until the switch has
// given them back: when it has, it has also delivered them. Fails if it does not.
void guest_send(struct guest *g, unsigned n);
// Looks at each frame received since the last call and gives its buffer back; how many there were.
unsigned guest_drain(struct guest *g);

#endif

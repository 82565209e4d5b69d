// SPDX-License-Identifier: BSD-3-Clause
// A guest in a box: fake guest memory and the driver's side of split virtqueues, for tests and
// fuzzers. The driver side is written against the specification and shares no code with
// vhost/ring.c, so each checks the other.
//
// Life cycle: kit_guest_init, any number of kit_driver_init on it, kit_driver_fini, kit_guest_fini.
// Every region of memory and every part of a ring is a heap allocation of its exact size, so that
// AddressSanitizer sees a step beyond it. What fails in here aborts the program.
// Synchronisation: none, one thread.
#ifndef WEIR_TESTS_KIT_GUEST_H
#define WEIR_TESTS_KIT_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/ring.h"

enum {
	KIT_PIECES_MAX = 2048,
	KIT_VNET_MAX = 12,
	KIT_FRAME_MAX = FRAME_MAX + 64,
};

// --- memory --------------------------------------------------------------------------------------

// Guest physical layout: regions of the given sizes, one after the other without a gap, except
// where gap_before says so. Buffers are handed out in turn, also across neighbouring regions, and
// the room is used again when its end is reached.
struct kit_guest {
	struct guest_memory mem;
	uint64_t cursor; // where the next buffer is looked for
};

struct kit_region {
	uint64_t size;
	bool gap_before;
};

void kit_guest_init(struct kit_guest *g, const struct kit_region *regions, unsigned n);
// Three regions, two of them neighbours, and odd sizes: `size` bytes in all, about.
void kit_guest_init_usual(struct kit_guest *g, uint64_t size);
void kit_guest_fini(struct kit_guest *g);
// len bytes of guest memory (len at least 1).
uint64_t kit_alloc(struct kit_guest *g, uint32_t len);
// len bytes that span the border between regions i and i + 1, `before` of them in the first.
uint64_t kit_border(const struct kit_guest *g, unsigned i, uint32_t before);
void kit_write(struct kit_guest *g, uint64_t addr, const void *from, uint64_t len);
void kit_read(struct kit_guest *g, uint64_t addr, void *to, uint64_t len);

// --- rings ---------------------------------------------------------------------------------------

// One descriptor's memory.
struct kit_piece {
	uint64_t addr;
	uint32_t len;
};

struct kit_chain {
	unsigned npieces;
	struct kit_piece *pieces;
};

struct kit_driver {
	struct kit_guest *g;
	uint64_t features;
	uint16_t size;
	uint16_t vnet_size;
	uint16_t avail_idx; // entries made available, published or not
	uint16_t published; // the avail index the device was last given
	uint16_t used_seen;
	uint16_t nfree;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *free;           // descriptors of the ring that are free
	struct kit_chain *chains; // by head: what was posted
	int call_fd;
};

// `start` is the value of all indexes. The call eventfd is the driver's.
void kit_driver_init(struct kit_driver *d, struct kit_guest *g, uint16_t size, uint16_t start,
	uint64_t features);
void kit_driver_fini(struct kit_driver *d);
// End a burst as a worker does, with its signals sent at once.
void kit_put_end(struct ring *ring);
void kit_complete(struct ring *ring);

// What ring_init takes; without a log.
struct ring_setup kit_driver_setup(const struct kit_driver *d);

// Posts one chain: the first ndirect pieces as direct descriptors, the others in an indirect table.
// Returns its head, or -1 if descriptors are short. kit_publish makes it available.
int kit_post(struct kit_driver *d, const struct kit_piece *pieces, unsigned n, unsigned ndirect,
	bool device_writes);
void kit_publish(struct kit_driver *d);
// True if the device wants to be notified of what the last kit_publish made available.
bool kit_publish_notifies(struct kit_driver *d);

// One used entry. False if there is none. *pieces lives until the next kit_post of that head.
struct kit_used {
	uint32_t head;
	uint32_t len;
	unsigned npieces;
	const struct kit_piece *pieces;
};
bool kit_pop(struct kit_driver *d, struct kit_used *out);
// The driver asks for a signal at the next used entry, or for none.
void kit_want_signal(struct kit_driver *d, bool want);
// Signals sent since the last call.
unsigned kit_signals(struct kit_driver *d);

// --- frames --------------------------------------------------------------------------------------

// A layout: the lengths of n pieces, ndirect of them direct.
struct kit_layout {
	unsigned n;
	unsigned ndirect;
	uint32_t lens[KIT_PIECES_MAX];
};

// xorshift64; *state is never 0.
uint64_t kit_random(uint64_t *state);
// Cuts `total` bytes into at most max pieces at random; ndirect is n unless `indirect`.
void kit_layout_random(
	struct kit_layout *l, uint64_t *state, uint32_t total, unsigned max, bool indirect);
// Cuts it into pieces of `step` bytes and a rest.
void kit_layout_even(struct kit_layout *l, uint32_t total, uint32_t step);

// Posts a frame from-vm behind its virtio-net header; the layout covers both. -1: no descriptors.
int kit_send(struct kit_driver *d, const struct virtio_net_hdr *vnet, const uint8_t *frame,
	uint32_t len, const struct kit_layout *l);
// Posts an empty buffer to-vm.
int kit_post_buffer(struct kit_driver *d, const struct kit_layout *l);
// Takes one frame to-vm out of the used ring: the frame's length, -1 if there is none, -2 if what
// the device wrote contradicts the specification.
int kit_receive(
	struct kit_driver *d, struct virtio_net_hdr_mrg_rxbuf *vnet, uint8_t frame[KIT_FRAME_MAX]);

#endif

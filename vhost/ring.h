// SPDX-License-Identifier: BSD-3-Clause
// The split virtqueue, device side (virtio 1.2, 2.7), without DPDK: what a guest writes is read
// once into private memory, checked there and used from there. A ring that contradicts the
// specification faults: `fault` is set, every later call does nothing, and only a new ring_init
// (after the guest's reset) clears it. What was taken or put before the fault stays good and is
// still completed.
//
// Life cycle: the port builds a ring when the guest's driver has started it, publishes it by an RCU
// pointer, unpublishes it before the vhost library touches the queue or its memory, waits for a
// grace period and reads next_avail and next_used back.
// Synchronisation: one thread at a time. A from-vm ring has one owner, its worker; a to-vm ring is
// used under its queue's lock, taken once per burst.
#ifndef WEIR_VHOST_RING_H
#define WEIR_VHOST_RING_H

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "vhost/dirty_log.h"
#include "vhost/frame.h"
#include "vhost/memory.h"

// Why a ring is malformed. The text completes `faulted: … in queue N`.
#define RING_FAULTS(X) \
	X(INDEX_JUMP, "available index beyond the ring or gone back") \
	X(BAD_HEAD, "descriptor index beyond the ring") \
	X(LOOP, "descriptor loop") \
	X(BAD_ADDRESS, "descriptor outside the guest's memory") \
	X(BAD_LENGTH, "descriptor of length zero or shorter than its header") \
	X(BAD_DIRECTION, "descriptor of the wrong direction") \
	X(BAD_INDIRECT, "malformed indirect table") \
	X(CHAIN_TOO_LONG, "descriptor chain longer than 1024") \
	X(CALL_BLOCKED, "call eventfd that blocks") \
	X(LOG_TOO_SMALL, "memory beyond the log of dirty pages") \
	X(MEMORY_GONE, "memory that the VMM took away")

enum ring_fault {
	RING_OK,
#define X(id, text) RING_FAULT_##id,
	RING_FAULTS(X)
#undef X
	RING_FAULT_COUNT
};

// Static storage; any thread.
const char *ring_fault_text(enum ring_fault fault);

enum {
	// Pieces of guest memory that one frame for a guest may be cut into.
	LAYOUT_PIECES = 8 * CHAIN_MAX
};

struct ring_setup {
	// Host addresses, each wholly inside mem's mappings, with the event fields at their ends:
	struct vring_desc *desc;   // 16 × size bytes, aligned to 16
	struct vring_avail *avail; // 6 + 2 × size bytes, aligned to 2
	struct vring_used *used;   // 6 + 8 × size bytes, aligned to 4
	uint16_t size;             // a power of two, at most 32768
	uint16_t next_avail;
	uint16_t next_used;
	uint64_t features; // negotiated; of the ring's own: INDIRECT_DESC, EVENT_IDX, MRG_RXBUF,
			   // VERSION_1
	const struct guest_memory *mem; // outlives the ring
	int call_fd;                    // an eventfd, O_NONBLOCK; or -1: the guest polls
	struct dirty_log *log;          // outlives the ring; NULL: writes are not logged
	uint64_t used_addr;             // guest address of `used`, by which writes to it are logged
};

struct ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	const struct memory_region *near; // of mem: where the last buffer was found
	struct ring_ahead *ahead;         // what was read of the next entries
	struct ring_layout *layout;       // to-vm: whose it is changes with each ring_put_begin
	struct ring_log *log;             // NULL: no write is logged
	uint16_t size;
	uint16_t mask;
	uint16_t next_avail; // the next available entry to read
	uint16_t next_used;  // the next used entry to write
	uint16_t avail_seen; // the driver's index as last read
	uint16_t ahead_end;  // behind the last entry that was read ahead
	uint16_t next_head;  // from-vm: a guess at the next entry, since drivers go around
	uint16_t published;  // the used index that the driver was last given
	uint16_t vnet_size;  // 10 or 12 bytes of virtio-net header
	bool event_idx;
	bool indirect;
	bool mergeable;
	bool expecting;    // from-vm: the last look found entries
	_Atomic int fault; // enum ring_fault; written by the using thread, read by any
	int call_fd;
	const struct guest_memory *mem;
	uint64_t number; // of this ring and of no other one, before or after it
	// Of ring_signal, which more than one worker may call for a to-vm ring.
	_Atomic bool signalled_once; // false right after ring_init: the first one is always sent
	_Atomic uint64_t signals;    // sent to the guest; statistics
	// from-vm: the heads taken and not yet completed, in order.
	uint16_t ntaken;
	uint16_t taken[BURST_MAX];
};

enum {
	RING_SIGNALS_MAX = 16
};

// Rings whose used index a worker has moved, and which of their entries the guest was not asked
// about yet: whether it wants a signal can be read only when the index has become visible, which
// takes a full fence. One fence serves all, and costs little when the stores before it have had
// time to leave the CPU. It belongs to the worker; zeroed, it is empty.
struct ring_signals {
	unsigned count;
	struct {
		struct ring *ring;
		uint16_t from; // the used index that the guest was last asked about
	} due[RING_SIGNALS_MAX];
};

// Makes *ring ready for use; the guest is asked not to notify (polling) until ring_arm. Allocates
// what it reads ahead into and what it gathers for the log. 0, -EINVAL for a size that is no power
// of two or out of bounds, a misaligned part or an empty memory table, -ENOMEM. Main or library
// threads.
int ring_init(struct ring *ring, const struct ring_setup *setup);
// Frees what ring_init allocated. After the grace period.
void ring_fini(struct ring *ring);

// --- from-vm: frames the guest sends -------------------------------------------------------------

// True if the guest has made entries available that were not taken; never of a faulted ring, so
// that its owner can sleep. One load of shared memory. Owner.
bool ring_pending(struct ring *ring);

// Takes up to max (≤ BURST_MAX) frames: fills burst->packets[0…count), their stash with the first
// STASH_HEADERS bytes, body segments with the rest, and offload fields as claimed by the
// virtio-net header. Stash bytes behind head_len are unspecified. Frames shorter than FRAME_MIN or
// longer than FRAME_MAX are taken with verdict VERDICT_DROP, their reason, their len and no body.
// A descriptor of length zero is a fault, as it is for QEMU's devices.
// Bounded: at most max chains, CHAIN_MAX descriptors each; ends early when burst->segments would
// overflow. Returns burst->count; 0 if nothing is there or the ring is faulted. Frames taken before
// a fault in the same call are returned. Owner.
unsigned ring_take(struct ring *ring, struct burst *burst, unsigned max);

// Leaves the last n (≤ burst->count) frames of the last ring_take in the ring, as if they had not
// been taken: the next ring_take reads them anew, headers too, for the guest may have changed them.
// Their packets are of no use any more. Before ring_complete. Owner.
void ring_untake(struct ring *ring, unsigned n);

// Gives the buffers of all frames taken back to the guest, in order, publishes the used index and
// leaves the signal to ring_signals_send. Called once after each ring_take that returned > 0, when
// no byte of the frames is needed any more; without frames taken it does nothing. Owner.
void ring_complete(struct ring *ring, struct ring_signals *signals);

// --- to-vm: frames for the guest -----------------------------------------------------------------

// Where one frame is laid out that is spread over several descriptors or buffers. It belongs to the
// thread, not to the ring: it is much larger than all else that a port takes, and means nothing
// once ring_put has returned.
struct ring_layout {
	struct segment pieces[LAYOUT_PIECES];
	struct vring_used_elem used[LAYOUT_PIECES];
};

// Reads the driver's index and the next entries ahead, and prefetches their buffers. Call once
// before a burst of ring_put, which uses *layout until ring_put_end.
void ring_put_begin(struct ring *ring, struct ring_layout *layout, unsigned nframes);

// Copies one frame into the receiver's next buffers: payload first, then the header, over any
// layout of descriptors, over several buffers if mergeable. 0; -ENOBUFS: no free buffers, after the
// driver's index was read again once; -EMSGSIZE: the next buffer (not mergeable) cannot hold it, or
// the whole ring cannot, or it would be cut into more than LAYOUT_PIECES; -EIO: faulted. On an
// error nothing is consumed. Under the queue's lock.
int ring_put(struct ring *ring, const struct frame *frame);

// The same in a straight line for n packets that the receiver gets as they came, without any
// offload. Returns how many, from the first on, it has put: as long as buffers were read ahead and
// each held its frame whole; none while writes are logged. ring_put takes the others. Under the
// queue's lock.
unsigned ring_put_plain(struct ring *ring, struct packet *const *packets, unsigned n);

// Whether there are buffers that no frame has used, as far as was seen; *posted: how many the
// driver has ever made available, modulo 2^16. Under the queue's lock.
static inline bool ring_has_buffers(const struct ring *ring, uint16_t *posted)
{
	*posted = ring->avail_seen;
	return ring->avail_seen != ring->next_avail;
}

// Logs the pages written, publishes the used index, leaves the signal to ring_signals_send, and
// reads the buffers of the next burst ahead. Call once after the burst. Signals of other rings must
// not be sent under this one's lock: see that there is room for one more before taking it
// (ring_signals_make_room).
void ring_put_end(struct ring *ring, struct ring_signals *signals);

// What driver and device have published of the ring: indexes that only grow.
struct ring_progress {
	uint16_t avail; // buffers that the driver has made available
	uint16_t used;  // ... and that it was given back
	uint16_t event; // the used index at which it wants a signal; 0 without the event index
	uint16_t size;
	uint64_t number; // the ring's own
};
// Reads the ring's memory and nothing of the using thread's. Any RCU reader.
void ring_progress(const struct ring *ring, struct ring_progress *progress);

// --- notifications -------------------------------------------------------------------------------

// Signals the guests of the noted rings that asked for it, and forgets the rings. The sooner after
// the used index was moved, the longer its fence takes. It must be called before the worker's next
// quiescent state, for then a ring may go. The worker, without a queue's lock.
void ring_signals_send(struct ring_signals *signals);

// Sends them only if no other ring could be noted. The worker, without a queue's lock.
static inline void ring_signals_make_room(struct ring_signals *signals)
{
	if (signals->count == RING_SIGNALS_MAX)
		ring_signals_send(signals);
}

// Asks the driver to notify from now on (virtio 1.2, 2.7.10). The caller then issues a full fence
// over all rings it arms and looks at ring_pending again before it sleeps. Owner.
void ring_arm(struct ring *ring);
// Asks the driver not to notify. Owner.
void ring_disarm(struct ring *ring);
// Signals regardless of what the driver asked, e.g. once after republishing. Never blocks on a
// non-blocking eventfd; a full counter counts as signalled. Any worker.
void ring_signal(struct ring *ring);

#endif

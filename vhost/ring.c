// SPDX-License-Identifier: BSD-3-Clause
// A ring's set-up and its notifications in both directions. ring_chain.c walks descriptors,
// ring_take.c has the from-vm side and ring_put.c the to-vm side.
//
// Two orders with the driver matter here. What we wrote must be visible before the used index
// (release), and the index must be visible before we look whether the driver wants a signal (full
// fence): the driver, the other way round, asks for a signal and then looks at the index. That
// fence is one for all rings of a burst (ring_signals_send). The same holds mirrored for ring_arm,
// whose fence is the caller's.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vhost/ring_log.h"
#include "vhost/ring_private.h"

enum {
	RING_SIZE_MAX = 32768
};

const char *ring_fault_text(enum ring_fault fault)
{
	static const char *const texts[RING_FAULT_COUNT] = {[RING_OK] = "no fault",
#define X(id, text) [RING_FAULT_##id] = (text),
		RING_FAULTS(X)
#undef X
	};
	return (unsigned)fault < RING_FAULT_COUNT ? texts[fault] : "unknown fault";
}

static bool aligned(const void *p, uintptr_t to)
{
	return p && !((uintptr_t)p & (to - 1));
}

int ring_init(struct ring *ring, const struct ring_setup *setup)
{
	static uint64_t last_number; // any thread's
	uint16_t size = setup->size;
	const struct guest_memory *mem = setup->mem;
	if (!size || size > RING_SIZE_MAX || (size & (size - 1)))
		return -EINVAL;
	if (!aligned(setup->desc, VRING_DESC_ALIGN_SIZE) ||
		!aligned(setup->avail, VRING_AVAIL_ALIGN_SIZE) ||
		!aligned(setup->used, VRING_USED_ALIGN_SIZE))
		return -EINVAL;
	if (!mem || !mem->nregions || mem->nregions > MEMORY_REGIONS_MAX)
		return -EINVAL;
	// In whole lines.
	struct ring_ahead *ahead = aligned_alloc(64, sizeof(*ahead));
	if (!ahead)
		return -ENOMEM;
	struct ring_log *log = setup->log ? calloc(1, sizeof(*log)) : NULL;
	if (setup->log && !log) {
		free(ahead);
		return -ENOMEM;
	}
	if (log) {
		log->log = setup->log;
		log->used_addr = setup->used_addr;
	}

	uint64_t features = setup->features;
	bool mergeable = features & (1ULL << VIRTIO_NET_F_MRG_RXBUF);
	bool long_header = mergeable || features & (1ULL << VIRTIO_F_VERSION_1);
	*ring = (struct ring){
		.desc = setup->desc,
		.avail = setup->avail,
		.used = setup->used,
		.near = &mem->regions[0],
		.ahead = ahead,
		.log = log,
		.size = size,
		.mask = size - 1,
		.next_avail = setup->next_avail,
		.next_used = setup->next_used,
		.avail_seen = setup->next_avail,
		.ahead_end = setup->next_avail,
		.published = setup->next_used,
		.vnet_size = long_header ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
					 : sizeof(struct virtio_net_hdr),
		.event_idx = features & (1ULL << VIRTIO_RING_F_EVENT_IDX),
		.indirect = features & (1ULL << VIRTIO_RING_F_INDIRECT_DESC),
		.mergeable = mergeable,
		.call_fd = setup->call_fd,
		.mem = mem,
		.number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED),
	};
	ring_disarm(ring);
	return 0;
}

void ring_fini(struct ring *ring)
{
	free(ring->log);
	free(ring->ahead);
	ring->log = NULL;
	ring->ahead = NULL;
}

void ring_set_fault(struct ring *ring, enum ring_fault fault)
{
	if (ring_ok(ring))
		atomic_store_explicit(&ring->fault, (int)fault, memory_order_relaxed);
}

unsigned ring_available(struct ring *ring, unsigned want)
{
	uint16_t n = ring->avail_seen - ring->next_avail;
	if (n >= want)
		return n;
	uint16_t index = __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE);
	// Nor may it go back: what was read ahead is used by what was known.
	uint16_t known = n;
	n = index - ring->next_avail;
	if (unlikely(n > ring->size || n < known)) {
		ring_set_fault(ring, RING_FAULT_INDEX_JUMP);
		return 0;
	}
	ring->avail_seen = index;
	return n;
}

bool ring_pending(struct ring *ring)
{
	if (!ring_ok(ring))
		return false;
	if (ring->avail_seen != ring->next_avail)
		return true;
	// Where entries came they go on coming: what will be read next is fetched together with the
	// index and not after it. While none come, the driver keeps its lines.
	if (ring->expecting) {
		__builtin_prefetch(&ring->avail->ring[ring->next_avail & ring->mask]);
		__builtin_prefetch(&ring->desc[ring->next_head & ring->mask]);
	}
	uint16_t index = __atomic_load_n(&ring->avail->idx, __ATOMIC_RELAXED);
	ring->expecting = index != ring->next_avail;
	return ring->expecting;
}

// used_event and avail_event stand behind the last entry of the avail and the used ring.
static bool driver_wants_signal(const struct ring *ring, uint16_t from)
{
	if (!ring->event_idx)
		return !(__atomic_load_n(&ring->avail->flags, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	if (!atomic_load_explicit(&ring->signalled_once, memory_order_relaxed))
		return true;
	uint16_t event = __atomic_load_n(&ring->avail->ring[ring->size], __ATOMIC_RELAXED);
	// Another worker may have moved it on since; then it is asked twice, which does no harm.
	uint16_t now = __atomic_load_n(&ring->used->idx, __ATOMIC_RELAXED);
	return vring_need_event(event, now, from);
}

void ring_progress(const struct ring *ring, struct ring_progress *progress)
{
	*progress = (struct ring_progress){
		.avail = __atomic_load_n(&ring->avail->idx, __ATOMIC_RELAXED),
		.used = __atomic_load_n(&ring->used->idx, __ATOMIC_RELAXED),
		.size = ring->size,
		.number = ring->number,
	};
	if (ring->event_idx)
		progress->event = __atomic_load_n(&ring->avail->ring[ring->size], __ATOMIC_RELAXED);
}

void ring_signals_send(struct ring_signals *signals)
{
	if (!signals->count)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < signals->count; i++) {
		struct ring *ring = signals->due[i].ring;
		if (driver_wants_signal(ring, signals->due[i].from))
			ring_signal(ring);
	}
	signals->count = 0;
}

static void note_signal(struct ring_signals *signals, struct ring *ring, uint16_t from)
{
	for (unsigned i = 0; i < signals->count; i++)
		if (signals->due[i].ring == ring)
			return; // with the older `from`
	if (unlikely(signals->count == RING_SIGNALS_MAX))
		ring_signals_send(signals); // not under a lock: see ring_put_end
	signals->due[signals->count].ring = ring;
	signals->due[signals->count].from = from;
	signals->count++;
}

void ring_publish(struct ring *ring, struct ring_signals *signals)
{
	uint16_t from = ring->published;
	// What it was told may have been written nowhere.
	if (unlikely(atomic_load_explicit(&ring->mem->gone, memory_order_relaxed))) {
		ring_set_fault(ring, RING_FAULT_MEMORY_GONE);
		return;
	}
	if (unlikely(ring->log))
		ring_log_flush(ring);
	__atomic_store_n(&ring->used->idx, ring->next_used, __ATOMIC_RELEASE);
	ring->published = ring->next_used;
	if (unlikely(ring->log))
		ring_log_used(ring, from);
	if (ring->call_fd >= 0)
		note_signal(signals, ring, from);
}

void ring_signal(struct ring *ring)
{
	if (ring->call_fd < 0)
		return;
	static const uint64_t one = 1;
	atomic_store_explicit(&ring->signalled_once, true, memory_order_relaxed);
	atomic_fetch_add_explicit(&ring->signals, 1, memory_order_relaxed);
	// EAGAIN: the counter is full, so the guest has a signal that it did not look at yet.
	// EINTR: the peer made the eventfd blocking, and a watchdog got this thread out of it.
	if (write(ring->call_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		ring_set_fault(ring, RING_FAULT_CALL_BLOCKED);
}

static void set_avail_event(struct ring *ring, uint16_t index)
{
	__atomic_store_n((uint16_t *)&ring->used->ring[ring->size], index, __ATOMIC_RELAXED);
}

void ring_arm(struct ring *ring)
{
	if (ring->event_idx)
		set_avail_event(ring, ring->next_avail);
	else
		__atomic_store_n(&ring->used->flags, 0, __ATOMIC_RELAXED);
	if (unlikely(ring->log))
		ring_log_event(ring);
}

void ring_disarm(struct ring *ring)
{
	// With event indexes there is no "never": name an entry that lies behind the driver, so it
	// notifies once in 65536 entries.
	if (ring->event_idx)
		set_avail_event(ring, ring->next_avail - 1);
	else
		__atomic_store_n(&ring->used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
	if (unlikely(ring->log))
		ring_log_event(ring);
}

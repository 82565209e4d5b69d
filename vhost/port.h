// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user port: DPDK's vhost library speaks the protocol, port.c and its siblings keep the
// port's life in order around it, and publish rings to the workers by RCU pointers.
#ifndef WEIR_VHOST_PORT_H
#define WEIR_VHOST_PORT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"
#include "base/port_status.h"
#include "base/rcu.h"
#include "base/spin.h"
#include "vhost/ring.h"

// What workers see of a queue pair: vring 2 × pair + 1, the guest's transmitq, is from-vm; vring
// 2 × pair, its receiveq, is to-vm. The from-vm side has one reader and the to-vm side may have
// many, so each has a line of its own.
struct vhost_queue_pair {
	alignas(64) struct ring *from_vm; // RCU
	atomic_bool from_vm_enabled;
	_Atomic uint8_t due;            // enum vhost_due
	alignas(64) struct ring *to_vm; // RCU
	atomic_bool to_vm_locked;
};

// What the worker that owns a pair's from-vm ring is asked to do in its next round.
enum vhost_due {
	VHOST_DUE_SIGNAL_TO_VM = 1 << 0, // see vhost_port_signal
	VHOST_DUE_SIGNAL_FROM_VM = 1 << 1,
	VHOST_DUE_ANNOUNCEMENT = 1 << 2, // of pair 0; see vhost_port_announcement
};

// Begins what vhost_port_open made; the rest is vhost/control.h's.
struct vhost_port {
	struct vhost_queue_pair pairs[QUEUE_PAIRS_MAX];
	alignas(64) _Atomic uint64_t features;
	_Atomic uint64_t announcement; // a MAC as it lies in memory; 0: none to be made
	_Atomic uint32_t running;      // bit per pair whose to-vm ring is published
};

// Who drives the from-vm rings. Called on main or library threads, with the port's lock and
// possibly the library's queue locks held: no rte_vhost_* call, no RCU read side, no vhost_port_*
// call from inside. They may come before vhost_port_open returns.
struct vhost_port_events {
	// from-vm ring `pair` is published; poll it once, for a kick may have been lost while it
	// was not. kick_fd is an eventfd that stays open until the matching ring_down returns; wait
	// on it edge-triggered, never read it. -1: the guest never kicks, so the ring must be
	// polled.
	void (*ring_up)(void *ctx, unsigned pair, int kick_fd);
	// It is being unpublished: stop waiting on kick_fd. The grace period follows the call.
	void (*ring_down)(void *ctx, unsigned pair, int kick_fd);
	// vhost_port_due has become true of `pair`: wake the pair's worker.
	void (*wake)(void *ctx, unsigned pair);
	// The guest asked (SEND_RARP) or its queues came up: something about the port changed.
	// Cheap.
	void (*changed)(void *ctx);
};

// Creates the port and starts listening or connecting. `path` is the absolute socket path; events
// stay valid until the port is closed, config is copied.
// Returns 0 and *out, or -errno with a sentence: a path that cannot be bound, a library refusal.
// What can mend itself by waiting (no VMM, no permission yet) is no error but a state.
// Main thread, EAL initialised.
int vhost_port_open(struct vhost_port **out, const char *name, const char *path,
	const struct config_vhost_user *config, uint16_t mtu,
	const struct vhost_port_events *events, void *ctx, struct error *err);

// Unpublishes all rings, waits for a grace period, unregisters from the library, frees. Calls
// ring_down for what was up. Main thread; must not hold a lock that the events take. No worker may
// see the port any more: unpublish whatever leads to it and wait for a grace period before.
void vhost_port_close(struct vhost_port *port);

// Whether vhost_port_signal or vhost_port_announcement has something to do. The worker that owns
// the from-vm ring looks in each round. Workers.
static inline bool vhost_port_due(struct vhost_port *port, unsigned pair)
{
	return atomic_load_explicit(&port->pairs[pair].due, memory_order_relaxed);
}

// Tells the guest, once, that a ring of the pair was published: what was used before may not have
// been signalled, or to an older eventfd. A worker does so and not the thread that publishes: a
// peer that makes its eventfd block stops whoever writes to it, and only a worker is watched.
// Workers, inside a round.
void vhost_port_signal(struct vhost_port *port, unsigned pair);

// A guest that was migrated and cannot announce itself is now here: its VMM has sent SEND_RARP, and
// a RARP request with *mac as its source is to enter the bridge by this port, though the guest
// never sent it. False if there is none. The worker that owns the pair, inside a round.
bool vhost_port_announcement(struct vhost_port *port, unsigned pair, uint8_t mac[6]);

// The rings of a queue pair, or NULL while it is not running. Workers, inside a round (RCU); the
// result is valid until the next quiescent state.
static inline struct ring *vhost_port_from_vm(struct vhost_port *port, unsigned pair)
{
	return rcu_dereference(port->pairs[pair].from_vm);
}

static inline struct ring *vhost_port_to_vm(struct vhost_port *port, unsigned pair)
{
	return rcu_dereference(port->pairs[pair].to_vm);
}

// Taken once per burst around the use of a to-vm ring; never nested. Workers.
static inline void vhost_port_to_vm_lock(struct vhost_port *port, unsigned pair)
{
	spin_lock(&port->pairs[pair].to_vm_locked);
}

static inline void vhost_port_to_vm_unlock(struct vhost_port *port, unsigned pair)
{
	spin_unlock(&port->pairs[pair].to_vm_locked);
}

// Queue pairs that the guest has enabled (to-vm rings published), as a bit mask. Workers.
static inline uint32_t vhost_port_pairs(struct vhost_port *port)
{
	return atomic_load_explicit(&port->running, memory_order_relaxed);
}

// A disabled from-vm ring (SET_VRING_ENABLE 0, still running) is to be drained and discarded.
static inline bool vhost_port_from_vm_enabled(struct vhost_port *port, unsigned pair)
{
	return atomic_load_explicit(&port->pairs[pair].from_vm_enabled, memory_order_relaxed);
}

// Negotiated features as of the published rings: ask after the ring. Workers.
static inline uint64_t vhost_port_features(struct vhost_port *port)
{
	return atomic_load_explicit(&port->features, memory_order_relaxed);
}

// The state now, for `weirctl port list`. Looks at the socket's file and at time-outs, so a state
// such as `memory not shared` appears by asking. Main thread; must not hold a lock that the events
// take.
void vhost_port_status(struct vhost_port *port, struct port_status *out);

// Virtio features offered to a VMM, which adds its own (VIRTIO_NET_F_MAC, _STATUS, …). Any thread.
uint64_t vhost_offered_features(void);

#endif

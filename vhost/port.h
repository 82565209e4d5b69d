// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user port: DPDK's vhost library speaks the protocol, this file keeps the port's life in
// order around it, and publishes rings to the workers by RCU pointers.
#ifndef WEIR_VHOST_PORT_H
#define WEIR_VHOST_PORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"
#include "base/rcu.h"
#include "vhost/ring.h"

struct vhost_port;

// One table gives the enum and the stable name. The sentence, with reason and mend, is computed.
#define VHOST_PORT_STATES(X)                                                                       \
	X(WAITING_VMM, "waiting for the VMM")                                                      \
	X(PERMISSION, "permission denied")                                                         \
	X(WAITING_DRIVER, "waiting for the guest driver")                                          \
	X(NOT_SHARED, "memory not shared")                                                         \
	X(UP, "up")                                                                                \
	X(FAULTED, "faulted")

enum vhost_port_state {
#define X(id, name) VHOST_PORT_##id,
	VHOST_PORT_STATES(X)
#undef X
};

struct vhost_port_status {
	enum vhost_port_state state;
	char text[256];    // e.g. "faulted: descriptor loop in queue 1"; what the state column shows
	char mend[384];    // what to do about it; empty when nothing is to be done
	uint64_t features; // negotiated virtio features, 0 if none
	uint16_t guest_mtu; // as the VMM told by NET_SET_MTU; 0: it did not
	uint16_t pairs;     // queue pairs whose both rings are running
	uint32_t reconnects;
	uint32_t refused; // second connections refused
	pid_t peer_pid;   // 0: not connected or unknown
};

// Who drives the from-vm rings. Called on main or library threads, possibly with the library's
// queue locks held: no rte_vhost_* call, no RCU read side, no port_* call from inside.
struct vhost_port_events {
	// from-vm ring `pair` is published. kick_fd is an eventfd that stays open until the matching
	// ring_down returns; wait on it edge-triggered, never read it.
	void (*ring_up)(void *ctx, unsigned pair, int kick_fd);
	// It is being unpublished: stop waiting on kick_fd. The grace period follows the call.
	void (*ring_down)(void *ctx, unsigned pair, int kick_fd);
	// The guest asked (SEND_RARP) or its queues came up: something about the port changed. Cheap.
	void (*changed)(void *ctx);
};

// Creates the port and starts listening or connecting. `path` is the absolute socket path.
// Returns 0 and *out, or -errno with a sentence: a path that cannot be bound, a library refusal.
// What can mend itself by waiting (no VMM, no permission yet) is no error but a state.
// Main thread, EAL initialised.
int vhost_port_open(struct vhost_port **out, const char *name, const char *path,
	const struct config_vhost_user *config, uint16_t mtu, const struct vhost_port_events *events,
	void *ctx, struct error *err);

// Unpublishes all rings, waits for a grace period, unregisters from the library, frees. Calls
// ring_down for what was up. Main thread; must not hold a lock that the events take.
void vhost_port_close(struct vhost_port *port);

// The rings of a queue pair, or NULL while it is not running. Workers, inside a round (RCU); the
// result is valid until the next quiescent state.
struct ring *vhost_port_from_vm(struct vhost_port *port, unsigned pair);
struct ring *vhost_port_to_vm(struct vhost_port *port, unsigned pair);
// Taken once per burst around the use of a to-vm ring; never nested. Workers.
void vhost_port_to_vm_lock(struct vhost_port *port, unsigned pair);
void vhost_port_to_vm_unlock(struct vhost_port *port, unsigned pair);
// Queue pairs that the guest has enabled (to-vm rings published), as a bit mask. Workers.
uint32_t vhost_port_pairs(struct vhost_port *port);
// A disabled from-vm ring (SET_VRING_ENABLE 0, still running) is to be drained and discarded.
bool vhost_port_from_vm_enabled(struct vhost_port *port, unsigned pair);
// Negotiated features as of the published rings. Workers.
uint64_t vhost_port_features(struct vhost_port *port);

// The state now, for `weirctl port list`. Looks at the socket's file and at time-outs, so a state
// such as `memory not shared` appears by asking. Main thread.
void vhost_port_status(struct vhost_port *port, struct vhost_port_status *out);

// Virtio features ever offered to a guest. Static.
uint64_t vhost_offered_features(void);

#endif

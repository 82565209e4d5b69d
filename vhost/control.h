// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user port as its own files see it. The life of a port:
//
//   open ── connected ── memory valid ── running ── rings published ── … ── close
//
// Each step depends on the ones before it, and each can be undone by a message at any time. So no
// step is remembered as a consequence of a message: a hook changes the one fact its message speaks
// of, and rings_publish then derives from all facts which rings may be used.
//
// The protocol is the vhost library's, on its threads (one for events of all sockets, one for
// connecting again, and the main thread inside vhost_port_open and vhost_port_close). Its handlers
// unmap memory, free queues and move rings, so before it handles such a message, the rings that the
// message can touch are taken down (rings_quiesce): the events' ring_down, NULL published, one
// grace period, the ring's position given back to the library, everything freed.
//
// Synchronisation. `lock` guards all below it; workers see only struct vhost_port, whose pointers
// are RCU. Lock order: the library's locks → lock → what the events take. So hooks run with `lock`
// under the library's queue locks, and neither they nor whoever holds `lock` call
// - rte_vhost_vring_call, rte_vhost_enable_guest_notification: they take the queue lock again;
// - rte_vhost_driver_*: they take the library's global lock, under which vhost_port_close's
//   unregistering waits for the connecting thread, which may be in our hook.
// vhost_port_close does not hold `lock` while it unregisters: that waits for running hooks.
#ifndef WEIR_VHOST_CONTROL_H
#define WEIR_VHOST_CONTROL_H

#include <pthread.h>

#include "vhost/mapping.h"
#include "vhost/port.h"

enum {
	VRINGS_MAX = 2 * QUEUE_PAIRS_MAX,
	// What the library has for a queue that was given no fd yet. -1 is a guest that polls.
	FD_UNSET = -2,
};

#define NS_PER_S 1000000000ull

struct vhost_vring {
	struct ring *ring;     // as published; NULL: it is not
	int kick_fd;           // duplicates, for as long as ring is there; -1: none
	int call_fd;           //
	bool enabled;          // as the library has it
	enum ring_fault fault; // of a ring since taken down; kept until the guest's reset
	const char *unusable;  // why it cannot be published; NULL: no reason
	// By what guest address writes to the used ring are to be logged, if SET_VRING_ADDR gave
	// one.
	bool used_logged;
	uint64_t used_log_addr;
};

// What the peer told on the connection at hand.
struct vhost_peer {
	pid_t pid;
	uint8_t status;          // of the last SET_STATUS
	uint64_t features;       // of the last SET_FEATURES
	uint64_t features_at_ns; // 0: none yet
	uint16_t mtu;
	bool has_table;        // it sent SET_MEM_TABLE, valid or not
	bool memory_untouched; // what its table speaks of holds zeros
	bool memory_lost;      // what had been taken away is still lost under the table to come
	bool memory_renewed;   // the library's mappings are not of the files it has for them
	bool failed;           // `failure` speaks of this connection
	// The request that the library is handling, since when; a failing one skips the post hook.
	uint32_t request;
	uint64_t request_at_ns;
};

struct vhost_control {
	struct vhost_port port; // what the workers see; first
	// Constant from open to close.
	char name[NAME_SIZE];
	char path[SOCKET_PATH_SIZE];
	struct config_vhost_user config;
	uint16_t mtu;
	const struct vhost_port_events *events;
	void *ctx;
	struct vhost_control *next; // under the table's lock in port.c

	pthread_mutex_t lock;
	bool closing;
	int vid; // the library's device; -1: not connected
	struct vhost_peer peer;
	struct guest_memory *memory; // NULL: no valid table
	// Of its regions, where they are for the workers (NULL: where the library has them), and
	// for the library.
	struct mapping *mappings[MEMORY_REGIONS_MAX];
	uint8_t *library[MEMORY_REGIONS_MAX];
	struct dirty_log log; // what of its file is mapped
	bool running;         // the library has seen a started pair 0 and has not stopped it
	uint64_t running_at_ns;
	struct vhost_vring vrings[VRINGS_MAX];
	uint32_t connections;
	uint32_t refused;
	uint32_t announcements;
	uint8_t announce_mac[6];
	uint64_t disconnected_at_ns;
	char failure[160]; // what the last refused message was; empty: none since the port was up
};

static inline struct vhost_control *vhost_control(struct vhost_port *port)
{
	return (struct vhost_control *)port;
}

// Whether the VMM has taken memory away that its last table spoke of, or the log. Under the lock.
static inline bool vhost_memory_gone(const struct vhost_control *c)
{
	return (c->memory && atomic_load(&c->memory->gone)) || atomic_load(&c->log.gone);
}

// The port whose device vid is, or NULL. It stays until the hook that asked returns. Library
// threads.
struct vhost_control *vhost_control_of(int vid);

uint64_t vhost_now_ns(void);

#endif

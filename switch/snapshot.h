// SPDX-License-Identifier: BSD-3-Clause
// The snapshot: the immutable, compiled form of the whole configuration, published by one RCU
// pointer. A worker reads the pointer once per round and uses what it finds until the round ends.
//
// Beside it stand the things that outlive a snapshot because packets or guests change them: bridges
// (their MAC tables), ports (their vhost-user end and counters) and shared rates. A snapshot points
// to them; they are freed after the grace period that follows the first snapshot without them.
#ifndef WEIR_SWITCH_SNAPSHOT_H
#define WEIR_SWITCH_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/drop.h"
#include "conntrack/table.h"
#include "switch/drop_sample.h"
#include "switch/agenda.h"
#include "switch/budget.h"
#include "switch/chain.h"
#include "switch/counter.h"
#include "switch/guard_check.h"
#include "switch/history.h"
#include "switch/mac_table.h"
#include "switch/police.h"
#include "switch/queue.h"
#include "switch/rules.h"
#include "switch/scheduler.h"
#include "switch/shape.h"
#include "switch/stall.h"
#include "switch/zones.h"
#include "switch/switch.h"
#include "vhost/port.h"

enum {
	VLAN_NONE = VLAN_COUNT
};

struct nic; // switch/nic.h

enum {
	BRIDGE_NUMBERS = 2 * BRIDGES_MAX, // a change can replace all bridges
};

struct bridge {
	uint16_t number;             // below BRIDGE_NUMBERS; what a connection's zone names
	struct config_bridge config; // main thread
	_Atomic uint32_t ageing_s;   // changed live
	struct mac_table *macs;
	uint16_t nmembers; // while compiling
};

struct queue_counters {
	struct counter from_vm __attribute__((aligned(64)));
	struct counter policed;  // of both, what policing has dropped
	struct counter segments; // what TSO frames, of a port with rates, counted beyond that
	struct counter to_vm __attribute__((aligned(64)));
	struct counter to_vm_segments; // likewise, where they were delivered whole
};

// Drops of one port as counted by one worker.
struct drop_counters {
	_Atomic uint64_t of[DROP_REASON_COUNT];
} __attribute__((aligned(64)));

static inline void drop_count(struct drop_counters *drops, enum drop_reason reason, uint64_t n)
{
	atomic_store_explicit(&drops->of[reason],
		atomic_load_explicit(&drops->of[reason], memory_order_relaxed) + n,
		memory_order_relaxed);
}

// What is flooded, by why.
enum flood {
	FLOOD_BROADCAST,
	FLOOD_MULTICAST,
	FLOOD_UNKNOWN, // to one address, of which nobody knows where it is
	FLOOD_KINDS
};

// Whether the guest of a network function's port takes what it gets.
enum port_taking {
	PORT_TAKES,
	PORT_TAKES_NOTHING,
	PORT_NOT_SEEN // it has no ring, or had none at the last look
};

// A port's lasting half. Fields without a note belong to the main thread.
struct port {
	uint16_t id; // 1…PORT_IDS-1; what the MAC table names
	struct config_port config;
	char socket_path[SOCKET_PATH_SIZE];
	struct weir_switch *sw;
	struct bridge *bridge;
	struct vhost_port *vhost; // of a VM; NULL: not open, for the reason in `failure`
	struct nic *nic;          // of a NIC; likewise
	struct error failure;
	uint64_t retry_at_ns;
	bool forget; // its addresses have changed: with the next publication what was learned goes
	char last_text[256];             // state as last reported
	_Atomic bool changed;            // set by any thread: the state is to be looked at soon
	uint16_t owner[QUEUE_PAIRS_MAX]; // worker of each from-vm queue; fixed
	struct history passed[2];        // RATE_FROM_VM, RATE_TO_VM: bytes and packets
	// Shared by the workers of its queues; only what has a limit touches them.
	struct budget budgets[FLOOD_KINDS] __attribute__((aligned(64)));
	struct budget new_connections[2]; // of those that begin there, and that come to it
	struct shaper shaper __attribute__((aligned(64)));
	struct police police __attribute__((aligned(64)));
	struct to_vm_queue *queue; // NULL: it has never had rate.to-vm
	// Main thread's, of the queue: what is, or will be, in use once that was published.
	struct scheduler *scheduler;
	enum config_scheduler scheduler_kind;
	struct scheduler_settings settings; // the scheduler's
	uint64_t queue_version;             // of scheduler and settings
	struct scheduler *retired;          // by next_retired
	// As published, main thread's.
	struct rate_limit from_vm_limit, to_vm_limit;
	// Of a network function: whether its guest takes what it gets; the janitor looks.
	struct stall stalls[QUEUE_PAIRS_MAX];
	_Atomic uint8_t taking; // enum port_taking
	// By queue pair; of a NIC by receive queue and by transmit queue, of which it has no more.
	struct queue_counters counters[QUEUE_PAIRS_MAX]; // workers write
	struct drop_sample samples[DROP_REASON_COUNT];   // workers write
	struct drop_counters drops[];                    // one per worker
};

// The lasting half of a rate that several ports share.
struct shared_rate {
	struct config_shared config; // main thread; members are its own
	struct share share;          // workers
	struct shared_rate *next_gone;
};

// A port's compiled half: all that a worker needs to know about it.
struct port_view {
	struct port *port;
	struct vhost_port *vhost; // of a VM; NULL: not open
	struct nic *nic;          // of a NIC; NULL: not open
	struct bridge *bridge;
	uint16_t id;
	uint16_t untagged_vlan; // of frames without a tag; VLAN_NONE: they are dropped
	uint16_t mtu;
	bool is_nic;
	bool trunk; // tags are understood and, but for untagged_vlan, kept
	bool has_budgets;
	bool connects; // its packets are tracked, for it or another port of its bridge has groups
	uint32_t zone; // of its bridge and VLAN 0
	uint32_t conn_limit;
	struct budget_rate new_connections;
	const struct group_list *groups; // NULL: none
	// Of chains that may take connections that begin there: their numbers, in their order.
	const uint16_t *chains;
	uint16_t nchains;
	bool is_chained; // chains go through its bridge
	// A network function's port, for a chain names it or it is said to be one: by a chain's
	// number its place there, or CHAIN_NO_PLACE. It is no member of its bridge: it gets what a
	// chain sends there, and all that it sends is one's.
	const uint8_t *places; // NULL: it is none
	bool is_routed;        // ... and its hop is, in a chain at least
	bool gets_echoes;      // ... and it is the right one, where probes of such a hop come out
	// What tells its chains apart; NULL: nothing. Of tags, the port is a trunk of them.
	const struct chain_mark *marks;
	bool is_nsh; // it is NSH; then nothing is left to the receiver to complete
	// A recognised NF's right port, in a chain at least: what it sends begins connections.
	// Towards that side it is a host of its bridge, and asks for its neighbours as they for it.
	bool is_host;
	uint16_t behind; // likewise: the chain; 0: the packet tells it
	uint8_t mac[6];  // its addresses.mac
	bool has_hosts;  // there are such ports in its bridge
	uint32_t mac_limit;
	const struct guard *guard; // NULL: its packets may have any addresses
	const uint16_t *peers;     // all ports of its bridge that get floods, itself too
	uint16_t npeers;
	struct budget_rate budgets[FLOOD_KINDS];
	struct shaping shaping; // of what it sends
	bool is_policed;
	struct police_profile police;
	struct queueing queueing; // of what it receives
	uint64_t members[VLAN_COUNT / 64];
};

// Whether a frame of this VLAN, one of the port's, carries a tag there.
static inline bool view_tags(const struct port_view *view, uint16_t vlan)
{
	return view->trunk && vlan != view->untagged_vlan;
}

static inline bool view_is_member(const struct port_view *view, uint16_t vlan)
{
	return view->members[vlan / 64] >> (vlan % 64) & 1;
}

struct queue_ref {
	const struct port_view *view;
	uint16_t pair;
};

struct worker_queues {
	uint32_t count;
	struct queue_ref *refs;
	struct agenda agenda; // the worker's own
	// Ports of which it owns the to-vm queue.
	uint32_t nto_vm;
	const struct port_view **to_vm;
	struct agenda to_vm_agenda; // the worker's own
};

struct snapshot {
	uint64_t generation;
	enum config_poll poll;
	const struct port_view *views[PORT_IDS]; // by port id; NULL: no such port
	struct port_view *all;
	struct guard *guards;
	struct group_list *groups;
	struct conn_table *conns; // NULL: no port has groups
	const struct rules *rules;
	struct zones *zones; // NULL: likewise
	uint32_t epoch;      // of the policy; never 0
	uint32_t built_in;
	struct track_settings track;
	const struct chain_view *chains[CONN_CHAINS]; // by number; NULL: there is none
	struct chain_view *all_chains;
	uint16_t *candidates;
	uint8_t (*places)[CONN_CHAINS];
	uint32_t nprobes;
	struct probe_view *probes;
	struct chain_mark *marks;
	size_t nmarks;
	struct chain_macs *macs; // by connection; NULL: no hop has been routed yet
	uint16_t *peers;
	struct queue_ref *refs;
	const struct port_view **to_vm;
	uint64_t *agendas;
	uint32_t nshared;
	struct share_view *shared;
	struct share_part *shared_members;
	uint16_t nworkers;
	struct worker_queues queues[WORKERS_MAX];
};

// What a snapshot has beside ports.
struct snapshot_options {
	uint64_t generation;
	uint16_t nworkers;
	enum config_poll poll;
	struct conn_table *conns;
	const struct rules *rules;
	uint32_t epoch;
	uint32_t built_in;
	struct track_settings track;
	struct shared_rate *const *shared;
	size_t nshared;
	struct chain *const *chains; // in the order in which they are asked
	size_t nchains;
	struct chain_macs *macs;
};

// Compiles the switch's present ports and bridges. NULL: no memory. Main thread.
struct snapshot *snapshot_compile(
	struct port *const *ports, size_t nports, const struct snapshot_options *options);
// Parts of it. `ports` are in the order of their names. False: no memory.
// The view of the port with that name; NULL: none is there.
struct port_view *snapshot_view(
	struct snapshot *s, struct port *const *ports, size_t nports, const char *name);
// Chains and the ports of network functions. Behind the views, before their peers.
bool snapshot_chains(struct snapshot *s, struct port *const *ports, size_t nports,
	const struct snapshot_options *options);
// Who shares a rate with whom.
bool snapshot_shares(struct snapshot *s, struct port *const *ports, size_t nports,
	const struct snapshot_options *options);
// After the grace period. Main thread.
void snapshot_free(struct snapshot *snapshot);

#endif

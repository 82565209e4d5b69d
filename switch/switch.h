// SPDX-License-Identifier: BSD-3-Clause
// The switch as the control plane sees it: configuration in, state out. All functions are for the
// main thread unless they say otherwise; none blocks longer than a grace period and what the vhost
// library takes to close a socket.
#ifndef WEIR_SWITCH_SWITCH_H
#define WEIR_SWITCH_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/drop.h"
#include "base/error.h"
#include "switch/drop_sample.h"
#include "vhost/port.h"

struct weir_switch;

struct switch_options {
	const char *run_dir; // absolute; RUN_DIR/vm exists and is usable for the VMM's user
};

// Starts workers and janitor with an empty configuration of ports, then applies `config`. EAL is
// initialised. 0 and *out, or -errno with a sentence (a CPU that does not exist, no memory).
int switch_create(struct weir_switch **out, const struct config *config,
	const struct switch_options *options, struct error *err);
// Closes all ports, stops the threads, frees.
void switch_destroy(struct weir_switch *sw);

// Makes the running switch equal to `config` (copied), or changes nothing and says why. Ports whose
// own entry is unchanged, or changed in live keys only, keep running. A port that cannot open is no
// error: it is `faulted: reason` and tried again each second. Restart-only keys keep their old
// effect.
int switch_apply(struct weir_switch *sw, const struct config *config, struct error *err);
// The same checks, no change.
int switch_check(struct weir_switch *sw, const struct config *config, struct error *err);

// To be called about every 100 ms: reopens faulted ports and reports changes of state to the
// callback given by switch_on_change (log and `watch` notifications).
typedef void switch_change_fn(
	void *ctx, const char *port, const struct port_status *now, const char *before);
void switch_on_change(struct weir_switch *sw, switch_change_fn *fn, void *ctx);
void switch_poll(struct weir_switch *sw);

struct traffic {
	uint64_t packets;
	uint64_t bytes;
};

struct queue_info {
	bool running;   // the guest uses this queue pair
	int worker_cpu; // that polls the from-vm queue
	struct traffic from_vm;
	struct traffic to_vm;
};

struct port_info {
	uint16_t id; // stable while the port exists
	const struct config_port *config;
	char socket_path[SOCKET_PATH_SIZE]; // absolute
	struct port_status status;
	struct traffic from_vm;            // of a NIC: what came in
	struct traffic to_vm;              // of a NIC: what went out
	uint64_t drops[DROP_REASON_COUNT]; // running totals
	uint64_t drops_total;
	uint32_t macs; // learned behind it
	uint16_t nqueues;
	struct queue_info queues[QUEUE_PAIRS_MAX];
};

struct port_statistic {
	char name[64]; // as the device's driver calls it
	uint64_t value;
};
// What a NIC counts by itself, as far as it is not zero: how many of max were filled. 0 for a VM.
size_t switch_port_statistics(
	struct weir_switch *sw, const char *name, struct port_statistic *statistics, size_t max);

size_t switch_port_count(const struct weir_switch *sw);
// By position, sorted by name; false beyond the end.
bool switch_port_at(struct weir_switch *sw, size_t position, struct port_info *info);
bool switch_port_find(struct weir_switch *sw, const char *name, struct port_info *info);

struct drop_last {
	uint64_t time_ns; // since 1970; late by what the switch lets pass from one sample to the
			  // next
	uint16_t len;
	uint8_t header[DROP_HEADER_SIZE]; // the frame's first bytes
};
// The last frame that a port dropped for a reason. False: none, or there is no such port.
bool switch_drop_last(const struct weir_switch *sw, const char *port, enum drop_reason reason,
	struct drop_last *last);

struct fdb_entry {
	uint8_t mac[6];
	uint16_t vlan;
	char port[NAME_SIZE];
	uint32_t age_s; // since last seen as a source
};
// Walks a bridge's MAC table from *cursor (0: start); returns how many of max were filled and moves
// *cursor; *cursor is 0 after the last. Entries that come and go meanwhile may be missed. -ENOENT.
int switch_fdb_list(struct weir_switch *sw, const char *bridge, uint32_t *cursor,
	struct fdb_entry *entries, size_t max);
// Forgets entries: of one port (NULL: all), of one VLAN (-1: all), one MAC (NULL: all). Returns the
// count, or -ENOENT.
int switch_fdb_flush(
	struct weir_switch *sw, const char *bridge, const char *port, int vlan, const uint8_t *mac);

struct bridge_info {
	const struct config_bridge *config;
	uint16_t number; // stable while the bridge exists
	uint32_t macs;
	uint32_t macs_max;
	uint64_t learned;
	uint64_t moved;
	uint64_t aged;
	uint64_t refused; // not learned: a port's limit or a full bucket
};
size_t switch_bridge_count(const struct weir_switch *sw);
// By position, sorted by name; false beyond the end.
bool switch_bridge_at(struct weir_switch *sw, size_t position, struct bridge_info *info);

struct worker_info {
	uint16_t cpu;
	uint64_t packets;
	uint64_t bursts;
	uint64_t busy_cycles;
	uint64_t idle_cycles;
	uint64_t polls;
	uint64_t sleeps;
	uint64_t tsc_hz;
	uint32_t queues;  // from-vm queues it owns
	uint64_t lookups; // of connections and of tracked packets' addresses
	uint64_t tracked; // packets that can belong to a connection
};
size_t switch_worker_count(const struct weir_switch *sw);
bool switch_worker_at(struct weir_switch *sw, size_t position, struct worker_info *info);

// --- rates (switch/inspect_rate.c)

enum rate_kind {
	RATE_FROM_VM,
	RATE_TO_VM,
	RATE_SHARED
};

// Who kept more from going, in the last second.
enum rate_limited {
	LIMITED_BY_GUEST, // nobody: there was no more to send
	LIMITED_BY_RATE,
	LIMITED_BY_WORKER,  // from-vm: it had no time left
	LIMITED_BY_RECEIVER // to-vm: its ring was full
};

// Per second. As the rate counts: a TSO frame as the packets that it becomes, with what
// `layer: wire` adds.
struct rate_speed {
	bool known; // false: it has not been looked at yet
	uint64_t bits, packets;
};

struct rate_status {
	const char *name; // of the port, or of the shared rate
	enum rate_kind kind;
	const struct config_rate *config;
	struct traffic passed; // running totals, counted likewise
	struct rate_speed last_1s, last_10s;
	struct traffic held;   // what waits for it
	uint64_t wait_ns;      // for how long the oldest of them has
	uint64_t marks, drops; // running totals
	enum rate_limited limited_by;
	const struct config_shared *shared; // RATE_SHARED: with its members
};
// By position: ports by name, from-vm before to-vm, then shared rates by name; false beyond the
// end. Names and configuration are the switch's and stay until the next change.
bool switch_rate_at(struct weir_switch *sw, size_t position, struct rate_status *status);
// What a member of a shared rate sends of it; false: there is no such port.
bool switch_rate_member(struct weir_switch *sw, const struct config_shared *shared,
	const char *port, struct rate_status *status);

// --- chains (switch/inspect_chain.c)

enum instance_state {
	INSTANCE_IN_SERVICE,
	INSTANCE_DOWN,    // a port of it is not up
	INSTANCE_STALLED, // for a second packets were pending in its to-vm ring and none was taken
	INSTANCE_SILENT   // its probes are not answered, or, since it came up, not yet
};

// What samples of the last seconds come to: how long packets spend in a network function. The
// nearest rank of each percentile; zeros where there are no samples.
struct time_spent {
	uint32_t samples;
	uint64_t p50_ns, p99_ns, max_ns;
};

struct instance_status {
	enum instance_state state;
	const char *port;     // the one that it is out of service for; NULL: in service
	uint32_t connections; // whose way leads through it
	// Delivered to it, running totals: of who began the connections, and of replies. They go on
	// as long as a chain of that name has such an instance in that hop.
	struct traffic original, reply;
	struct time_spent time; // of switch_chain_at
};

struct hop_status {
	uint64_t skipped;       // packets that passed an open hop by, a running total
	uint64_t closed;        // packets dropped at a closed one, a running total
	struct time_spent time; // in any of its instances
	struct instance_status instances[HOP_INSTANCES_MAX]; // in the order of the configuration
};

struct chain_status {
	const struct config_chain *config;
	uint32_t connections; // at present
	uint64_t begun;       // connections that it has taken, a running total
	struct hop_status hops[CHAIN_HOPS_MAX];
};
// By position, in the order in which they are asked; NULL, or false, beyond the end. The
// configuration is the switch's and stays until the next change. Counts are read while workers
// write them.
const struct config_chain *switch_chain_config(const struct weir_switch *sw, size_t position);
// Its number, as connection_filter has it; -1: there is none of that name.
int switch_chain_number(const struct weir_switch *sw, const char *name);
bool switch_chain_at(const struct weir_switch *sw, size_t position, struct chain_status *status);

// Called by switch_poll when an instance goes out of service, into it, or is out of it for another
// reason. `hop` and `instance` count from 0. A new instance is told once it is known.
typedef void switch_chain_change_fn(void *ctx, const struct config_chain *chain, size_t hop,
	size_t instance, const struct instance_status *now);
void switch_on_chain_change(struct weir_switch *sw, switch_chain_change_fn *fn, void *ctx);

// --- connections (switch/inspect_conn.c)

// Which connections are meant. -1, or a prefix of family 0: any. Source and destination are those
// of the first packet.
struct connection_filter {
	int bridge; // its number
	int port;   // id of the port behind either end
	int chain;  // number of the one that it visits
	int vlan, protocol, state, sport, dport;
	struct config_prefix address; // of either end
	struct config_prefix source, destination;
};

// What one end of a connection has sent so far; of no meaning for other protocols than those named.
struct connection_side {
	uint32_t end;    // TCP: behind its last byte; SCTP: its verification tag
	uint32_t limit;  // TCP: behind the last byte that it lets the other send
	uint32_t window; // TCP: the largest that it has offered, bytes
	uint8_t scale;   // TCP: of its window
};

struct connection_end {
	const char *port; // behind it; NULL: not known, or gone
	uint8_t address[16];
	uint16_t l4_port; // host order; of ICMP queries the identifier, 0 where there is none
	struct traffic sent;
	struct connection_side side;
};

// Names are the switch's and stay until the next change.
struct connection_info {
	uint32_t number;    // of its entry, which another connection gets when this one is gone
	const char *bridge; // NULL: gone
	uint16_t vlan;
	uint8_t family; // AF_INET, AF_INET6
	uint8_t protocol;
	int state; // see switch_connection_state
	const char *state_name;
	bool answered;                 // packets went in both directions
	bool picked_up;                // seen from its middle on
	struct connection_end ends[2]; // who began it, and the other
	const char *owner;             // the port that it counts for; NULL: none, or gone
	uint32_t age_s, idle_s, expires_s;
	uint32_t rules[2]; // ids of those that allowed it, from-vm and to-vm; 0: none did
	const struct config_chain *chain; // whose hops it visits; NULL: none, or gone
	// By hop: which of its instances; NULL: none.
	const struct config_instance *instances[CHAIN_HOPS_MAX];
};

// Walks the table from *cursor (0: start) over `scan` entries at the most, so that a call is short
// whatever the filter; returns how many of max were filled and moves *cursor; *cursor is 0 after
// the last. Each connection that lives through the whole walk is seen once.
uint32_t switch_connection_walk(struct weir_switch *sw, const struct connection_filter *filter,
	uint32_t *cursor, uint32_t scan, struct connection_info *infos, uint32_t max);
// Forgets them: their next packets are as first ones. Walks likewise; returns how many.
uint32_t switch_connection_flush(struct weir_switch *sw, const struct connection_filter *filter,
	uint32_t *cursor, uint32_t scan);
// By number; false: there is none.
bool switch_connection_at(struct weir_switch *sw, uint32_t number, struct connection_info *info);
// A state's number by its name, or -1.
int switch_connection_state(const char *name);

struct connection_stats {
	uint32_t used, max;
	uint64_t created, expired, evicted, removed; // running totals
	uint64_t refused;                            // the table was full
	uint64_t bytes;                              // of memory
	bool hugepages;
};
// False, and zeros: there is no table.
bool switch_connection_stats(const struct weir_switch *sw, struct connection_stats *stats);

// --- security groups (switch/inspect_group.c)

struct group_info {
	const char *name;
	uint32_t to_vm, from_vm; // rules
	uint32_t ports;          // in it
	uint64_t hits;           // of all its rules
};
// By position, sorted by name; NULL, or false, beyond the end.
const char *switch_group_name(const struct weir_switch *sw, size_t position);
bool switch_group_at(const struct weir_switch *sw, size_t position, struct group_info *info);

struct rule_state {
	uint32_t id;                    // the same as long as the rule stays
	const char *group;              // "" for a built-in rule
	bool from_vm;                   // else to-vm
	uint32_t position;              // in its group and direction, from 1
	const struct config_rule *rule; // NULL for a built-in rule
	const char *built_in;           // its name, else NULL
	uint64_t hits;
};
// A group's rules ("": the built-in ones that are switched on) by position, to-vm before from-vm;
// false beyond the end.
bool switch_rule_at(
	const struct weir_switch *sw, const char *group, size_t position, struct rule_state *state);
// By id; false: it is gone.
bool switch_rule_find(const struct weir_switch *sw, uint32_t id, struct rule_state *state);

#endif

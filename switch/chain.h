// SPDX-License-Identifier: BSD-3-Clause
// Chains: which connections visit which network functions (NFs), in which order. A hop is one NF,
// by one or more instances; an instance is a VM with a port on the left, towards who began the
// connection, and one on the right. One-armed: both are the same port.
//
// A connection's way, original direction: its beginner's port, then of each hop the left port in
// and the right one out, then the other end's port. Replies go backwards through the same
// instances. Each time the packet comes back by an NF's port, its connection is found by the same
// key; the port tells the hop. So a packet goes to a later hop each time, or an earlier one if it
// is a reply, and never in a loop.
//
// An NF that changes addresses or L4 ports is another end of each connection that goes through it:
// what comes out of it is a connection of its own, with an entry of its own in the same chain,
// which begins behind that hop, at the right port of that instance. It visits the later hops;
// replies to it walk back to that port, and what the NF makes of them is a reply to the first one.
//
// Life cycle: a chain, its hops and its instances keep their place in memory, their numbers and
// their counts as long as the configuration has them under the same names. What a configuration
// drops is freed behind the grace period of the next publication. Their compiled half, chain_view,
// is a part of the snapshot.
//
// Synchronisation: chains are the main thread's, but for counts, which workers write, and an
// instance's state, which they read. Connections name chains and instances by numbers.
#ifndef WEIR_SWITCH_CHAIN_H
#define WEIR_SWITCH_CHAIN_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "conntrack/table.h"
#include "switch/counter.h"
#include "switch/nf_time.h"
#include "switch/probe.h"
#include "switch/rules.h"
#include "switch/switch.h"

enum chain_side {
	CHAIN_LEFT,
	CHAIN_RIGHT
};

enum {
	CHAIN_PLACES = CHAIN_HOPS_MAX * HOP_INSTANCES_MAX,
	CHAIN_NO_PLACE = UINT8_MAX
};
// In chain_step.zone: no bridge's number goes so far.
#define CHAIN_TOLD (UINT32_C(1) << 31)

struct bridge;
struct port;
struct port_view;

// Of an instance, as counted by one worker: what went to it of both directions.
struct nf_counters {
	alignas(64) struct counter original;
	struct counter reply;
};

// An instance's lasting half.
struct nf {
	char left[NAME_SIZE], right[NAME_SIZE]; // its ports
	uint8_t number;                         // in its chain, from 1
	_Atomic uint32_t timed;                 // a packet of this connection is timed; 0: none is
	uint64_t salt;                          // the same for the same ports
	_Atomic uint8_t state;                  // enum instance_state
	uint8_t told;                           // state as last told; UINT8_MAX: not yet
	uint8_t blamed;                         // main thread: enum chain_side, for the state
	struct port *ports[2];                  // main thread; by enum chain_side
	struct nf *next_gone;
	struct probe probe;
	struct nf_times times;
	struct nf_counters counters[]; // one per worker
};
_Static_assert(offsetof(struct nf, timed) / 64 == offsetof(struct nf, number) / 64 &&
		       offsetof(struct nf, state) / 64 == offsetof(struct nf, number) / 64,
	"what each packet looks at is in one line");

struct hop_counters {
	alignas(64) struct counter skipped;
	struct counter closed;
};

struct hop {
	char nf[NAME_SIZE];
	struct hop *next_gone;
	struct hop_counters counters[]; // one per worker
};

struct begun {
	alignas(64) _Atomic uint64_t connections;
};

struct chain {
	struct config_chain config; // hops and instances are its own
	uint16_t number;            // 1…CONN_CHAINS-1
	uint8_t last_number;        // of an instance
	struct hop *hops[CHAIN_HOPS_MAX];
	struct nf *nfs[CHAIN_HOPS_MAX][HOP_INSTANCES_MAX];
	const struct bridge *bridge; // main thread: of its NFs' ports, also of those that are
				     // closed; NULL: it has no VMs, and is at home in all
	struct chain *next_gone;
	struct begun begun[]; // one per worker
};

// --- compiled

// Of a port that several chains have, the tag or path that one of them has there.
struct chain_mark {
	uint32_t value;
	uint16_t chain;
	uint8_t index; // of NSH: with which packets get there
	const struct chain_mark *next;
};

// An instance at its place, hop << 4 | which of the hop's.
struct chain_step {
	uint16_t port[2]; // by enum chain_side
	// Of its bridge and VLAN 0; UINT32_MAX: its ports are not both there. Where its packets
	// tell the chain, by a tag or by NSH: of the one VLAN of its ports, and CHAIN_TOLD.
	uint32_t zone;
	const struct port_view *view[2];
	struct nf *nf;
	bool is_dressed;   // its packets are, in some of these ways
	bool routed;       // they go to the MAC addresses of its ports
	bool told;         // they tell the chain, by one of these:
	uint16_t tag;      // they carry it; 0: none
	uint32_t path;     // they are in NSH; 0: they are not
	uint8_t index;     // ... with this one
	uint8_t mac[2][6]; // by enum chain_side
};

struct chain_hop {
	struct hop *hop;
	uint8_t ninstances;
	bool closed;     // on-failure
	bool recognised; // what it sends can begin connections
};

// A hop inside of the switch: security groups that are asked once for each connection, as those of
// a VM at that place would be: what comes to it, and what it sends on.
struct chain_inside {
	struct group_list groups;
};

struct chain_end {
	enum config_chain_end_kind kind;
	uint16_t number; // of the port; of the group
	bool is_there;   // what is named is
	struct config_prefix cidr;
};

// How an instance is probed.
struct probe_view {
	const struct chain_step *step;
	uint16_t chain;  // its number
	uint16_t worker; // that sends them
	uint16_t vlan;   // of both ports
	struct config_probe config;
};

struct chain_view {
	struct chain *chain;
	const struct bridge *bridge; // where its VMs are; NULL: it has none, and is at home in all
	uint16_t number;
	uint8_t nhops; // that are VMs; the others stand aside
	uint8_t ninside;
	bool has_routed, has_recognised; // of its hops
	uint8_t place[CONN_INSTANCES];   // by an instance's number
	struct chain_hop hops[CHAIN_HOPS_MAX];
	struct chain_step steps[CHAIN_PLACES];
	struct chain_inside inside[CHAIN_HOPS_MAX];
	// What it takes.
	struct chain_end from, to;
	uint16_t protocol; // or RULE_ANY_PROTOCOL
	uint16_t ndports;
	struct config_range dports[RULE_RANGES_MAX];
};

#endif

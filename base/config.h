// SPDX-License-Identifier: BSD-3-Clause
// The desired state in plain C, as the schema table (ctl/schema) fills it and the switch compiles
// it. Defaults and bounds stand in that table, not here. Units are in the names.
#ifndef WEIR_BASE_CONFIG_H
#define WEIR_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NAME_SIZE = 32,         // a port's, bridge's, user's name with its NUL
	SOCKET_PATH_SIZE = 108, // sockaddr_un.sun_path
	WORKERS_MAX = 64,
	PORTS_MAX = 1024,
	// A change can replace all ports, and each that goes keeps its id until it is gone.
	PORT_IDS = 2 * PORTS_MAX,
	BRIDGES_MAX = 256,
	VLAN_COUNT = 4096,
	QUEUE_PAIRS_MAX = 16,
	DEVICE_SIZE = 128,  // a DPDK device with its arguments, and its NUL
	DEVICE_MEMBERS = 8, // of a bond
	ADDRESSES_MAX = 32, // IP addresses and networks of a port
	GROUPS_MAX = 4096,
	RULES_MAX = 65536,    // of all groups
	PORT_GROUPS_MAX = 16, // of one port
	CONN_STATES_ROOM = 32,
	RULE_RANGES_MAX = 16, // of L4 ports in one rule, by direction
	SHARED_MAX = 1024,
	PORT_SHARED_MAX = 4, // rates that one port shares with others
	WEIGHT_MAX = 1000,
	CHAINS_MAX = 256,
	CHAIN_HOPS_MAX = 8,     // of one chain
	HOP_INSTANCES_MAX = 16, // of one hop
	PROBE_FAILURES_MAX = 16,
};

enum config_poll {
	POLL_ADAPTIVE,
	POLL_BUSY
};
enum config_hugepages {
	HUGEPAGES_AUTO,
	HUGEPAGES_OFF,
	HUGEPAGES_REQUIRED
};
enum config_listens {
	LISTENS_VMM,
	LISTENS_SWITCH
};
enum config_port_kind {
	PORT_KIND_VHOST_USER,
	PORT_KIND_DPDK
};

enum config_layer {
	LAYER_L2,  // frames as they are in a ring
	LAYER_WIRE // with preamble, gap and check sequence: 24 bytes more a packet
};

enum config_scheduler {
	SCHEDULER_FIFO,
	SCHEDULER_PRIO,
	SCHEDULER_DRR,
	SCHEDULER_FQ_CODEL
};

// Rules that hold for every port with groups, unless they are switched off.
enum config_built_in {
	BUILT_IN_ARP,
	BUILT_IN_ND,     // neighbour discovery of hosts, and their multicast membership (MLD)
	BUILT_IN_RA,     // router advertisements and redirects, to the VM
	BUILT_IN_DHCP,   // a client's exchanges with servers
	BUILT_IN_DHCPV6, // likewise
	BUILT_IN_COUNT
};

struct config_switch {
	uint16_t nworkers;
	uint16_t workers[WORKERS_MAX]; // CPUs
	enum config_poll poll;
	uint64_t memory_bytes;
	enum config_hugepages hugepages;
	uint32_t connections; // that the table holds
	uint32_t built_in;    // bits by enum config_built_in
	uint8_t tcp_pickup;   // 1: conversations may be tracked from their middle on
	uint32_t timeouts_s[CONN_STATES_ROOM]; // by enum conn_state of conntrack/state.h
};

struct config_bridge {
	char name[NAME_SIZE];
	uint32_t ageing_s; // 0: never
};

// No vlan key: kind VLAN_UNTAGGED. A port is a member of VLAN v if bit v of members is set.
enum config_vlan_kind {
	VLAN_UNTAGGED,
	VLAN_ACCESS,
	VLAN_TRUNK
};
struct config_vlan {
	enum config_vlan_kind kind;
	uint16_t access; // VLAN_ACCESS: 1 to 4094
	uint16_t native; // VLAN_TRUNK: the VLAN of untagged frames; 0: they are dropped
	uint64_t members[VLAN_COUNT / 64];
};

struct config_vhost_user {
	char socket[SOCKET_PATH_SIZE]; // as written; relative ones lie in RUN_DIR/vm
	enum config_listens listens;
	char owner[NAME_SIZE]; // of the socket Weir makes (listens: switch); empty: unchanged
	char group[NAME_SIZE];
	uint32_t mode;   // permission bits of that socket
	uint16_t queues; // queue pairs, upper bound
};

struct config_dpdk {
	char device[DEVICE_SIZE]; // as DPDK names it: a PCI address, or a vdev with its arguments
	uint16_t queues;          // receive queues, upper bound
	uint16_t nmembers;
	char members[DEVICE_MEMBERS][DEVICE_SIZE]; // devices made before it
};

struct config_limits {
	uint32_t macs; // learned per port; 0: no limit of its own
	// Frames per second from the port that are flooded; 0: no limit.
	uint32_t broadcast_pps;
	uint32_t multicast_pps;
	uint32_t unknown_pps;
	uint32_t connections; // begun from the port or, from outside of all groups, to it; 0: a
			      // quarter of the table
	uint32_t new_connections_cps; // connections begun per second; 0: no limit
};

// An IPv4 or IPv6 network; a single address has the full length.
struct config_prefix {
	uint8_t family;      // AF_INET or AF_INET6
	uint8_t length;      // bits
	uint8_t address[16]; // network order; IPv4 has the first four bytes; 0 behind length
};

// The addresses that a VM may use.
struct config_addresses {
	uint8_t mac[6]; // zeros: any
	uint16_t nips;  // 0: any
	struct config_prefix ips[ADDRESSES_MAX];
};

struct config_range {
	uint16_t first, last;
};

enum config_peer {
	PEER_ANY,
	PEER_NETWORK,
	PEER_GROUP
};

enum {
	RULE_ANY_PROTOCOL = 256
};

// The peer is who sends where the rule is to-vm, and who receives where it is from-vm.
struct config_rule {
	uint8_t allow;     // 0: deny
	uint8_t peer_kind; // enum config_peer
	uint16_t protocol; // or RULE_ANY_PROTOCOL
	int16_t icmp_type; // -1: any
	int16_t icmp_code; // -1: any
	uint16_t nsports;  // 0: any
	uint16_t ndports;  // 0: any
	struct config_range sports[RULE_RANGES_MAX];
	struct config_range dports[RULE_RANGES_MAX];
	struct config_prefix network; // PEER_NETWORK
	char group[NAME_SIZE];        // PEER_GROUP
};

// First match wins. Nothing matches: to-vm denied, from-vm allowed.
struct config_group {
	char name[NAME_SIZE];
	size_t nto_vm, nfrom_vm;
	struct config_rule *to_vm, *from_vm;
};

// Of one direction of a port, or shared by several. Neither bits nor packets: no limit, and the
// rest is zeros.
struct config_rate {
	uint64_t bits;        // per second; 0: no limit
	uint64_t packets;     // per second; 0: no limit
	uint64_t burst_bytes; // 0: chosen from the rate
	uint8_t layer;        // enum config_layer
	uint8_t police;       // from-vm: 1: what is beyond it is dropped, else it waits
	uint8_t scheduler;    // to-vm: enum config_scheduler
	uint8_t ecn;          // SCHEDULER_FQ_CODEL: 1: marks before it drops
	uint64_t queue_bytes; // to-vm: the most that waits; 0: chosen from the rate
	uint64_t target_ns;   // SCHEDULER_FQ_CODEL: wait that may last
	uint64_t interval_ns; // SCHEDULER_FQ_CODEL: for so long
};

static inline bool config_rate_is_set(const struct config_rate *rate)
{
	return rate->bits || rate->packets;
}

struct config_shared_member {
	char port[NAME_SIZE];
	uint16_t weight; // 1 to WEIGHT_MAX
};

// A rate of what its members send together, above their own ones.
struct config_shared {
	char name[NAME_SIZE];
	struct config_rate rate;
	size_t nmembers; // at least 1
	struct config_shared_member *members;
};

enum config_chain_end_kind {
	CHAIN_END_ANY,
	CHAIN_END_PORT,
	CHAIN_END_GROUP,
	CHAIN_END_CIDR
};

struct config_chain_end {
	enum config_chain_end_kind kind;
	char name[NAME_SIZE];      // CHAIN_END_PORT, CHAIN_END_GROUP
	struct config_prefix cidr; // CHAIN_END_CIDR
};

// A VM that hosts a network function. One-armed: both are the same port.
struct config_instance {
	char left[NAME_SIZE];  // towards who begins the connection
	char right[NAME_SIZE]; // towards whom it goes to
};

enum config_on_failure {
	HOP_OPEN,  // without an instance in service the hop is skipped
	HOP_CLOSED // what it was to see is dropped
};
enum config_hop_mode {
	HOP_TRANSPARENT, // frames keep their MAC addresses
	HOP_ROUTED       // they go to the NF's, and get their own back behind it
};
// By what a packet that an NF sends is found to be of a chain.
enum config_recognise {
	RECOGNISE_CONNECTION, // its addresses and L4 ports
	RECOGNISE_PORT,       // or, if those are no connection's, the port that it comes by
	RECOGNISE_VLAN,       // likewise, a tag of 802.1Q that all its frames carry
	RECOGNISE_NSH         // likewise, the service path of the NSH that they are in (RFC 8300)
};

// Of frames that are sent through an instance to see whether it forwards.
struct config_probe {
	uint64_t interval_ns; // from one to the next; 0: none are sent
	uint16_t failures;    // so many in a row without an answer: out of service
	// HOP_ROUTED: addresses, of one version of IP, between which it routes; else zeros.
	struct config_prefix from, to;
};

// Either VMs or, inside the switch, security groups.
struct config_hop {
	char nf[NAME_SIZE];
	enum config_on_failure on_failure;
	enum config_hop_mode mode;
	enum config_recognise recognise;
	uint16_t tag;  // RECOGNISE_VLAN: 1 to 4094
	uint32_t path; // RECOGNISE_NSH: 1 to 2^24-1
	struct config_probe probe;
	size_t ninstances;
	struct config_instance *instances;
	uint16_t ngroups;
	char groups[PORT_GROUPS_MAX][NAME_SIZE];
};

// Of the connections that match several, the first chain in the document's order.
struct config_chain {
	char name[NAME_SIZE];
	struct config_chain_end from, to; // who begins the connection, and to whom
	uint16_t protocol;                // or RULE_ANY_PROTOCOL
	uint16_t ndports;                 // 0: any
	struct config_range dports[RULE_RANGES_MAX];
	size_t nhops; // at least 1
	struct config_hop *hops;
};

struct config_port {
	char name[NAME_SIZE];
	enum config_port_kind kind;
	struct config_vhost_user vhost_user; // of its kind one only, the other is zeroed
	struct config_dpdk dpdk;
	char bridge[NAME_SIZE];
	uint16_t mtu; // bytes of L3
	struct config_vlan vlan;
	struct config_addresses addresses;
	struct config_limits limits;
	struct config_rate from_vm, to_vm;
	uint8_t nf;       // 1: a network function's, also while no chain names it
	uint16_t ngroups; // 0: not tracked, all allowed
	char groups[PORT_GROUPS_MAX][NAME_SIZE];
};

// Owned by whoever built it; freed with config_free (ctl/schema).
struct config {
	struct config_switch sw;
	size_t nbridges;
	struct config_bridge *bridges;
	size_t nports;
	struct config_port *ports;
	size_t ngroups;
	struct config_group *groups;
	size_t nshared;
	struct config_shared *shared;
	size_t nchains;
	struct config_chain *chains; // in the order in which they are asked
};

#endif

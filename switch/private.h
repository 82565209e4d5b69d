// SPDX-License-Identifier: BSD-3-Clause
// What the files of the switch's main-thread half share. Everything here belongs to the main thread
// but `published`, which workers read under RCU.
#ifndef WEIR_SWITCH_PRIVATE_H
#define WEIR_SWITCH_PRIVATE_H

#include "switch/janitor.h"
#include "switch/snapshot.h"
#include "switch/switch.h"
#include "switch/worker.h"

struct weir_switch {
	struct snapshot *published;
	struct snapshot *nothing; // without ports; the first one and the last
	uint64_t generation;
	bool publish_due; // a port has opened and is not in the published snapshot yet
	char vm_dir[SOCKET_PATH_SIZE];
	uint64_t mac_secret[2];
	uint16_t next_id;
	bool id_used[PORT_IDS]; // by a port that is there or is being made
	uint16_t next_bridge;
	bool bridge_used[BRIDGE_NUMBERS]; // at any time
	struct config_switch config;
	struct conn_table *conns; // NULL: no port has had groups yet, nor been an NF's
	struct rules *rules;      // of the present configuration; NULL: there were no groups yet
	struct rules *old_rules;  // of published snapshots, until another is published
	uint32_t epoch;
	bool look_again; // at connections' time-outs, once they are published
	size_t nports;
	struct port *ports[PORTS_MAX]; // sorted by name
	size_t nbridges;
	struct bridge *bridges[BRIDGES_MAX]; // sorted by name
	size_t nshared;
	struct shared_rate *shared[SHARED_MAX]; // sorted by name
	size_t nchains;
	struct chain *chains[CHAINS_MAX]; // in the order in which they are asked
	uint16_t next_chain;              // the number to try first
	struct chain_macs *macs;          // NULL: no hop has been routed yet
	size_t macs_bytes;
	// Of published snapshots, until another is published.
	struct chain *gone_chains;
	struct hop *gone_hops;
	struct nf *gone_nfs;
	struct hold_pool *pool;            // NULL: no port has had rate.to-vm
	struct shared_rate *gone_shared;   // of published snapshots, until another is published
	struct history loads[WORKERS_MAX]; // busy and idle cycles
	unsigned polls;                    // of the ports' states
	switch_change_fn *on_change;
	void *on_change_ctx;
	switch_chain_change_fn *on_chain_change;
	void *on_chain_change_ctx;
	struct janitor janitor;
	_Atomic uint16_t nworkers; // running ones; the watch looks after them
	struct worker *workers;
};

// Compiles the present ports and publishes; frees the old snapshot after a grace period. -ENOMEM:
// nothing has changed.
int switch_publish(struct weir_switch *sw);

// After the grace period that follows a snapshot without it. NULL is allowed.
void bridge_free(struct bridge *bridge);
struct bridge *switch_bridge_find(const struct weir_switch *sw, const char *name);
struct port *switch_port_by_name(const struct weir_switch *sw, const char *name);

// policy_apply.c: what a configuration changes of rules and connections.
struct policy_change {
	struct weir_switch *sw;
	const struct config *config;
	struct conn_table *conns; // a new one; NULL: there is one, or none is needed
	struct rules *rules;      // new ones; NULL: they stay
};
// Compiles rules if they differ; the first port with groups brings the table. 0, or -errno with a
// sentence and nothing changed.
int policy_prepare(struct policy_change *change, struct weir_switch *sw,
	const struct config *config, struct error *err);
void policy_abandon(struct policy_change *change);
// Takes them over; to be published.
void policy_commit(struct policy_change *change);
// A port's entry changes: connections are to be resolved anew if that concerns them.
void policy_port_changes(
	struct weir_switch *sw, const struct config_port *before, const struct config_port *after);
// A port comes or goes, and with it whoever its addresses stand for.
void policy_port_moves(struct weir_switch *sw, const struct config_port *config);
// No published snapshot has the port any more, nor will have it: its connections go.
void policy_port_leaves(struct weir_switch *sw, const struct port *port);
// After a grace period behind a publication.
void policy_published(struct weir_switch *sw);
void policy_destroy(struct weir_switch *sw);

// apply.c: for qsort, of pointers to what begins with its name.
int switch_by_name(const void *a, const void *b);

// shared.c: what a configuration changes of rates that several ports share.
struct shared_change {
	struct weir_switch *sw;
	size_t count;
	struct shared_rate *rates[SHARED_MAX]; // what will be, sorted by name
	struct config_shared configs[SHARED_MAX];
	bool is_new[SHARED_MAX];
};
// In zeroed memory. 0, or -ENOMEM: to be abandoned then.
int shared_prepare(
	struct shared_change *change, struct weir_switch *sw, const struct config *config);
void shared_abandon(struct shared_change *change);
// Takes them over; to be published.
void shared_commit(struct shared_change *change);
// After a grace period behind a publication.
void shared_published(struct weir_switch *sw);
void shared_destroy(struct weir_switch *sw);

// chains_prepare.c, chains_apply.c: what a configuration changes of chains.
// What one chain will be.
struct next_chain {
	struct chain *chain;
	bool is_new;
	struct config_chain config;
	uint8_t last_number;
	struct hop *hops[CHAIN_HOPS_MAX];
	struct nf *nfs[CHAIN_HOPS_MAX][HOP_INSTANCES_MAX];
};
struct chains_change {
	struct weir_switch *sw;
	size_t count;
	struct next_chain *next; // in the order of the configuration
};
// In zeroed memory; conns: the table that the chains' connections will be in. 0, or -ENOMEM: to be
// abandoned then.
int chains_prepare(struct chains_change *change, struct weir_switch *sw,
	const struct config *config, const struct conn_table *conns);
void chains_abandon(struct chains_change *change);
// Takes them over, when the switch's ports are those of the configuration; to be published.
// Connections are to be resolved anew if that concerns them.
void chains_commit(struct chains_change *change);
// After a grace period behind a publication.
void chains_published(struct weir_switch *sw);
void chains_destroy(struct weir_switch *sw);

// chains_health.c: finds out which instances are in service; tell: whoever wants to know is told
// what has changed. To be called several times a second.
void chains_look(struct weir_switch *sw, bool tell);

// inspect_chain.c; all but the time spent
void instance_status(const struct weir_switch *sw, const struct chain *chain, const struct nf *nf,
	struct instance_status *status);

// inspect_rate.c: looks at what has passed, for the speeds that it tells. To be called several
// times a second.
void rates_sample(struct weir_switch *sw);

// queue_apply.c: to-vm queues.
// What a configuration adds to a port; zeros: nothing.
struct queue_change {
	struct to_vm_queue *queue;
	struct scheduler *scheduler;
};
// Makes what queues of this configuration need of the switch. 0, or -errno with a sentence.
int queues_prepare(struct weir_switch *sw, const struct config *config, struct error *err);
// Behind it. 0, or -ENOMEM: to be abandoned then.
int queue_prepare(
	struct queue_change *change, const struct port *port, const struct config_port *config);
void queue_abandon(struct queue_change *change);
// Takes it over, with port->config; to be published.
void queue_commit(struct port *port, struct queue_change *change);
// Frees schedulers that no queue uses any more; to be called now and then.
void queues_reclaim(struct weir_switch *sw);
// Empties it: what waits is counted as to-vm-not-up. No worker may see the port any more.
void queue_close(struct port *port);
// Of one that is empty.
void queue_free(struct port *port);

// rates_apply.c: behind the grace period of a publication. What was charged at old rates is owed at
// the new ones. Whether a rate has changed; then workers are to look again.
bool rates_published(struct weir_switch *sw);

// port.c: a port's lasting half.
// A port with a free id, not open. NULL: no memory.
struct port *port_new(struct weir_switch *sw, const struct config_port *config);
// After the grace period that follows a snapshot without it. Its id is free.
void port_free(struct port *port);
// Opens its vhost-user end or its device; on failure it stays closed, `failure` says why and when
// to try again.
void port_open(struct port *port);
bool port_is_open(const struct port *port);
// Closes it. No published snapshot may name its vhost_port or NIC any more.
void port_close(struct port *port);
void port_status(struct port *port, struct port_status *status);
// Whether the change from a to b needs the port to be opened anew.
bool port_needs_reopen(const struct config_port *a, const struct config_port *b);

#endif

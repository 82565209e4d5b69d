// SPDX-License-Identifier: BSD-3-Clause
// The way of a burst through the switch. A stage is one function over a burst: it reads and writes
// the pass and nothing else, and reaches the next stage by what it leaves in the packets.
#ifndef WEIR_SWITCH_PIPELINE_H
#define WEIR_SWITCH_PIPELINE_H

#include <stdint.h>

#include "base/packet.h"
#include "conntrack/track.h"
#include "switch/segment.h"
#include "switch/snapshot.h"

struct rte_mbuf;
struct fragments;

// One burst on its way. The worker owns it and uses it again for each burst.
struct pass {
	const struct snapshot *snapshot;
	const struct port_view *in;      // where the burst came from
	struct ring *source;             // NULL: it came from a NIC, or no guest sent it
	struct queue_counters *counters; // where it is counted as from-vm; NULL: it has been
	uint16_t pair;
	uint16_t worker; // index, for the per-worker counters
	uint32_t now_s;
	uint64_t tsc; // when the round began
	// TSC: when the first of what is held back is due; UINT64_MAX: nothing is.
	uint64_t next_due;
	// When the queue is to be looked at again, 0: in the next round. Before: when it was due
	// that was held back, 0: it was not.
	uint64_t again;
	uint64_t drop_samples;       // cycles from one sample of a drop to the next
	uint64_t nf_pause;           // cycles from one sample of an NF's time to the next
	uint64_t bytes;              // of the burst, as far as it goes on
	unsigned delivered;          // in this round, of what has waited in to-vm queues
	struct ring_signals signals; // of the last burst, not sent yet
	struct segmenter segmenter;
	struct ring_layout layout; // of the frame that is put
	struct tracker tracker;
	uint64_t lookups, tracked;   // running totals: of connections and addresses, of packets
	struct fragments *fragments; // the worker's; switch/fragments.c
	uint64_t fragments_due;      // when some are too old
	bool fragments_ready;        // held ones are to go on
	// Without a ring: the buffer of each packet; NULL where it has none, or where that has gone
	// on with the packet.
	struct rte_mbuf *mbufs[BURST_MAX];
	struct conn_key keys[BURST_MAX]; // of the burst's packets that have one
	struct burst burst;
};

// Counts n packets that were lost at a port, and notes the first bytes of one of them, of which len
// are there. Worker.
static inline void pass_drop(struct pass *pass, struct port *port, enum drop_reason reason,
	uint64_t n, const uint8_t *data, uint32_t len)
{
	drop_count(&port->drops[pass->worker], reason, n);
	struct drop_sample *sample = &port->samples[reason];
	if (drop_sample_due(sample, pass->tsc, pass->drop_samples))
		drop_sample_put(sample, pass->tsc, data, len);
}

// Likewise; `p` is one of the n packets.
static inline void pass_drop_packets(struct pass *pass, struct port *port, enum drop_reason reason,
	uint64_t n, const struct packet *p)
{
	pass_drop(pass, port, reason, n, p->data, p->head_len);
}

// Packets of one burst, in their order.
struct bunch {
	unsigned count;
	struct packet *packets[BURST_MAX];
};

static inline void bunch_add(struct bunch *bunch, struct packet *p)
{
	bunch->packets[bunch->count++] = p;
}

// Takes a burst from one from-vm queue and walks it to its end. Returns the number of packets
// taken; 0 if there was nothing. Worker, inside a round.
unsigned pipeline_run(struct pass *pass, const struct queue_ref *queue);

// The stages, in order. Worker.
unsigned stage_rx(struct pass *pass, const struct queue_ref *queue);
void stage_parse(struct pass *pass);
// Returns how many packets of the burst go on.
unsigned stage_shape(struct pass *pass);
void stage_police(struct pass *pass);
void stage_admit(struct pass *pass);
// Drops a frame with addresses that none may have that enters.
void admit_addresses(struct packet *p);
void stage_return(struct pass *pass);
struct keyed;
// A part of connect and return: what has keys and no verdict; found[i]: the entry of each, or 0.
void connect_keyed(struct pass *pass, const struct keyed *keyed, const uint32_t *found);
void stage_guard(struct pass *pass);
void stage_connect(struct pass *pass);
void stage_forward(struct pass *pass);
void stage_policy(struct pass *pass);
void stage_storm(struct pass *pass);
// A part of storm: holds one packet to its budget, which may drop it.
void storm_charge(const struct pass *pass, struct packet *p);
void stage_steer(struct pass *pass);
void stage_tx(struct pass *pass);
void stage_release(struct pass *pass);

// A part of tx: counts packets to a port that is not up.
void tx_lose(struct pass *pass, const struct port_view *out, const struct bunch *bunch);

// A part of tx: puts packets, at least one, into a VM's rings, and counts there what was sent and
// what was lost. *left: of a port that can hold packets, what its full rings have refused; those
// for one ring in their order.
void vm_send(struct pass *pass, const struct port_view *out, const struct bunch *bunch,
	struct bunch *left);

// Whether the VM's ring that a packet goes to, and that has just refused it, has some buffers for
// all that; *posted: as ring_has_buffers says.
bool vm_has_buffers(const struct port_view *out, const struct packet *p, uint16_t *posted);

// A part of tx: hands packets to a NIC, and counts there what was sent and what was lost.
void nic_send(struct pass *pass, const struct port_view *out, struct packet *const *packets,
	unsigned count);

#endif

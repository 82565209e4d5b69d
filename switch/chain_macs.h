// SPDX-License-Identifier: BSD-3-Clause
// The MAC addresses of connections that visit network functions which route. Such an NF gets
// packets at its own address and sends them from there, so what they had at the connection's ends
// is kept, beside its entry, to be put back.
//
// Life cycle: one array, by the numbers of the connection table's entries, made when the first
// chain has a hop with `mode: routed`, and there until the switch ends. An entry's are forgotten
// when it comes into a chain.
//
// Synchronisation: workers read and write single words. Two that have different addresses for one
// direction, as behind a pair of routers, may mix them up for a packet in flight; both are
// addresses of that end.
#ifndef WEIR_SWITCH_CHAIN_MACS_H
#define WEIR_SWITCH_CHAIN_MACS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/packet.h"

// Weir's own, towards NFs that route: locally administered. It says Weir.
static const uint8_t chain_mac[6] = {0x02, 'W', 'e', 'i', 'r', 0x00};

// By direction; an address as it lies in memory, in the low 48 bits. 0: not known yet.
struct chain_macs {
	_Atomic uint64_t destination[2];
	_Atomic uint64_t source[2];
} __attribute__((aligned(32)));

static inline void chain_mac_note(_Atomic uint64_t *noted, const uint8_t *at)
{
	uint64_t mac = 0;
	memcpy(&mac, at, 6);
	if (atomic_load_explicit(noted, memory_order_relaxed) != mac)
		atomic_store_explicit(noted, mac, memory_order_relaxed);
}

static inline void packet_set_macs(
	struct packet *p, const uint8_t destination[6], const uint8_t source[6])
{
	memcpy(p->data, destination, 6);
	memcpy(p->data + 6, source, 6);
}

// Worker.
static inline void chain_macs_forget(struct chain_macs *macs)
{
	for (unsigned i = 0; i < 2; i++) {
		atomic_store_explicit(&macs->destination[i], 0, memory_order_relaxed);
		atomic_store_explicit(&macs->source[i], 0, memory_order_relaxed);
	}
}

// Notes those of a packet at the end that it comes from. Worker.
static inline void chain_macs_note(
	struct chain_macs *macs, unsigned direction, const struct packet *p)
{
	chain_mac_note(&macs->destination[direction], p->data);
	chain_mac_note(&macs->source[direction], p->data + 6);
}

// Puts them back. A direction that has not been seen at its end, since an NF answers itself, has
// those of the other one, turned round. False: neither has been seen. Worker.
static inline bool chain_macs_restore(
	const struct chain_macs *macs, unsigned direction, struct packet *p)
{
	uint64_t destination = atomic_load_explicit(
		&macs->destination[direction], memory_order_relaxed);
	uint64_t source = atomic_load_explicit(&macs->source[direction], memory_order_relaxed);
	if (!destination || !source) {
		destination = atomic_load_explicit(&macs->source[!direction], memory_order_relaxed);
		source = atomic_load_explicit(&macs->destination[!direction], memory_order_relaxed);
	}
	packet_set_macs(p, (const uint8_t *)&destination, (const uint8_t *)&source);
	return destination && source;
}

#endif

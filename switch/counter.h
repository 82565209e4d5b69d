// SPDX-License-Identifier: BSD-3-Clause
// Plain counters with one writer at a time: the owner of a from-vm queue, whoever holds the lock of
// a to-vm queue, or the worker whose own they are. Readers may see them a moment late.
#ifndef WEIR_SWITCH_COUNTER_H
#define WEIR_SWITCH_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
	_Atomic uint64_t packets;
	_Atomic uint64_t bytes;
};

static inline void counter_add(struct counter *c, uint64_t packets, uint64_t bytes)
{
	atomic_store_explicit(&c->packets,
		atomic_load_explicit(&c->packets, memory_order_relaxed) + packets,
		memory_order_relaxed);
	atomic_store_explicit(&c->bytes,
		atomic_load_explicit(&c->bytes, memory_order_relaxed) + bytes,
		memory_order_relaxed);
}

#endif

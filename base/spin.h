// SPDX-License-Identifier: BSD-3-Clause
// Spin locks of one byte, for what lies packed or in a shared mapping; zeroed, one is free. Whoever
// holds one does not sleep and takes no other lock but where the holder's file says in which order.
// Any thread.
#ifndef WEIR_BASE_SPIN_H
#define WEIR_BASE_SPIN_H

#include <immintrin.h>
#include <stdatomic.h>
#include <stdbool.h>

static inline bool spin_trylock(atomic_bool *locked)
{
	return !atomic_exchange_explicit(locked, true, memory_order_acquire);
}

static inline void spin_lock(atomic_bool *locked)
{
	while (!spin_trylock(locked))
		while (atomic_load_explicit(locked, memory_order_relaxed))
			_mm_pause();
}

static inline void spin_unlock(atomic_bool *locked)
{
	atomic_store_explicit(locked, false, memory_order_release);
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The janitor: the one thread that reclaims: aged MACs, and connections whose time is over. Beside
// it the watch, which never waits for anybody: it keeps the clock that workers read, so that they
// need not ask the kernel, and gets a worker out of a write that blocks.
#ifndef WEIR_SWITCH_JANITOR_H
#define WEIR_SWITCH_JANITOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "switch/snapshot.h"

struct janitor {
	struct snapshot *const *snapshot; // the published pointer, RCU
	void (*on_tick)(void *ctx);       // each quarter of a second, on the watch's thread
	void *ctx;
	_Atomic uint32_t now_s; // seconds since some start; grows
	uint64_t reclaimed;     // connections that were removed and are free again
	int timer_fd, watch_fd;
	pthread_t thread, watch;
	_Atomic bool stop, watch_stop;
};

// Main thread. The janitor lies in zeroed memory of the caller's.
int janitor_start(struct janitor *janitor, struct snapshot *const *snapshot,
	void (*on_tick)(void *ctx), void *ctx, struct error *err);
void janitor_stop(struct janitor *janitor);

#endif

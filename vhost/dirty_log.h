// SPDX-License-Identifier: BSD-3-Clause
// The log of dirty pages, which a VMM that migrates its guest shares with the switch: a bit for
// each page of guest memory, set behind each write (vhost-user specification, "Migration"). The VMM
// clears bits at any time, and then reads the page.
#ifndef WEIR_VHOST_DIRTY_LOG_H
#define WEIR_VHOST_DIRTY_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
	DIRTY_PAGE = 4096, // whatever the guest's or the host's pages are
};

struct dirty_log {
	uint8_t *bits; // the lowest one is that of guest address 0. NULL: there is no log
	uint64_t size; // bytes
	// The VMM took it away: what is written to it is lost. Set by vhost/bus_error.c.
	_Atomic bool gone;
};

#endif

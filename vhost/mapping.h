// SPDX-License-Identifier: BSD-3-Clause
// Guest memory mapped once, however many ports have it. Each network card of a VM brings the same
// file, and each mapping of it costs its own page faults, page tables and TLB entries: of a VM with
// two cards every buffer would be there twice (measured: docs/performance-notes.md, Chains).
//
// Life cycle: who gets a mapping has it until it puts it back; the last one unmaps it.
// Synchronisation: one lock, under which nothing else is taken but bus_error's.
#ifndef WEIR_VHOST_MAPPING_H
#define WEIR_VHOST_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
	uint8_t *at;
	size_t len; // bytes, from the file's start
};

// The first len bytes (whole pages of the file's kind) of what fd is open for, or more of them,
// shared and writable. It is one that is there already if that belongs to the same open file
// description, since a VMM hands over one and the same for all cards, and nothing was taken away
// from it. fd may be closed afterwards. NULL: it cannot be mapped, or there is no memory.
// Main or library threads.
struct mapping *mapping_get(int fd, size_t len);
// Whether some of it was taken away, which may have been told to others before whoever asks had
// guarded it. Main or library threads.
bool mapping_is_gone(const struct mapping *m);
// Unmaps it if nobody else has it. No thread may use it any more for whoever puts it back. NULL is
// none. Main or library threads.
void mapping_put(struct mapping *m);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Whether the memory of a SET_MEM_TABLE can be mapped.
//
// The vhost library tries it too, after it has unmapped the old table. Where a region cannot be
// mapped it forgets that region's descriptor, which stays open for good; so it must not come to
// that.
#ifndef WEIR_VHOST_MEMORY_PROBE_H
#define WEIR_VHOST_MEMORY_PROBE_H

#include <stdint.h>

#include "base/error.h"

// Maps `size` bytes of the file from `offset` on, as the library does, and unmaps them: 0, or
// -errno with why it cannot be. Any thread.
int memory_probe(int fd, uint64_t size, uint64_t offset, struct error *err);

#endif

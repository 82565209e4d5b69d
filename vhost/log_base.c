// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/log_base.h"

#include <sys/mman.h>

#include "vhost/bus_error.h"

void log_base_map(struct vhost_control *c, const struct message *m)
{
	uint64_t size = m->payload.log.mmap_size, offset = m->payload.log.mmap_offset;
	log_base_drop(c);
	// What the library refuses as well.
	if (m->nfds != 1 || m->size != sizeof(m->payload.log) || offset >= -size)
		return;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[0], (off_t)offset);
	if (at == MAP_FAILED)
		return;
	if (bus_error_guard(at, size, &c->log.gone)) {
		munmap(at, size);
		return;
	}
	c->log.bits = at;
	c->log.size = size;
}

void log_base_drop(struct vhost_control *c)
{
	if (!c->log.bits)
		return;
	bus_error_release(&c->log.gone);
	munmap(c->log.bits, c->log.size);
	c->log.bits = NULL;
	c->log.size = 0;
	atomic_store(&c->log.gone, false);
}

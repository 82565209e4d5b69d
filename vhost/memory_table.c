// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/memory_table.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "vhost/bus_error.h"

// As the library compares them.
static bool looks_like(const struct message *m, const struct rte_vhost_memory *table)
{
	if (m->payload.memory.nregions != table->nregions || m->nfds < 0 ||
		(uint32_t)m->nfds != table->nregions)
		return false;
	for (uint32_t i = 0; i < table->nregions; i++) {
		const struct rte_vhost_mem_region *r = &table->regions[i];
		if (m->payload.memory.regions[i].guest_addr != r->guest_phys_addr ||
			m->payload.memory.regions[i].size != r->size ||
			m->payload.memory.regions[i].user_addr != r->guest_user_addr)
			return false;
	}
	return true;
}

// What is larger is used where the library has it: a peer may say any size, and the addresses of
// this process have an end.
#define OWN_MAX (UINT64_C(4) << 40)

static uint64_t offset_of(const struct rte_vhost_mem_region *region)
{
	return region->host_user_addr - (uintptr_t)region->mmap_addr;
}

// Whether two regions have bytes of a file in common. An address is to be in one of them alone: by
// it the log of dirty pages is kept.
static bool have_common(
	const struct rte_vhost_mem_region *one, const struct rte_vhost_mem_region *other)
{
	return offset_of(one) - offset_of(other) < other->size ||
	       offset_of(other) - offset_of(one) < one->size;
}

// NULL: the region is used where the library has it.
static struct mapping *map_region(
	const struct vhost_control *c, const struct rte_vhost_memory *table, uint32_t i)
{
	const struct rte_vhost_mem_region *region = &table->regions[i];
	if (c->peer.memory_renewed || region->mmap_size > OWN_MAX)
		return NULL;
	struct mapping *own = mapping_get(region->fd, region->mmap_size);
	for (uint32_t k = 0; own && k < i; k++) {
		if (own == c->mappings[k] && have_common(region, &table->regions[k])) {
			mapping_put(own);
			own = NULL;
		}
	}
	return own;
}

// Adds a region of the library's table. 0, or -errno: none of them is guarded.
static int add_region(struct vhost_control *c, struct guest_memory *memory,
	const struct rte_vhost_memory *table, uint32_t i)
{
	const struct rte_vhost_mem_region *from = &table->regions[i];
	const struct mapping *own = c->mappings[i] = map_region(c, table, i);
	c->library[i] = (uint8_t *)(uintptr_t)from->host_user_addr;
	memory->regions[memory->nregions++] = (struct memory_region){
		.guest_addr = from->guest_phys_addr,
		.size = from->size,
		.host = own ? own->at + offset_of(from) : c->library[i],
	};
	if (bus_error_guard(from->mmap_addr, from->mmap_size, &memory->gone) ||
		(own && bus_error_guard(own->at, own->len, &memory->gone))) {
		bus_error_release(&memory->gone);
		return -ENOMEM;
	}
	if (own && mapping_is_gone(own))
		atomic_store(&memory->gone, true);
	return 0;
}

int memory_load(struct vhost_control *c)
{
	struct rte_vhost_memory *table;
	if (rte_vhost_get_mem_table(c->vid, &table))
		return -ENOMEM;
	struct guest_memory *memory = calloc(1, sizeof(*memory));
	int rc = memory ? 0 : -ENOMEM;
	for (uint32_t i = 0; !rc && i < table->nregions && i < MEMORY_REGIONS_MAX; i++)
		rc = add_region(c, memory, table, i);
	free(table);
	if (rc)
		free(memory);
	else
		c->memory = memory;
	return rc;
}

void memory_drop(struct vhost_control *c)
{
	if (c->memory)
		bus_error_release(&c->memory->gone);
	free(c->memory);
	c->memory = NULL;
	for (unsigned i = 0; i < MEMORY_REGIONS_MAX; i++) {
		mapping_put(c->mappings[i]);
		c->mappings[i] = NULL;
	}
}

void *memory_of_workers(const struct vhost_control *c, const void *at)
{
	for (uint32_t i = 0; i < c->memory->nregions; i++) {
		const struct memory_region *r = &c->memory->regions[i];
		uint64_t off = (uint64_t)((uintptr_t)at - (uintptr_t)c->library[i]);
		if (off < r->size)
			return r->host + off;
	}
	return NULL;
}

// By way of another place: a mapping that fails where one stands can leave a hole.
static bool map_again(const struct rte_vhost_mem_region *region, int fd)
{
	size_t size = region->mmap_size;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return false;
	if (mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, region->mmap_addr) != MAP_FAILED)
		return true;
	munmap(at, size);
	return false;
}

bool memory_renew(struct vhost_control *c, const struct message *m)
{
	struct rte_vhost_memory *table;
	// The library's function takes it that there is one.
	if (!c->memory)
		return true;
	bool is_gone = atomic_load(&c->memory->gone);
	if (rte_vhost_get_mem_table(c->vid, &table))
		return !is_gone;
	bool done = true;
	// Else the library maps what comes.
	bool is_kept = looks_like(m, table);
	c->peer.memory_renewed &= is_kept;
	if (is_gone && is_kept) {
		c->peer.memory_renewed = true;
		for (uint32_t i = 0; i < table->nregions; i++)
			done &= map_again(&table->regions[i], m->fds[i]);
	}
	free(table);
	return done;
}

// True if nobody has written to the start of this part of a guest's memory. Only files in memory
// are looked at: nothing that can be handed over as a file else is sure to answer.
static bool reads_as_zero(int fd, uint64_t offset)
{
	static const uint8_t zeros[4096];
	enum {
		LOOKED_AT = 256 << 10
	};
	uint8_t page[sizeof(zeros)];
	struct statfs fs;
	if (fstatfs(fd, &fs) || (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC))
		return false;
	for (off_t at = 0; at < LOOKED_AT; at += (off_t)sizeof(page)) {
		ssize_t n = pread(fd, page, sizeof(page), (off_t)offset + at);
		if (n < 0 || memcmp(page, zeros, (size_t)n))
			return false;
		if (!n)
			break;
	}
	return true;
}

// A guest that runs has written to its memory: an x86 firmware alone fills the first page. If the
// files of its table hold zeros where each region begins, it writes elsewhere: they are mapped
// privately (share=off). How many pages a file has tells nothing, for a private write allocates one
// too. It is only a suspicion; vhost_port_status drops it when it sees the guest's first entry.
bool memory_untouched(const struct message *m)
{
	for (int i = 0; i < m->nfds && i < MEMORY_REGIONS_MAX; i++)
		if (!reads_as_zero(m->fds[i], m->payload.memory.regions[i].mmap_offset))
			return false;
	return m->nfds > 0;
}

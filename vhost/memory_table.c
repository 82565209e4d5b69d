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
#include "vhost/memory_probe.h"

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

// What is not mapped here is used where the library has it.
static struct mapping *map_region(const struct message *m, uint32_t i)
{
	uint64_t bytes;
	struct error err;
	if (memory_mapped_bytes(m->fds[i], m->payload.memory.regions[i].size,
		    m->payload.memory.regions[i].mmap_offset, &bytes, &err))
		return NULL;
	return mapping_get(m->fds[i], bytes);
}

// Whether two regions have bytes of a file in common. An address is to be in one of them alone: by
// it the log of dirty pages is kept.
static bool have_common(const struct message *m, uint32_t i, uint32_t k)
{
	const uint64_t at_i = m->payload.memory.regions[i].mmap_offset;
	const uint64_t at_k = m->payload.memory.regions[k].mmap_offset;
	return at_i - at_k < m->payload.memory.regions[k].size ||
	       at_k - at_i < m->payload.memory.regions[i].size;
}

// The library goes on with the files that it has, whatever comes with such a table.
static bool is_kept(const struct vhost_control *c, const struct message *m)
{
	struct rte_vhost_memory *table;
	if (!c->memory || atomic_load(&c->memory->gone) || rte_vhost_get_mem_table(c->vid, &table))
		return false;
	bool kept = looks_like(m, table);
	free(table);
	return kept;
}

static void map_regions(const struct message *m, struct mapping *coming[MEMORY_REGIONS_MAX])
{
	uint32_t n = m->nfds > 0 ? (uint32_t)m->nfds : 0;
	if (n > m->payload.memory.nregions)
		n = m->payload.memory.nregions;
	for (uint32_t i = 0; i < n && i < MEMORY_REGIONS_MAX; i++) {
		coming[i] = map_region(m, i);
		for (uint32_t k = 0; k < i; k++) {
			if (!coming[i] || coming[i] != coming[k] || !have_common(m, i, k))
				continue;
			mapping_put(coming[i]);
			coming[i] = NULL;
		}
	}
}

void memory_expect(struct vhost_control *c, const struct message *m)
{
	struct mapping *coming[MEMORY_REGIONS_MAX] = {NULL};
	if (is_kept(c, m)) {
		memcpy(coming, c->mappings, sizeof(coming));
		memset(c->mappings, 0, sizeof(c->mappings));
	} else {
		// Before those at hand are put back, among which they are if only a region is
		// added.
		map_regions(m, coming);
	}
	memory_drop(c);
	memcpy(c->mappings, coming, sizeof(coming));
}

// The mapping for the workers, if it is what the library has mapped: that may have kept another
// table than the one that came.
static const struct mapping *own_mapping(struct vhost_control *c, const struct message *m,
	uint32_t i, const struct rte_vhost_mem_region *library)
{
	const struct mapping *own = c->mappings[i];
	uint64_t offset = library->host_user_addr - (uintptr_t)library->mmap_addr;
	if (own && own->len >= library->mmap_size &&
		m->payload.memory.regions[i].mmap_offset == offset)
		return own;
	mapping_put(c->mappings[i]);
	c->mappings[i] = NULL;
	return NULL;
}

int memory_load(struct vhost_control *c, const struct message *m)
{
	struct rte_vhost_memory *table;
	if (rte_vhost_get_mem_table(c->vid, &table))
		return -ENOMEM;
	struct guest_memory *memory = calloc(1, sizeof(*memory));
	if (!memory) {
		free(table);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < table->nregions && i < MEMORY_REGIONS_MAX; i++) {
		const struct rte_vhost_mem_region *from = &table->regions[i];
		const struct mapping *own = own_mapping(c, m, i, from);
		c->library[i] = (uint8_t *)(uintptr_t)from->host_user_addr;
		memory->regions[memory->nregions++] = (struct memory_region){
			.guest_addr = from->guest_phys_addr,
			.size = from->size,
			.host = own ? own->at + (c->library[i] - (uint8_t *)from->mmap_addr)
				    : c->library[i],
		};
		if (bus_error_guard(from->mmap_addr, from->mmap_size, &memory->gone) ||
			(own && bus_error_guard(own->at, own->len, &memory->gone))) {
			bus_error_release(&memory->gone);
			free(table);
			free(memory);
			return -ENOMEM;
		}
		if (own && mapping_is_gone(own))
			atomic_store(&memory->gone, true);
	}
	free(table);
	c->memory = memory;
	return 0;
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
	if (!c->memory || !atomic_load(&c->memory->gone))
		return true;
	if (rte_vhost_get_mem_table(c->vid, &table))
		return false;
	bool done = true;
	if (looks_like(m, table))
		for (uint32_t i = 0; i < table->nregions; i++)
			done &= map_again(&table->regions[i], m->fds[i]);
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

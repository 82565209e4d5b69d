// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost_types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "base/log.h"
#include "vhost/memory_table.h"

_Static_assert(VRINGS_MAX <= 32, "a bit mask of vrings has 32 bits");
_Static_assert(offsetof(struct vhost_control, port) == 0, "vhost_control() casts");

static bool is_from_vm(unsigned vring)
{
	return vring & 1;
}

static struct ring **slot_of(struct vhost_control *c, unsigned vring)
{
	struct vhost_queue_pair *pair = &c->port.pairs[vring / 2];
	return is_from_vm(vring) ? &pair->from_vm : &pair->to_vm;
}

// --- taking down ---------------------------------------------------------------------------------

static void unpublish(struct vhost_control *c, unsigned vring)
{
	const struct vhost_vring *v = &c->vrings[vring];
	if (is_from_vm(vring))
		c->events->ring_down(c->ctx, vring / 2, v->kick_fd);
	else
		atomic_fetch_and(&c->port.running, ~(1u << vring / 2));
	rcu_set_pointer(slot_of(c, vring), NULL);
}

static void close_fds(struct vhost_vring *v)
{
	if (v->kick_fd >= 0)
		close(v->kick_fd);
	if (v->call_fd >= 0)
		close(v->call_fd);
	v->kick_fd = v->call_fd = -1;
}

// After the grace period.
static void release(struct vhost_control *c, unsigned vring)
{
	struct vhost_vring *v = &c->vrings[vring];
	struct ring *ring = v->ring;
	int fault = atomic_load(&ring->fault);
	if (fault != RING_OK) {
		v->fault = (enum ring_fault)fault;
		log_warning(LOG_VHOST, "port %s: %s in queue %u", c->name,
			ring_fault_text(v->fault), vring);
	}
	// The library answers GET_VRING_BASE with it, and starts there when it moves the ring.
	rte_vhost_set_vring_base(c->vid, (uint16_t)vring, ring->next_avail, ring->next_used);
	ring_fini(ring);
	free(ring);
	v->ring = NULL;
	close_fds(v);
}

void rings_quiesce(struct vhost_control *c, uint32_t vrings)
{
	uint32_t down = 0;
	for (unsigned i = 0; i < VRINGS_MAX; i++) {
		if (vrings >> i & 1 && c->vrings[i].ring) {
			unpublish(c, i);
			down |= 1u << i;
		}
	}
	if (!down)
		return;
	synchronize_rcu();
	for (unsigned i = 0; i < VRINGS_MAX; i++)
		if (down >> i & 1)
			release(c, i);
}

void rings_reset(struct vhost_control *c)
{
	for (unsigned i = 0; i < VRINGS_MAX; i++) {
		c->vrings[i].fault = RING_OK;
		c->vrings[i].unusable = NULL;
	}
}

// --- publishing ----------------------------------------------------------------------------------

static bool in_memory(const struct guest_memory *memory, const void *at, uint64_t len)
{
	for (uint32_t i = 0; i < memory->nregions; i++) {
		const struct memory_region *r = &memory->regions[i];
		uint64_t off = (uint64_t)((uintptr_t)at - (uintptr_t)r->host);
		if (off < r->size && r->size - off >= len)
			return true;
	}
	return false;
}

static bool is_eventfd(int fd)
{
	char link[64], target[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return !strcmp(target, "anon_inode:[eventfd]");
}

// Own duplicates: the library closes its fds whenever the peer sends others. Anything but an
// eventfd could block a worker that writes to it or wake one without end that waits for it.
static const char *open_fds(struct vhost_vring *v, const struct rte_vhost_vring *from)
{
	if (from->kickfd >= 0 && !is_eventfd(from->kickfd))
		return "kick fd is no eventfd";
	if (from->callfd >= 0 && !is_eventfd(from->callfd))
		return "call fd is no eventfd";
	v->kick_fd = from->kickfd >= 0 ? fcntl(from->kickfd, F_DUPFD_CLOEXEC, 0) : -1;
	v->call_fd = from->callfd >= 0 ? fcntl(from->callfd, F_DUPFD_CLOEXEC, 0) : -1;
	if (v->kick_fd < 0 && from->kickfd >= 0)
		return "no file descriptor left";
	if (v->call_fd < 0 && from->callfd >= 0)
		return "no file descriptor left";
	if (v->call_fd >= 0 && fcntl(v->call_fd, F_SETFL, fcntl(v->call_fd, F_GETFL) | O_NONBLOCK))
		return "call fd cannot be made non-blocking";
	return NULL;
}

// The library has checked sizes only in part: a ring whose end lies outside its region is `ready`.
static const char *check_place(const struct ring_setup *ring)
{
	uint64_t n = ring->size;
	if (!n || n > 32768 || (n & (n - 1)))
		return "ring size is no power of two";
	if (!ring->desc || !in_memory(ring->mem, ring->desc, 16 * n))
		return "descriptor table outside the guest's memory";
	if (!ring->avail || !in_memory(ring->mem, ring->avail, 6 + 2 * n))
		return "available ring outside the guest's memory";
	if (!ring->used || !in_memory(ring->mem, ring->used, 6 + 8 * n))
		return "used ring outside the guest's memory";
	if ((uintptr_t)ring->desc % 16 || (uintptr_t)ring->avail % 2 || (uintptr_t)ring->used % 4)
		return "misaligned ring";
	return NULL;
}

// The address by which the log knows the used ring: as SET_VRING_ADDR gave it, else as the memory
// table has it.
static uint64_t used_address(
	const struct vhost_control *c, const struct vhost_vring *v, const void *used)
{
	uint64_t addr = v->used_log_addr;
	if (!v->used_logged)
		memory_guest_address(c->memory, used, &addr);
	return addr;
}

static bool logs(uint64_t features)
{
	return features >> VHOST_F_LOG_ALL & 1;
}

// Makes v->ring. NULL, or why it cannot be.
static const char *build(struct vhost_control *c, unsigned vring,
	const struct rte_vhost_vring *from, uint64_t features)
{
	struct vhost_vring *v = &c->vrings[vring];
	struct ring_setup setup = {
		.desc = memory_of_workers(c, from->desc),
		.avail = memory_of_workers(c, from->avail),
		.used = memory_of_workers(c, from->used),
		.size = from->size,
		.features = features,
		.mem = c->memory,
		.log = logs(features) ? &c->log : NULL,
	};
	const char *why = check_place(&setup);
	if (why)
		return why;
	why = open_fds(v, from);
	if (why)
		goto fail;
	setup.call_fd = v->call_fd;
	setup.used_addr = used_address(c, v, setup.used);
	rte_vhost_get_vring_base(c->vid, (uint16_t)vring, &setup.next_avail, &setup.next_used);
	why = "no memory for a ring";
	size_t size = (sizeof(struct ring) + 63) & ~(size_t)63;
	v->ring = aligned_alloc(64, size);
	if (!v->ring)
		goto fail;
	if (ring_init(v->ring, &setup))
		goto fail_init;
	return NULL;

fail_init:
	free(v->ring);
	v->ring = NULL;
fail:
	close_fds(v);
	return why;
}

static void publish(struct vhost_control *c, unsigned vring)
{
	struct vhost_vring *v = &c->vrings[vring];
	struct vhost_queue_pair *pair = &c->port.pairs[vring / 2];
	if (is_from_vm(vring))
		atomic_store(&pair->from_vm_enabled, v->enabled);
	rcu_set_pointer(slot_of(c, vring), v->ring);
	if (is_from_vm(vring))
		c->events->ring_up(c->ctx, vring / 2, v->kick_fd);
	else
		atomic_fetch_or(&c->port.running, 1u << vring / 2);
	atomic_fetch_or(
		&pair->due, is_from_vm(vring) ? VHOST_DUE_SIGNAL_FROM_VM : VHOST_DUE_SIGNAL_TO_VM);
	c->events->wake(c->ctx, vring / 2);
}

static unsigned take_due(struct vhost_port *port, unsigned pair, unsigned what)
{
	return atomic_fetch_and(&port->pairs[pair].due, (uint8_t)~what) & what;
}

void vhost_port_signal(struct vhost_port *port, unsigned pair)
{
	unsigned due = take_due(port, pair, VHOST_DUE_SIGNAL_FROM_VM | VHOST_DUE_SIGNAL_TO_VM);
	struct ring *ring = due & VHOST_DUE_SIGNAL_FROM_VM ? vhost_port_from_vm(port, pair) : NULL;
	if (ring)
		ring_signal(ring);
	if (!(due & VHOST_DUE_SIGNAL_TO_VM))
		return;
	vhost_port_to_vm_lock(port, pair);
	ring = vhost_port_to_vm(port, pair);
	if (ring)
		ring_signal(ring);
	vhost_port_to_vm_unlock(port, pair);
}

void rings_announce(struct vhost_control *c, const uint8_t mac[6])
{
	uint64_t word = 0;
	memcpy(&word, mac, 6);
	atomic_store(&c->port.announcement, word);
	atomic_fetch_or(&c->port.pairs[0].due, VHOST_DUE_ANNOUNCEMENT);
	c->events->wake(c->ctx, 0);
}

bool vhost_port_announcement(struct vhost_port *port, unsigned pair, uint8_t mac[6])
{
	if (!take_due(port, pair, VHOST_DUE_ANNOUNCEMENT))
		return false;
	uint64_t word = atomic_exchange(&port->announcement, 0);
	memcpy(mac, &word, 6);
	return word;
}

// A started from-vm ring is published even while disabled: the guest's packets are then to be taken
// and discarded. To-vm, a disabled ring is not to be used.
static bool is_started(
	const struct vhost_control *c, unsigned vring, const struct rte_vhost_vring *library)
{
	return library->kickfd != FD_UNSET && library->callfd != FD_UNSET &&
	       (is_from_vm(vring) || c->vrings[vring].enabled);
}

void rings_publish(struct vhost_control *c)
{
	uint64_t features;
	if (!c->running || !c->memory || c->closing || vhost_memory_gone(c) ||
		rte_vhost_get_negotiated_features(c->vid, &features))
		return;
	// A VMM that starts a guest under migration negotiates logging first and gives the log
	// later.
	if (logs(features) && !c->log.bits)
		return;
	atomic_store(&c->port.features, features);
	bool changed = false;
	for (unsigned i = 0; i < 2u * c->config.queues; i++) {
		struct vhost_vring *v = &c->vrings[i];
		struct rte_vhost_vring library;
		if (v->ring || v->fault != RING_OK ||
			rte_vhost_get_vhost_vring(c->vid, (uint16_t)i, &library) ||
			!is_started(c, i, &library))
			continue;
		const char *before = v->unusable;
		v->unusable = build(c, i, &library, features);
		if (!v->unusable)
			publish(c, i);
		else if (v->unusable != before)
			log_warning(LOG_VHOST, "port %s: %s in queue %u", c->name, v->unusable, i);
		changed |= !v->unusable;
	}
	if (!changed)
		return;
	if (c->vrings[0].ring && c->vrings[1].ring) {
		c->failure[0] = '\0';
		c->peer.failed = false;
	}
	c->events->changed(c->ctx);
}

// The library finds a ring's place when the ring is started, and says nothing if it cannot.
void rings_check_started(struct vhost_control *c, unsigned vring)
{
	struct rte_vhost_vring library;
	if (!c->memory || rte_vhost_get_vhost_vring(c->vid, (uint16_t)vring, &library) ||
		(library.desc && library.avail && library.used))
		return;
	c->vrings[vring].unusable = "ring outside the guest's memory";
	log_warning(
		LOG_VHOST, "port %s: %s in queue %u", c->name, c->vrings[vring].unusable, vring);
}

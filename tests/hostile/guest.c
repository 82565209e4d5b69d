// SPDX-License-Identifier: BSD-3-Clause
#include "tests/hostile/guest.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	PROTOCOL_F_MQ = 1 << 0,
	PROTOCOL_F_REPLY_ACK = 1 << 3,
	F_PROTOCOL_FEATURES = 30,
	TAKEN_S = 30
};

static void queue_init(struct guest *g, unsigned index)
{
	struct queue *v = &g->rings[index];
	uint32_t place = index * RING_BYTES;
	*v = (struct queue){
		.index = index,
		.place = place,
		.desc = (struct vring_desc *)(g->memory + place),
		.avail = (struct vring_avail *)(g->memory + place + AVAIL_AT),
		.used = (struct vring_used *)(g->memory + place + USED_AT),
		.table = (struct vring_desc *)(g->memory + place + TABLE_AT),
		.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (v->kick < 0 || v->call < 0)
		fail("eventfd: %s", strerror(errno));
}

void guest_open(struct guest *g, const char *path, bool connects, uint8_t mac)
{
	*g = (struct guest){.peer = {.path = path, .connects = connects, .listener = -1, .fd = -1},
		.mac = {0x52, 0x54, 0, 0, 0xbd, mac}};
	g->memory_fd = memfd_create("weir-hostile", MFD_CLOEXEC);
	if (g->memory_fd < 0 || ftruncate(g->memory_fd, FILE_BYTES))
		fail("memfd: %s", strerror(errno));
	g->memory = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g->memory_fd, 0);
	if (g->memory == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	queue_init(g, TO_VM);
	queue_init(g, FROM_VM);
}

void guest_close(struct guest *g)
{
	peer_close(&g->peer);
	for (unsigned i = 0; i < 2; i++) {
		close(g->rings[i].kick);
		close(g->rings[i].call);
	}
	munmap(g->memory, FILE_BYTES);
	close(g->memory_fd);
}

// --- the protocol --------------------------------------------------------------------------------

void guest_say_memory(const struct guest *g, struct message *m)
{
	*m = (struct message){.request = SET_MEM_TABLE,
		.flags = FLAG_VERSION,
		.size = 8 + 3 * sizeof(struct region),
		.nfds = 3,
		.fds = {g->memory_fd, g->memory_fd, g->memory_fd}};
	m->memory.nregions = 3;
	m->memory.regions[0] = (struct region){GUEST_BASE, MAIN_BYTES, USER_BASE, 0};
	m->memory.regions[1] = (struct region){
		NEXT_BASE, SIDE_BYTES, USER_BASE + (1ull << 30), MAIN_BYTES};
	m->memory.regions[2] = (struct region){
		TOP_BASE, SIDE_BYTES, USER_BASE + (2ull << 30), MAIN_BYTES + SIDE_BYTES};
}

void guest_say_addr(const struct guest *g, unsigned ring, struct message *m)
{
	uint64_t at = USER_BASE + g->rings[ring].place;
	*m = (struct message){.request = SET_VRING_ADDR, .flags = FLAG_VERSION, .size = 40};
	m->addr.index = ring;
	m->addr.desc = at;
	m->addr.used = at + USED_AT;
	m->addr.avail = at + AVAIL_AT;
}

// What needs no answer: what follows shows whether it was done.
static void say(struct guest *g, struct message m)
{
	m.flags = FLAG_VERSION;
	if (!peer_send(&g->peer, &m))
		fail("%s was closed at a sound message %u", g->peer.path, m.request);
}

static void say_state(struct guest *g, uint32_t request, uint32_t index, uint32_t num)
{
	struct message m = {.request = request, .size = 8};
	m.state.index = index;
	m.state.num = num;
	say(g, m);
}

static void say_u64(struct guest *g, uint32_t request, uint64_t u64)
{
	say(g, (struct message){.request = request, .size = 8, .u64 = u64});
}

static void say_fd(struct guest *g, uint32_t request, unsigned ring, int fd)
{
	say(g, (struct message){
		       .request = request, .size = 8, .u64 = ring, .nfds = 1, .fds = {fd}});
}

void guest_negotiate(struct guest *g, uint64_t features)
{
	say(g, (struct message){.request = SET_OWNER});
	g->offered = peer_ask(&g->peer, GET_FEATURES, 0);
	uint64_t protocol = peer_ask(&g->peer, GET_PROTOCOL_FEATURES, 0);
	say_u64(g, SET_PROTOCOL_FEATURES, protocol & (PROTOCOL_F_MQ | PROTOCOL_F_REPLY_ACK));
	g->features = (features & g->offered) | FEATURE(F_PROTOCOL_FEATURES);
	say_u64(g, SET_FEATURES, g->features);
}

// The switch begins to use a ring only after it has answered the message that completes it.
static void wait_started(struct guest *g)
{
	peer_ask(&g->peer, GET_FEATURES, 0);
}

// The ring as a driver leaves it before it starts the device, at any index.
static void queue_clear(struct guest *g, struct queue *v, uint16_t base)
{
	memset(g->memory + v->place, 0, USED_AT + 6 + 8 * RING_MAX);
	v->next = v->seen = base;
	v->avail->idx = v->used->idx = base;
}

static void start_ring(struct guest *g, unsigned ring, uint16_t base)
{
	struct message m;
	struct queue *v = &g->rings[ring];
	queue_clear(g, v, base);
	say_state(g, SET_VRING_BASE, ring, base);
	guest_say_addr(g, ring, &m);
	say(g, m);
	say_fd(g, SET_VRING_CALL, ring, v->call);
	say_fd(g, SET_VRING_KICK, ring, v->kick);
}

void guest_start(struct guest *g, uint16_t size)
{
	struct message m;
	guest_say_memory(g, &m);
	peer_tell(&g->peer, &m);
	for (unsigned i = 0; i < 2; i++) {
		g->rings[i].size = size;
		say_state(g, SET_VRING_NUM, i, size);
		start_ring(g, i, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		m = (struct message){.request = SET_VRING_ENABLE, .size = 8};
		m.state.index = i;
		m.state.num = 1;
		peer_tell(&g->peer, &m);
	}
	wait_started(g);
}

static uint16_t stop_ring(struct guest *g, unsigned ring)
{
	return (uint16_t)(peer_ask(&g->peer, GET_VRING_BASE, ring) >> 32);
}

uint16_t guest_reset_ring(struct guest *g, unsigned ring, uint16_t base)
{
	uint16_t at = stop_ring(g, ring);
	start_ring(g, ring, base);
	wait_started(g);
	return at;
}

void guest_restart(struct guest *g, uint64_t features, uint16_t size)
{
	for (unsigned i = 0; i < 2; i++)
		stop_ring(g, i);
	g->features = (features & g->offered) | FEATURE(F_PROTOCOL_FEATURES);
	say_u64(g, SET_FEATURES, g->features);
	guest_start(g, size);
}

// --- frames --------------------------------------------------------------------------------------

void queue_kick(const struct queue *v)
{
	static const uint64_t one = 1;
	if (write(v->kick, &one, sizeof(one)) < 0 && errno != EAGAIN)
		fail("kick: %s", strerror(errno));
}

void guest_put(struct guest *g, uint16_t entry, const void *vnet, const uint8_t *frame, size_t len)
{
	static const uint8_t plain[VNET_SIZE];
	uint8_t *at = g->memory + buffer_place(FROM_VM, entry);
	memcpy(at, vnet ? vnet : plain, VNET_SIZE);
	memcpy(at + VNET_SIZE, frame, len);
	g->rings[FROM_VM].desc[entry] = (struct vring_desc){
		.addr = buffer_addr(FROM_VM, entry), .len = (uint32_t)(VNET_SIZE + len)};
}

void guest_post(struct guest *g, uint16_t entry)
{
	g->rings[TO_VM].desc[entry] = (struct vring_desc){
		.addr = buffer_addr(TO_VM, entry), .len = BUFFER_SIZE, .flags = VRING_DESC_F_WRITE};
}

static void wait_used(const struct guest *g, const struct queue *v, uint16_t index)
{
	for (unsigned i = 0; i < 2000 && queue_used(v) != index; i++)
		__builtin_ia32_pause();
	for (unsigned i = 0; i < TAKEN_S * 20000 && queue_used(v) != index; i++)
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	if (queue_used(v) != index)
		fail("the switch takes no frame of %s any more", g->peer.path);
}

void guest_send(struct guest *g, unsigned n)
{
	struct queue *v = &g->rings[FROM_VM];
	for (unsigned i = 0; i < n; i++)
		queue_add(v, (uint16_t)i);
	queue_set_index(v, v->next);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&v->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY))
		queue_kick(v);
	wait_used(g, v, v->next);
}

// What a driver would believe: the switch derives it from the packet, whatever the sender claimed.
static void check_received(const struct guest *g, const uint8_t *at, uint32_t len)
{
	struct virtio_net_hdr h;
	memcpy(&h, at, sizeof(h));
	uint32_t frame = len - VNET_SIZE;
	if (len < VNET_SIZE + 14 || len > BUFFER_SIZE)
		fail("%s received %u bytes", g->peer.path, len);
	if (h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN)
		fail("%s received a segmentation that it did not negotiate", g->peer.path);
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
		(!(g->features & FEATURE(VIRTIO_NET_F_GUEST_CSUM)) ||
			h.csum_start + h.csum_offset + 2u > frame))
		fail("%s received a checksum to complete at %u + %u of %u bytes", g->peer.path,
			h.csum_start, h.csum_offset, frame);
}

unsigned guest_drain(struct guest *g)
{
	struct queue *v = &g->rings[TO_VM];
	unsigned n = 0;
	for (uint16_t used = queue_used(v); v->seen != used; n++) {
		const struct vring_used_elem *e = &v->used->ring[v->seen++ % v->size];
		if (e->id >= v->size)
			fail("%s got buffer %u back", g->peer.path, e->id);
		check_received(g, g->memory + buffer_place(TO_VM, e->id), e->len);
		guest_post(g, (uint16_t)e->id);
		queue_add(v, (uint16_t)e->id);
	}
	queue_set_index(v, v->next);
	return n;
}

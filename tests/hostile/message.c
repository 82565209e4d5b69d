// SPDX-License-Identifier: BSD-3-Clause
// What message mutations begin with: sound messages, and descriptors of all kinds.
#include "tests/hostile/mutate_message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

// --- descriptors ---------------------------------------------------------------------------------

enum {
	KINDS = 12,
	PASSING_MAX = 8
};

static int kinds[KINDS], passing[PASSING_MAX];
static unsigned npassing;

void fds_open(void)
{
	int pipes[2], sockets[2], n = 0;
	if (pipe2(pipes, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		fail("no descriptors: %s", strerror(errno));
	kinds[n++] = pipes[0];
	kinds[n++] = pipes[1];
	kinds[n++] = sockets[0];
	kinds[n++] = sockets[1];
	kinds[n++] = open("/dev/null", O_RDWR | O_CLOEXEC);
	kinds[n++] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	kinds[n++] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	kinds[n++] = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	kinds[n++] = epoll_create1(EPOLL_CLOEXEC);
	kinds[n++] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	kinds[n++] = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	kinds[n++] = memfd_create("empty", MFD_CLOEXEC);
	while (n--)
		if (kinds[n] < 0)
			fail("descriptor %d: %s", n, strerror(errno));
}

int fds_any(struct rng *rng)
{
	return kinds[rng_below(rng, KINDS)];
}

int fds_passing(struct rng *rng)
{
	int pipes[2];
	if (npassing == PASSING_MAX)
		return fds_any(rng);
	if (pipe2(pipes, O_CLOEXEC))
		fail("no pipe: %s", strerror(errno));
	unsigned keep = rng_below(rng, 2);
	close(pipes[!keep]);
	return passing[npassing++] = pipes[keep];
}

void fds_close_passing(void)
{
	while (npassing)
		close(passing[--npassing]);
}

// --- sound messages ------------------------------------------------------------------------------

static uint32_t any_vring(struct rng *rng)
{
	return rng_below(rng, rng_one_in(rng, 4) ? 8 : 2);
}

void message_sound(const struct guest *g, struct rng *rng, uint32_t request, struct message *m)
{
	uint32_t vring = any_vring(rng);
	*m = (struct message){.request = request, .flags = FLAG_VERSION, .size = 8};
	switch (request) {
	case SET_FEATURES:
		m->u64 = g->features;
		break;
	case SET_PROTOCOL_FEATURES:
		m->u64 = 9; // MQ and REPLY_ACK
		break;
	case SET_MEM_TABLE:
		guest_say_memory(g, m);
		break;
	case SET_VRING_ADDR:
		guest_say_addr(g, vring % 2, m);
		m->addr.index = vring;
		break;
	case SET_VRING_NUM:
		m->state.index = vring;
		m->state.num = 64u << rng_below(rng, 5);
		break;
	case SET_VRING_BASE:
	case GET_VRING_BASE:
	case SET_VRING_ENABLE:
		m->state.index = vring;
		m->state.num = rng_below(rng, 2);
		break;
	case SET_VRING_KICK:
	case SET_VRING_CALL:
	case SET_VRING_ERR:
		m->u64 = vring;
		m->nfds = 1;
		m->fds[0] = request == SET_VRING_KICK ? g->rings[vring % 2].kick
						      : g->rings[vring % 2].call;
		break;
	case SET_LOG_BASE:
		m->size = 16;
		m->log.size = 1 << 16;
		m->nfds = 1;
		m->fds[0] = g->memory_fd;
		break;
	case SET_LOG_FD:
	case SET_BACKEND_REQ_FD:
		m->nfds = 1;
		m->fds[0] = g->rings[0].call;
		break;
	case NET_SET_MTU:
		m->u64 = 1500;
		break;
	case GET_INFLIGHT_FD:
	case SET_INFLIGHT_FD:
		m->size = 20;
		m->inflight.size = 1 << 16;
		m->inflight.queues = 2;
		m->inflight.queue_size = 64;
		m->nfds = request == SET_INFLIGHT_FD;
		m->fds[0] = g->memory_fd;
		break;
	default:
		m->u64 = rng_below(rng, 8);
	}
}

uint32_t message_any_request(struct rng *rng)
{
	static const uint32_t known[] = {GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER,
		SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR,
		SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR,
		GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE,
		SEND_RARP, NET_SET_MTU, SET_BACKEND_REQ_FD, IOTLB_MSG, GET_CONFIG, SET_CONFIG,
		CREATE_CRYPTO_SESSION, CLOSE_CRYPTO_SESSION, POSTCOPY_ADVISE, POSTCOPY_LISTEN,
		POSTCOPY_END, GET_INFLIGHT_FD, SET_INFLIGHT_FD, SET_STATUS, GET_STATUS};
	return known[rng_below(rng, sizeof(known) / sizeof(known[0]))];
}

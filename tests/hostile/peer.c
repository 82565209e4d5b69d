// SPDX-License-Identifier: BSD-3-Clause
#include "tests/hostile/peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	HEADER = 12,
	// Nothing that the switch does takes so long; on a slow machine under a sanitizer.
	ANSWER_S = 30
};

static const char *what = "start";
static uint64_t which;

void doing(const char *name, uint64_t number)
{
	what = name;
	which = number;
}

void fail(const char *format, ...)
{
	va_list args;
	fprintf(stderr, "%s: %s, number %llu: ", program_invocation_short_name, what,
		(unsigned long long)which);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

// --- the connection ------------------------------------------------------------------------------

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(un.sun_path))
		fail("the path %s is too long", path);
	memcpy(un.sun_path, path, strlen(path));
	return un;
}

static int listen_at(const char *path)
{
	struct sockaddr_un un = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) || chmod(path, 0777) ||
		listen(fd, 4))
		fail("cannot listen on %s: %s", path, strerror(errno));
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un un = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)))
		fail("cannot connect to %s: %s", path, strerror(errno));
	return fd;
}

void peer_open(struct peer *peer)
{
	const struct timeval patience = {.tv_sec = ANSWER_S};
	if (!peer->connects && peer->listener < 0)
		peer->listener = listen_at(peer->path);
	peer->fd = peer->connects ? connect_to(peer->path)
				  : accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer->fd < 0)
		fail("nobody connects to %s: %s", peer->path, strerror(errno));
	setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	peer->connections++;
}

// Until the switch has let go too: it refuses the next connection while it has this one.
void peer_hang_up(struct peer *peer)
{
	char rest[256];
	if (peer->fd < 0)
		return;
	shutdown(peer->fd, SHUT_WR);
	while (recv(peer->fd, rest, sizeof(rest), 0) > 0)
		;
	close(peer->fd);
	peer->fd = -1;
}

void peer_close(struct peer *peer)
{
	peer_hang_up(peer);
	if (peer->listener >= 0) {
		close(peer->listener);
		unlink(peer->path);
	}
	peer->listener = -1;
}

// --- messages ------------------------------------------------------------------------------------

bool peer_send(struct peer *peer, const struct message *m)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	size_t payload = m->size < PAYLOAD_MAX ? m->size : PAYLOAD_MAX;
	struct iovec iov[2] = {
		{(void *)(uintptr_t)m, HEADER}, {(void *)(uintptr_t)m->bytes, payload}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	if (m->nfds) {
		size_t n = (size_t)m->nfds * sizeof(int);
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n)};
		memcpy(CMSG_DATA(c), m->fds, n);
	}
	ssize_t n = sendmsg(peer->fd, &msg, MSG_NOSIGNAL);
	if (n < 0 && errno != EPIPE && errno != ECONNRESET)
		fail("cannot send request %u: %s", m->request, strerror(errno));
	if (n < 0)
		peer_hang_up(peer);
	else if ((size_t)n != HEADER + payload)
		fail("request %u was sent in part", m->request);
	return n > 0;
}

static bool receive_exactly(struct peer *peer, void *to, size_t n)
{
	ssize_t got = n ? recv(peer->fd, to, n, MSG_WAITALL) : 0;
	if (got == (ssize_t)n)
		return true;
	if (got < 0 && errno != ECONNRESET)
		fail("no answer on %s: %s", peer->path, strerror(errno));
	peer_hang_up(peer);
	return false;
}

bool peer_receive(struct peer *peer, struct message *m)
{
	if (!receive_exactly(peer, m, HEADER))
		return false;
	if (m->size > PAYLOAD_MAX || !(m->flags & FLAG_REPLY))
		fail("an answer with flags %#x and %u bytes", m->flags, m->size);
	return receive_exactly(peer, m->bytes, m->size);
}

uint64_t peer_ask(struct peer *peer, uint32_t request, uint64_t u64)
{
	struct message m = {.request = request, .flags = FLAG_VERSION, .size = 8, .u64 = u64};
	if (!peer_send(peer, &m) || !peer_receive(peer, &m))
		fail("%s was closed at a sound request %u", peer->path, request);
	return m.u64;
}

void peer_tell(struct peer *peer, struct message *m)
{
	m->flags = FLAG_VERSION | FLAG_NEED_REPLY;
	uint32_t request = m->request;
	if (!peer_send(peer, m) || !peer_receive(peer, m))
		fail("%s was closed at a sound message %u", peer->path, request);
	if (m->u64)
		fail("a sound message %u was refused", request);
}

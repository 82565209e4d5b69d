// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/socket_fds.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vhost/memory.h"

enum {
	HEADER_BYTES = 12, // request, flags, size
	CONTROL_BYTES = CMSG_SPACE(MEMORY_REGIONS_MAX * sizeof(int))
};

// SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR: whatever
// queue they name, the library knows it, or the hooks refuse the message and close what it brought.
#define TAKE_FDS (1u << 5 | 1u << 6 | 1u << 7 | 1u << 12 | 1u << 13 | 1u << 14)

// By the buffers that the library reads a message's header into.
static bool is_message(const struct msghdr *msg, ssize_t n)
{
	return n == HEADER_BYTES && msg->msg_iovlen == 1 && msg->msg_iov[0].iov_len == HEADER_BYTES;
}

static bool takes_fds(const struct msghdr *msg)
{
	uint32_t request;
	memcpy(&request, msg->msg_iov[0].iov_base, sizeof(request));
	return request < 32 && TAKE_FDS >> request & 1;
}

static void close_fds(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;
			memcpy(&fd, (const uint8_t *)c + at, sizeof(fd));
			close(fd);
		}
	}
	msg->msg_controllen = 0;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	size_t room = msg->msg_controllen;
	ssize_t n = syscall(SYS_recvmsg, fd, msg, flags);
	if (room == CONTROL_BYTES && is_message(msg, n) && !takes_fds(msg))
		close_fds(msg);
	return n;
}

bool socket_fds_guarded(void)
{
	return dlsym(RTLD_DEFAULT, "recvmsg") == (void *)(uintptr_t)recvmsg;
}

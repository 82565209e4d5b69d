// SPDX-License-Identifier: BSD-3-Clause
// Descriptors that come with a message, as the vhost library reads it.
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/socket_fds.h"

enum {
	LIBRARY_FDS = 8
};

static int ends[2];

static void make_ends(void)
{
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
}

TestSuite(socket_fds, .init = make_ends);

struct control {
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(LIBRARY_FDS * sizeof(int))];
};

static void send_message(uint32_t request, unsigned nfds)
{
	struct control control = {{0}};
	uint32_t header[3] = {request, 1, 0};
	struct iovec iov = {header, sizeof(header)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(nfds * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(nfds * sizeof(int))};
	for (unsigned i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &ends[0], sizeof(int));
	cr_assert_eq(sendmsg(ends[0], &msg, 0), (ssize_t)sizeof(header));
}

// How many descriptors a reader with room for so many bytes of header gets.
static unsigned receive_fds(size_t header_bytes)
{
	struct control control;
	uint8_t header[64];
	struct iovec iov = {header, header_bytes};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	cr_assert(recvmsg(ends[1], &msg, 0) == 12);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	return c ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
}

static int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY);
	close(fd);
	return fd;
}

Test(socket_fds, a_request_that_takes_them_keeps_them)
{
	static const uint32_t requests[] = {5, 6, 7, 12, 13, 14};
	for (unsigned i = 0; i < 6; i++) {
		send_message(requests[i], 3);
		cr_assert_eq(receive_fds(12), 3, "request %u", requests[i]);
	}
}

Test(socket_fds, what_comes_with_any_other_is_closed)
{
	static const uint32_t requests[] = {0, 1, 8, 9, 10, 11, 18, 21, 31, 32, 40, 44, 0xffffffff};
	int free_fd = lowest_free_fd();
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		send_message(requests[i], LIBRARY_FDS);
		cr_assert_eq(receive_fds(12), 0, "request %u", requests[i]);
	}
	cr_assert_eq(lowest_free_fd(), free_fd);
}

// Somebody else in the process.
Test(socket_fds, other_readers_get_all)
{
	send_message(8, 2);
	cr_assert_eq(receive_fds(13), 2);
}

Test(socket_fds, an_error_stays_one)
{
	struct msghdr msg = {0};
	cr_assert_eq(recvmsg(-1, &msg, 0), -1);
	cr_assert_eq(errno, EBADF);
}

Test(socket_fds, it_is_in_place)
{
	cr_assert(socket_fds_guarded());
}

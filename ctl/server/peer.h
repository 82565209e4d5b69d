// SPDX-License-Identifier: BSD-3-Clause
// Who is at the other end of a Unix socket, and what they may do.
#ifndef WEIR_CTL_SERVER_PEER_H
#define WEIR_CTL_SERVER_PEER_H

#include <stdbool.h>
#include <sys/types.h>

struct peer {
	uid_t uid;
	pid_t pid;
	bool may_write;
};

#define PEER_NO_GROUP ((gid_t)-1)

// The gid of group `weir`, or PEER_NO_GROUP. Asks the user database: at start, not per client.
gid_t peer_writers(void);

// As the kernel noted when the peer connected. -errno.
int peer_identify(int fd, gid_t writers, struct peer *peer);

#endif

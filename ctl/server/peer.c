// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/peer.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

gid_t peer_writers(void)
{
	struct group *group = getgrnam("weir");
	return group ? group->gr_gid : PEER_NO_GROUP;
}

// The supplementary groups that the peer's process has, not those that the user database gives its
// user: the database may be a slow server, and the main thread must not wait for one.
static bool is_member(int fd, gid_t gid)
{
	gid_t few[64];
	gid_t *groups = few;
	socklen_t len = sizeof(few);
	int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	if (rc < 0 && errno == ERANGE && (groups = malloc(len)) != NULL)
		rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	bool found = false;
	for (size_t i = 0; groups && rc == 0 && i < len / sizeof(gid_t); i++)
		found |= groups[i] == gid;
	if (groups != few)
		free(groups);
	return found;
}

int peer_identify(int fd, gid_t writers, struct peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*peer = (struct peer){.uid = cred.uid, .pid = cred.pid};
	peer->may_write = cred.uid == 0 || cred.uid == geteuid() ||
			  (writers != PEER_NO_GROUP &&
				  (cred.gid == writers || is_member(fd, writers)));
	return 0;
}

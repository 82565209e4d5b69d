// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void socket_folder(const char *path, char *folder, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash > path ? (size_t)(slash - path) : 1;
	snprintf(folder, size, "%.*s", (int)len, slash ? path : ".");
}

// --- before and after binding --------------------------------------------------------------------

static int check_folder(const char *path, struct error *err)
{
	char folder[SOCKET_PATH_SIZE];
	struct stat st;
	socket_folder(path, folder, sizeof(folder));
	if (stat(folder, &st))
		return error_set(
			err, errno, "folder %s of the socket: %s", folder, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "%s is no folder", folder);
	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS))
		return error_set(
			err, errno, "cannot create a socket in %s: %s", folder, strerror(errno));
	return 0;
}

// 0: somebody accepts. Else the error of connecting.
static int try_connect(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	memcpy(un.sun_path, path, strnlen(path, sizeof(un.sun_path) - 1));
	int rc = connect(fd, (struct sockaddr *)&un, sizeof(un)) ? errno : 0;
	close(fd);
	// Its queue of connections is full: somebody listens.
	return rc == EAGAIN ? 0 : rc;
}

int socket_prepare(const char *path, struct error *err)
{
	struct stat st;
	int rc = check_folder(path, err);
	if (rc)
		return rc;
	if (lstat(path, &st))
		return errno == ENOENT ? 0 : error_set(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, EEXIST, "%s is there and is no socket", path);
	rc = try_connect(path);
	if (rc == ENOENT)
		return 0;
	if (!rc)
		return error_set(err, EADDRINUSE, "another process listens on %s", path);
	if (rc != ECONNREFUSED)
		return error_set(
			err, rc, "cannot tell whether %s is in use: %s", path, strerror(rc));
	if (unlink(path) && errno != ENOENT)
		return error_set(
			err, errno, "cannot remove the stale socket %s: %s", path, strerror(errno));
	return 0;
}

static bool parse_id(const char *text, unsigned *id)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	*id = (unsigned)n;
	return *text >= '0' && *text <= '9' && !*end && !errno && n < UINT32_MAX;
}

static int find_owner(
	const struct config_vhost_user *config, uid_t *uid, gid_t *gid, struct error *err)
{
	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (*config->owner && !parse_id(config->owner, uid)) {
		const struct passwd *pw = getpwnam(config->owner);
		if (!pw)
			return error_set(
				err, ENOENT, "vhost-user.owner: no user %s", config->owner);
		*uid = pw->pw_uid;
	}
	if (*config->group && !parse_id(config->group, gid)) {
		const struct group *gr = getgrnam(config->group);
		if (!gr)
			return error_set(
				err, ENOENT, "vhost-user.group: no group %s", config->group);
		*gid = gr->gr_gid;
	}
	return 0;
}

// What stands at the path, if it is a socket: a descriptor of it, or -errno. The VMM's user may
// write to the folder, so there could be a link by now to something that is ours.
static int open_socket(const char *path)
{
	struct stat st;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISSOCK(st.st_mode))
		return fd;
	close(fd);
	return -ENOTSOCK;
}

static int give(int fd, const char *path, const struct config_vhost_user *config, uid_t uid,
	gid_t gid, struct error *err)
{
	char self[32];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	// The mode last: changing the owner may clear bits, and nobody gains access in between.
	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH))
		return error_set(err, errno,
			"cannot give %s to user %s, group %s: %s (the switch may give it to its "
			"own groups only)",
			path, *config->owner ? config->owner : "(unchanged)",
			*config->group ? config->group : "(unchanged)", strerror(errno));
	if (chmod(self, config->mode))
		return error_set(err, errno, "cannot set mode %04o of %s: %s", config->mode, path,
			strerror(errno));
	return 0;
}

int socket_set_owner(const char *path, const struct config_vhost_user *config, struct error *err)
{
	uid_t uid;
	gid_t gid;
	int rc = find_owner(config, &uid, &gid, err);
	if (rc)
		return rc;
	int fd = open_socket(path);
	if (fd < 0)
		return error_set(err, -fd, "the socket %s was replaced: %s", path, strerror(-fd));
	rc = give(fd, path, config, uid, gid, err);
	close(fd);
	return rc;
}

// --- the peer ------------------------------------------------------------------------------------

static bool has_path(const struct sockaddr_un *un, socklen_t len, const char *path)
{
	return len > offsetof(struct sockaddr_un, sun_path) && un->sun_family == AF_UNIX &&
	       len <= sizeof(*un) && !strncmp(un->sun_path, path, sizeof(un->sun_path));
}

// One end of a connection has the path: ours if we listen, the peer's else.
static pid_t peer_of(int fd, const char *path)
{
	struct sockaddr_un own = {0}, peer = {0};
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	struct ucred cred;
	socklen_t cred_len = sizeof(cred);
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) ||
		getsockname(fd, (struct sockaddr *)&own, &own_len))
		return 0;
	if (!has_path(&own, own_len, path) && !has_path(&peer, peer_len, path))
		return 0;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) ? 0 : cred.pid;
}

// The library keeps its fds to itself, so they are looked for.
pid_t socket_peer_pid(const char *path)
{
	DIR *dir = opendir("/proc/self/fd");
	pid_t pid = 0;
	if (!dir)
		return 0;
	for (const struct dirent *e = readdir(dir); e && !pid; e = readdir(dir)) {
		unsigned fd;
		if (parse_id(e->d_name, &fd))
			pid = peer_of((int)fd, path);
	}
	closedir(dir);
	return pid;
}

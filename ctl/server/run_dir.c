// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/server/vm_access.h"

static int make_dir(const char *path, struct error *err)
{
	if (mkdir(path, 0755) == 0)
		// The umask must not close it to the VMM's user and to weirctl's.
		return chmod(path, 0755) == 0 ? 0
					      : error_set(err, errno, "run directory %s: %s", path,
							strerror(errno));
	struct stat st;
	if (errno != EEXIST)
		return error_set(
			err, errno, "run directory %s: cannot make it: %s", path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "run directory %s: it is no directory", path);
	if (access(path, R_OK | W_OK | X_OK) < 0)
		return error_set(err, errno, "run directory %s: cannot write there: %s", path,
			strerror(errno));
	return 0;
}

static int choose(struct run_dir *dir, const char *path, struct error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char own[PATH_MAX] = "";
	if (runtime && runtime[0] == '/')
		snprintf(own, sizeof(own), "%s/weir", runtime);
	const char *wanted = path ? path : "/run/weir";
	int rc = make_dir(wanted, err);
	if (rc && !path && own[0])
		rc = make_dir(wanted = own, err);
	if (rc) {
		if (!path)
			error_prefix(err, "no place for sockets, name one by --run-dir: ");
		return rc;
	}
	return realpath(wanted, dir->path)
		       ? 0
		       : error_set(err, errno, "run directory %s: %s", wanted, strerror(errno));
}

static int refuse_second(const char *path, int fd, struct error *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
	return error_set(err, EBUSY, "run directory %s: another weir-switchd uses it, pid %s", path,
		pid[0] ? pid : "unknown");
}

// The holder removes the file when it ends, so the one that was locked may be gone by then: only
// the lock of the file that still stands there counts.
static int take_lock(struct run_dir *dir, struct error *err)
{
	char path[PATH_MAX + 8];
	snprintf(path, sizeof(path), "%s/lock", dir->path);
	for (;;) {
		struct stat there, mine;
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return error_set(err, errno, "%s: %s", path, strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int rc = refuse_second(dir->path, fd, err);
			close(fd);
			return rc;
		}
		if (stat(path, &there) == 0 && fstat(fd, &mine) == 0 &&
			there.st_ino == mine.st_ino && there.st_dev == mine.st_dev) {
			dir->lock = fd;
			break;
		}
		close(fd);
	}
	// For people and for the sentence above; the lock itself does not need it.
	if (ftruncate(dir->lock, 0) < 0 || dprintf(dir->lock, "%d\n", getpid()) < 0)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int run_dir_open(struct run_dir *dir, const char *path, struct error *err)
{
	*dir = (struct run_dir){.lock = -1};
	int rc = choose(dir, path, err);
	if (!rc)
		rc = take_lock(dir, err);
	if (rc)
		return rc;
	char vm[PATH_MAX + 4];
	snprintf(vm, sizeof(vm), "%s/vm", dir->path);
	rc = make_dir(vm, err);
	if (rc) {
		run_dir_close(dir);
		return rc;
	}
	vm_access_grant(vm);
	return 0;
}

void run_dir_close(struct run_dir *dir)
{
	if (dir->lock < 0)
		return;
	char path[PATH_MAX + 8];
	snprintf(path, sizeof(path), "%s/lock", dir->path);
	unlink(path);
	close(dir->lock);
	dir->lock = -1;
}

// SPDX-License-Identifier: BSD-3-Clause
// The file of a port's socket, in a folder that others may write to.
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost/socket.h"

static char folder[] = "/tmp/weir-socket-XXXXXX";
static char path[SOCKET_PATH_SIZE], other[SOCKET_PATH_SIZE];
static const struct config_vhost_user config = {.mode = 0666};

static void make_folder(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/vm.sock", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
}

static void remove_folder(void)
{
	unlink(path);
	unlink(other);
	rmdir(folder);
}

TestSuite(socket, .init = make_folder, .fini = remove_folder);

static int bind_at(const char *at)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(un.sun_path, at, strlen(at));
	cr_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&un, sizeof(un)));
	cr_assert(!chmod(at, 0600));
	return fd;
}

static mode_t mode_of(const char *at)
{
	struct stat st;
	cr_assert(!stat(at, &st));
	return st.st_mode & 07777;
}

Test(socket, its_mode_is_set)
{
	struct error err = {0};
	int fd = bind_at(path);
	cr_assert_eq(socket_set_owner(path, &config, &err), 0, "%s", err.text);
	cr_assert_eq(mode_of(path), 0666);
	close(fd);
}

// Whoever may write to the folder can swap the socket for a link while it is being bound.
Test(socket, a_link_in_its_place_opens_nothing)
{
	struct error err = {0};
	int fd = bind_at(other);
	cr_assert(!symlink(other, path));
	cr_assert_lt(socket_set_owner(path, &config, &err), 0);
	cr_assert_eq(mode_of(other), 0600);
	close(fd);
}

Test(socket, a_file_in_its_place_stays_as_it_is)
{
	struct error err = {0};
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	cr_assert_lt(socket_set_owner(path, &config, &err), 0);
	cr_assert_eq(mode_of(path), 0600);
}

// SPDX-License-Identifier: BSD-3-Clause
// The socket's file: what has to be so before the vhost library binds it and after, and who may use
// it. Nothing here knows a port.
#ifndef WEIR_VHOST_SOCKET_H
#define WEIR_VHOST_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"

// Before binding: removes a socket that a killed process left behind. Refuses what somebody listens
// on, what is no socket, and a folder that is not there or not writable. 0 or -errno. Main thread.
int socket_prepare(const char *path, struct error *err);

// After binding: owner, group and mode as configured. 0 or -errno with a sentence. Main thread.
int socket_set_owner(const char *path, const struct config_vhost_user *config, struct error *err);

// The process at the other end of the connection that belongs to this path; 0 if it cannot be
// found. Any thread.
pid_t socket_peer_pid(const char *path);

// A user, as far as files' permissions go.
struct socket_user {
	char name[NAME_SIZE];
	char group[NAME_SIZE]; // the primary one
	uid_t uid;
	int ngroups;
	gid_t groups[32];
};

// False if there is no such user.
bool socket_user_find(struct socket_user *user, const char *name);

// The user we run as.
void socket_user_self(struct socket_user *user);

// May the user do `want` (a mask of R_OK, W_OK, X_OK) with path, going through the folders that
// lead there? If not, *what gets the folder or file that forbids it. True where it cannot be told.
// Modes and POSIX ACLs count; nothing is tried. Any thread.
bool socket_user_may(
	const struct socket_user *user, const char *path, int want, char *what, size_t what_size);

// `owner:group, mode 0755` of a file, or the reason why it cannot be told.
void socket_describe(const char *path, char *text, size_t size);

// The folder a path lies in.
void socket_folder(const char *path, char *folder, size_t size);

#endif

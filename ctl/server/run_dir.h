// SPDX-License-Identifier: BSD-3-Clause
// RUN_DIR: who may use it, and that only one switch does.
#ifndef WEIR_CTL_SERVER_RUN_DIR_H
#define WEIR_CTL_SERVER_RUN_DIR_H

#include <limits.h>

#include "base/error.h"

struct run_dir {
	char path[PATH_MAX]; // absolute
	int lock;            // a descriptor that holds RUN_DIR/lock
};

// `path` as given on the command line; NULL: /run/weir where this user can use it, else
// $XDG_RUNTIME_DIR/weir. Makes it and RUN_DIR/vm, opens the latter to libvirt's QEMU, and locks. A
// second switch in the same place is refused with -EBUSY. 0, or -errno with a sentence.
int run_dir_open(struct run_dir *dir, const char *path, struct error *err);
void run_dir_close(struct run_dir *dir);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// What happens around the vhost library's handling of each vhost-user request, on its threads.
#ifndef WEIR_VHOST_MESSAGES_H
#define WEIR_VHOST_MESSAGES_H

#include "vhost/control.h"

// Has the library call the hooks for the device. In its new_connection.
int messages_attach(int vid);

// 0, or -ENOTSUP with a sentence if the library that runs is not the one these files were written
// for: its message is private, and mirrored here.
int messages_check_library(struct error *err);

// If the library was given a request and refused it, notes that as the port's failure. A refused
// request has no post hook: it is noticed at the next event. Under the port's lock.
void messages_note_refusal(struct vhost_control *c);

#endif

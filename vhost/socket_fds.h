// SPDX-License-Identifier: BSD-3-Clause
// Descriptors that a peer sends along with a vhost-user message that has no use for them.
//
// The vhost library (DPDK 22.11, and the newest one still) looks for the queue that a message names
// before it asks any hook. Where there is none it ends the connection and forgets the message's
// descriptors: eight a connection, until the process has none left. Nothing of ours runs on that
// way but the system call itself. So a `recvmsg` of ours takes the place of libc's, for the library
// as for all of the process, and closes what comes with a request that takes none.
#ifndef WEIR_VHOST_SOCKET_FDS_H
#define WEIR_VHOST_SOCKET_FDS_H

#include <stdbool.h>

// False if libraries get another recvmsg than ours. Any thread.
bool socket_fds_guarded(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The control socket and who is connected to it. Main thread.
#ifndef WEIR_CTL_SERVER_LISTENER_H
#define WEIR_CTL_SERVER_LISTENER_H

#include "base/config.h"
#include "base/error.h"
#include "ctl/server/conn.h"

enum {
	CONNECTIONS_MAX = 1024
};

struct server;

struct listener {
	struct event_base *base;
	struct server *server;
	int fd;
	char path[SOCKET_PATH_SIZE];
	gid_t writers;
	struct event acceptable;
	struct event retry; // accepts again after the system had no room
	struct event sweep;
	unsigned count;
	unsigned max;
	struct conn_list conns[CONN_CLASSES];
};

// Binds RUN_DIR/control.sock; whatever stands there is stale, since the caller holds the lock of
// RUN_DIR. 0, or -errno with a sentence.
int listener_open(struct listener *listener, struct event_base *base, struct server *server,
	const char *run_dir, struct error *err);
void listener_close(struct listener *listener);

// Sends a line to all that watch the topic.
void listener_notify(struct listener *listener, enum watch_topic topic, const char *line);

// For conn.c: it came, it went, it was active, its class may have changed.
void listener_admit(struct conn *conn);
void listener_forget(struct conn *conn);
void listener_touch(struct conn *conn);
void listener_classify(struct conn *conn);

#endif

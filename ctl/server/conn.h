// SPDX-License-Identifier: BSD-3-Clause
// One client's connection. Life cycle: made by the listener, closed by itself (end of file, an
// error, too slow), by the listener (eviction) or with the server. Served one request per turn of
// the event loop, so that a client with a thousand requests waiting delays nobody. Nothing here
// blocks. Main thread.
#ifndef WEIR_CTL_SERVER_CONN_H
#define WEIR_CTL_SERVER_CONN_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "ctl/rpc/line.h"
#include "ctl/rpc/rpc.h"
#include "ctl/server/peer.h"

struct listener;

enum {
	// Input: what a line may hold. Only a document to apply is long, and only writers apply.
	LINE_MAX_STRANGER = 4 * 1024,
	LINE_MAX_READER = 256 * 1024,
	LINE_MAX_WRITER = 4 * 1024 * 1024,
	LINE_TIMEOUT_MS = 30 * 1000,
	// Output: from the first mark on, requests wait; beyond the second, the client is closed.
	BACKLOG_PAUSE = 64 * 1024,
	BACKLOG_MAX = 8 * 1024 * 1024,
	STALL_TIMEOUT_MS = 30 * 1000,
};

// Who is closed first when there is no room: strangers have not said hello.
enum conn_class {
	CONN_STRANGER,
	CONN_READER,
	CONN_WRITER,
	CONN_CLASSES
};

enum watch_topic {
	WATCH_PORTS = 1 << 0,
	WATCH_CONFIG = 1 << 1,
	WATCH_CHAINS = 1 << 2
};

struct conn {
	TAILQ_ENTRY(conn) node; // of the listener's list of its class, longest idle first
	struct listener *listener;
	int fd;
	enum conn_class class;
	struct peer peer;
	struct rpc_session session;
	unsigned topics; // enum watch_topic
	struct event readable;
	struct event writable;
	struct event turn; // there is a whole line left to serve
	struct line_buffer in;
	struct evbuffer *out;
	uint64_t half_since_ms;  // an unfinished line waits since then; 0: none
	uint64_t stall_since_ms; // no byte of the backlog went since then; 0: no backlog
	bool eof;                // the client sends no more
	bool closing;            // nothing more is read; closed when the backlog is out
};
TAILQ_HEAD(conn_list, conn);

// Takes fd over, also on failure.
int conn_create(struct listener *listener, int fd, const struct peer *peer);
void conn_close(struct conn *conn);
// Appends a line for the client. It may close a client that reads too little, at the next sweep.
void conn_send(struct conn *conn, const char *line);
// Says why, and closes as soon as that is written.
void conn_dismiss(struct conn *conn, enum rpc_code code, const char *text);
// The same at once, for want of room.
void conn_evict(struct conn *conn, const char *text);
// About once a second: closes who is too slow. The connection may be gone afterwards.
void conn_sweep(struct conn *conn, uint64_t now_ms);

uint64_t conn_now_ms(void);

#endif

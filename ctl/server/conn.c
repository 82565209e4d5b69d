// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/server/listener.h"
#include "ctl/server/method.h"
#include "ctl/server/server.h"

// One read per turn, so this bounds what a turn takes from one client.
#define READ_SIZE (16 * 1024)

uint64_t conn_now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static size_t line_limit(const struct conn *conn)
{
	static const size_t limits[CONN_CLASSES] = {
		[CONN_STRANGER] = LINE_MAX_STRANGER,
		[CONN_READER] = LINE_MAX_READER,
		[CONN_WRITER] = LINE_MAX_WRITER,
	};
	return limits[conn->class];
}

void conn_close(struct conn *conn)
{
	listener_forget(conn);
	event_del(&conn->readable);
	event_del(&conn->writable);
	event_del(&conn->turn);
	close(conn->fd);
	line_free(&conn->in);
	evbuffer_free(conn->out);
	free(conn);
}

// Says which events the connection waits for, from its state alone. False: it is finished.
static bool arm(struct conn *conn)
{
	size_t backlog = evbuffer_get_length(conn->out);
	bool choked = backlog > BACKLOG_PAUSE || conn->closing;
	bool ready = !choked && line_ready(&conn->in);
	bool wants = !choked && !ready && !conn->eof;
	if (!backlog && (conn->closing || (conn->eof && !ready)))
		return false;
	if (backlog)
		event_add(&conn->writable, NULL);
	else
		event_del(&conn->writable);
	if (wants)
		event_add(&conn->readable, NULL);
	else
		event_del(&conn->readable);
	// By a timer of no time: the loop looks at everybody's sockets before it comes back here.
	if (ready)
		event_add(&conn->turn, &(struct timeval){0});
	else
		event_del(&conn->turn);
	return true;
}

static bool flush(struct conn *conn)
{
	while (evbuffer_get_length(conn->out)) {
		int n = evbuffer_write(conn->out, conn->fd);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		conn->stall_since_ms = conn_now_ms();
	}
	conn->stall_since_ms = 0;
	return true;
}

static void settle(struct conn *conn)
{
	if (!flush(conn) || !arm(conn))
		conn_close(conn);
}

void conn_send(struct conn *conn, const char *line)
{
	if (!evbuffer_get_length(conn->out))
		conn->stall_since_ms = conn_now_ms();
	evbuffer_add(conn->out, line, strlen(line));
	event_add(&conn->writable, NULL);
}

void conn_dismiss(struct conn *conn, enum rpc_code code, const char *text)
{
	log_info(LOG_CTL, "uid %u, pid %d: closed: %s", conn->peer.uid, conn->peer.pid, text);
	char *line = rpc_error_line(code, text);
	if (line)
		conn_send(conn, line);
	free(line);
	conn->closing = true;
	conn->topics = 0;
}

void conn_evict(struct conn *conn, const char *text)
{
	conn_dismiss(conn, RPC_TOO_MANY, text);
	flush(conn);
	conn_close(conn);
}

static void serve_one(struct conn *conn)
{
	char *line;
	size_t len;
	if (!line_next(&conn->in, &line, &len))
		return;
	listener_touch(conn);
	if (len == 0)
		return;
	char *reply = rpc_serve(&method_table, &conn->session, line, len);
	if (reply)
		conn_send(conn, reply);
	free(reply);
	listener_classify(conn);
	if (conn->session.denied)
		log_info(LOG_CONFIG, "uid %u, pid %d: %s: refused: may read only", conn->peer.uid,
			conn->peer.pid, conn->session.denied);
	conn->session.denied = NULL;
}

static void check_line(struct conn *conn)
{
	bool half = line_pending(&conn->in) && !line_ready(&conn->in);
	if (!half)
		conn->half_since_ms = 0;
	else if (!conn->half_since_ms)
		conn->half_since_ms = conn_now_ms();
	// A reader's or stranger's whole line can be longer than its limit, too: it came in one
	// read.
	if (half && line_pending(&conn->in) > line_limit(conn)) {
		char text[96];
		snprintf(text, sizeof(text), "a line is longer than %zu bytes", line_limit(conn));
		conn_dismiss(conn, RPC_TOO_LONG, text);
	}
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *conn = arg;
	serve_one(conn);
	check_line(conn);
	settle(conn);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct conn *conn = arg;
	char *room = line_space(&conn->in, READ_SIZE);
	ssize_t n = room ? read(fd, room, READ_SIZE) : -1;
	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		conn_close(conn);
		return;
	}
	conn->eof = n == 0;
	line_filled(&conn->in, (size_t)n);
	serve_one(conn);
	check_line(conn);
	settle(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	settle(arg);
}

void conn_sweep(struct conn *conn, uint64_t now_ms)
{
	size_t backlog = evbuffer_get_length(conn->out);
	if (backlog > BACKLOG_MAX ||
		(conn->stall_since_ms && now_ms - conn->stall_since_ms > STALL_TIMEOUT_MS)) {
		log_info(LOG_CTL, "uid %u, pid %d: closed: it does not read its %zu bytes",
			conn->peer.uid, conn->peer.pid, backlog);
		conn_close(conn);
		return;
	}
	if (conn->closing || !conn->half_since_ms ||
		now_ms - conn->half_since_ms <= LINE_TIMEOUT_MS)
		return;
	conn_dismiss(conn, RPC_TOO_SLOW, "half a line, and no more for 30 s");
	settle(conn);
}

int conn_create(struct listener *listener, int fd, const struct peer *peer)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	struct evbuffer *out = evbuffer_new();
	if (!conn || !out)
		goto undo;
	*conn = (struct conn){.listener = listener, .fd = fd, .peer = *peer, .out = out};
	conn->session = (struct rpc_session){.may_write = peer->may_write, .ctx = conn};
	struct event_base *base = listener->base;
	event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	event_assign(&conn->turn, base, -1, 0, on_turn, conn);
	int priority = peer->may_write ? PRIORITY_FIRST : PRIORITY_READER;
	event_priority_set(&conn->readable, priority);
	event_priority_set(&conn->writable, priority);
	event_priority_set(&conn->turn, priority);
	listener_admit(conn);
	settle(conn);
	return 0;
undo:
	free(conn);
	if (out)
		evbuffer_free(out);
	close(fd);
	return -ENOMEM;
}

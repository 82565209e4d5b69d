// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/server/server.h"

// Ports, rings and guest memory need descriptors of their own.
#define RESERVED_FILES 1024

static enum conn_class class_of(const struct conn *conn)
{
	if (!conn->session.greeted)
		return CONN_STRANGER;
	return conn->session.may_write ? CONN_WRITER : CONN_READER;
}

void listener_admit(struct conn *conn)
{
	conn->class = class_of(conn);
	TAILQ_INSERT_TAIL(&conn->listener->conns[conn->class], conn, node);
	conn->listener->count++;
}

void listener_forget(struct conn *conn)
{
	TAILQ_REMOVE(&conn->listener->conns[conn->class], conn, node);
	conn->listener->count--;
}

// Strangers stay in the order in which they came: activity without a hello buys no time.
void listener_touch(struct conn *conn)
{
	if (conn->class == CONN_STRANGER)
		return;
	listener_forget(conn);
	listener_admit(conn);
}

void listener_classify(struct conn *conn)
{
	if (conn->class == class_of(conn))
		return;
	listener_forget(conn);
	listener_admit(conn);
}

// Makes room: strangers go first, the oldest of them; then who only reads; within a class the
// longest idle. So a flood of connections costs the flood its own.
static bool evict_one(struct listener *listener)
{
	for (unsigned i = 0; i < CONN_CLASSES; i++) {
		struct conn *conn = TAILQ_FIRST(&listener->conns[i]);
		if (!conn)
			continue;
		conn_evict(conn, "too many connections, and this one was the longest idle");
		return true;
	}
	return false;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct listener *listener = arg;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool no_room = client < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS);
	if (no_room && !evict_one(listener)) {
		log_warning(LOG_CTL, "cannot accept a client: %s", strerror(errno));
		event_del(&listener->acceptable);
		event_add(&listener->retry, &(struct timeval){.tv_usec = 100000});
	}
	if (client < 0)
		return;
	if (listener->count >= listener->max)
		evict_one(listener);
	struct peer peer;
	if (peer_identify(client, listener->writers, &peer) < 0) {
		close(client);
		return;
	}
	log_debug(LOG_CTL, "uid %u, pid %d: connected, %s", peer.uid, peer.pid,
		peer.may_write ? "may write" : "may read");
	conn_create(listener, client, &peer);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct listener *listener = arg;
	event_add(&listener->acceptable, NULL);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct listener *listener = arg;
	uint64_t now = conn_now_ms();
	for (unsigned i = 0; i < CONN_CLASSES; i++) {
		struct conn *next, *conn = TAILQ_FIRST(&listener->conns[i]);
		for (; conn; conn = next) {
			next = TAILQ_NEXT(conn, node);
			conn_sweep(conn, now);
		}
	}
}

void listener_notify(struct listener *listener, enum watch_topic topic, const char *line)
{
	struct conn *conn;
	for (unsigned i = CONN_READER; i < CONN_CLASSES; i++)
		TAILQ_FOREACH (conn, &listener->conns[i], node)
			if (conn->topics & topic)
				conn_send(conn, line);
}

static unsigned connections_max(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= 2 * RESERVED_FILES)
		return CONNECTIONS_MAX;
	return (unsigned)limit.rlim_cur / 4;
}

static int bind_socket(struct listener *listener, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	memcpy(addr.sun_path, listener->path, sizeof(addr.sun_path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, errno, "control socket: %s", strerror(errno));
	unlink(listener->path);
	// Whoever reaches the socket may connect: rights are told by SO_PEERCRED, not by the mode.
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		chmod(listener->path, 0666) < 0 || listen(fd, CONNECTIONS_MAX) < 0) {
		int rc = error_set(
			err, errno, "control socket %s: %s", listener->path, strerror(errno));
		close(fd);
		return rc;
	}
	listener->fd = fd;
	return 0;
}

int listener_open(struct listener *listener, struct event_base *base, struct server *server,
	const char *run_dir, struct error *err)
{
	*listener = (struct listener){.base = base,
		.server = server,
		.writers = peer_writers(),
		.max = connections_max()};
	for (unsigned i = 0; i < CONN_CLASSES; i++)
		TAILQ_INIT(&listener->conns[i]);
	size_t n = (size_t)snprintf(
		listener->path, sizeof(listener->path), "%s/control.sock", run_dir);
	if (n >= sizeof(listener->path))
		return error_set(err, ENAMETOOLONG,
			"run directory %s: too long a path for a socket", run_dir);
	int rc = bind_socket(listener, err);
	if (rc)
		return rc;
	event_assign(&listener->acceptable, base, listener->fd, EV_READ | EV_PERSIST, on_acceptable,
		listener);
	event_assign(&listener->retry, base, -1, 0, on_retry, listener);
	event_assign(&listener->sweep, base, -1, EV_PERSIST, on_sweep, listener);
	event_priority_set(&listener->acceptable, PRIORITY_FIRST);
	event_priority_set(&listener->retry, PRIORITY_FIRST);
	event_priority_set(&listener->sweep, PRIORITY_FIRST);
	event_add(&listener->acceptable, NULL);
	event_add(&listener->sweep, &(struct timeval){.tv_sec = 1});
	return 0;
}

void listener_close(struct listener *listener)
{
	for (unsigned i = 0; i < CONN_CLASSES; i++)
		while (!TAILQ_EMPTY(&listener->conns[i]))
			conn_close(TAILQ_FIRST(&listener->conns[i]));
	event_del(&listener->acceptable);
	event_del(&listener->retry);
	event_del(&listener->sweep);
	close(listener->fd);
	unlink(listener->path);
}

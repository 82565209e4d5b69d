// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctl/rpc/rpc.h"

enum {
	ANSWER_TIMEOUT_MS = 60 * 1000, // a document of a thousand ports takes a while
	READ_SIZE = 64 * 1024,
};

volatile sig_atomic_t link_interrupted;

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int no_switch(const struct link *link, const char *text)
{
	if (!link->quiet)
		fprintf(stderr, "weirctl: %s\n", text);
	return EXIT_NO_SWITCH;
}

// Also bounds connect, which waits where the listener's queue is full.
static void bound(const struct link *link)
{
	int64_t left = link->deadline_ms - now_ms();
	// Of zero the kernel would make no limit.
	if (left < 1)
		left = 1;
	struct timeval time = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
	if (link->deadline_ms)
		setsockopt(link->fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

static int try_connect(struct link *link, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -errno;
	bound(link);
	if (connect(link->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	int rc = -errno;
	close(link->fd);
	link->fd = -1;
	return rc;
}

static int find_switch(struct link *link, const char *path)
{
	char own[256] = "";
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	if (!path)
		path = getenv("WEIR_SOCKET");
	bool search = !path || !*path;
	if (search)
		path = "/run/weir/control.sock";
	int rc = try_connect(link, path);
	if (rc && search && runtime && *runtime) {
		snprintf(own, sizeof(own), "%s/weir/control.sock", runtime);
		if (try_connect(link, own) == 0)
			return EXIT_DONE;
	}
	if (!rc)
		return EXIT_DONE;
	if (!link->quiet)
		fprintf(stderr,
			"weirctl: no switch answers at %s%s%s: %s; is weir-switchd running? "
			"Another socket is named by --socket\n",
			path, own[0] ? " or " : "", own, strerror(-rc));
	return EXIT_NO_SWITCH;
}

static int open_and_greet(struct link *link, const char *path)
{
	int status = find_switch(link, path);
	if (!status)
		status = link_call(
			link, "hello", json_pack("{s:i}", "protocol", RPC_VERSION), &link->hello);
	return status;
}

int link_open(struct link *link, const char *path)
{
	*link = (struct link){.fd = -1};
	return open_and_greet(link, path);
}

int link_open_quietly(struct link *link, const char *path, int timeout_ms)
{
	*link = (struct link){.fd = -1, .quiet = true, .deadline_ms = now_ms() + timeout_ms};
	return open_and_greet(link, path);
}

void link_close(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	line_free(&link->in);
	json_decref(link->hello);
	*link = (struct link){.fd = -1};
}

static int send_all(struct link *link, const char *text)
{
	for (size_t len = strlen(text); len;) {
		ssize_t n = send(link->fd, text, len, MSG_NOSIGNAL);
		// What the switch said before it closed is still to be read, and says why.
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return EXIT_DONE;
		if (n < 0 && errno != EINTR)
			return no_switch(link, strerror(errno));
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return EXIT_DONE;
}

// One line, as JSON, until the deadline; NULL in *message when it has passed.
static int receive(struct link *link, int64_t deadline, json_t **message)
{
	char *line;
	size_t len;
	*message = NULL;
	while (!line_next(&link->in, &line, &len)) {
		int64_t left = deadline - now_ms();
		struct pollfd fd = {.fd = link->fd, .events = POLLIN};
		int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
		if (n == 0)
			return EXIT_DONE;
		char *room = line_space(&link->in, READ_SIZE);
		ssize_t got = n > 0 && room ? read(link->fd, room, READ_SIZE) : -1;
		if (got < 0 && errno == EINTR && link_interrupted)
			return EXIT_REFUSED;
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return no_switch(link, "the switch has closed the connection");
		line_filled(&link->in, (size_t)got);
	}
	*message = json_loadb(line, len, 0, NULL);
	return *message ? EXIT_DONE : no_switch(link, "the switch's answer is no JSON");
}

static bool is_notification(const json_t *message)
{
	return json_object_get(message, "method") != NULL;
}

// Takes the answer apart. An error without an id is the switch's last word before it closes.
static int read_answer(const struct link *link, json_t *message, json_t **result)
{
	const json_t *error = json_object_get(message, "error");
	const char *text = json_string_value(json_object_get(error, "message"));
	if (error && !link->quiet)
		fprintf(stderr, "weirctl: %s\n", text ? text : "refused, without a reason");
	else if (!error)
		*result = json_incref(json_object_get(message, "result"));
	json_decref(message);
	return error ? EXIT_REFUSED : EXIT_DONE;
}

int link_call(struct link *link, const char *method, json_t *params, json_t **result)
{
	*result = NULL;
	json_t *request = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", ++link->last_id,
		"method", method, "params", params ? params : json_object());
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!text) {
		fprintf(stderr, "weirctl: what was given cannot be sent: it is no UTF-8\n");
		return EXIT_REFUSED;
	}
	int status = send_all(link, text);
	free(text);
	if (!status)
		status = send_all(link, "\n");
	int64_t deadline = link->deadline_ms ? link->deadline_ms : now_ms() + ANSWER_TIMEOUT_MS;
	while (!status) {
		json_t *message;
		status = receive(link, deadline, &message);
		if (status)
			break;
		if (!message)
			return no_switch(link, "the switch has not answered for 60 s");
		if (!is_notification(message))
			return read_answer(link, message, result);
		json_decref(message);
	}
	return status;
}

int link_follow(
	struct link *link, const char *method, json_t *params, link_answer_fn *fn, void *ctx)
{
	int status;
	bool more;
	do {
		json_t *answer;
		status = link_call(link, method, json_incref(params), &answer);
		if (!status)
			fn(ctx, answer);
		more = json_is_string(json_object_get(answer, "cursor"));
		if (more)
			json_object_set(params, "cursor", json_object_get(answer, "cursor"));
		json_decref(answer);
	} while (!status && more);
	json_decref(params);
	return status;
}

static void add_items(void *ctx, const json_t *answer)
{
	json_array_extend(ctx, json_object_get(answer, "items"));
}

int link_list(struct link *link, const char *method, json_t *params, json_t **items)
{
	*items = json_array();
	json_object_set_new(params, "limit", json_integer(LINK_PAGE));
	int status = link_follow(link, method, params, add_items, *items);
	if (status) {
		json_decref(*items);
		*items = NULL;
	}
	return status;
}

int link_next(struct link *link, int timeout_ms, json_t **message)
{
	int64_t deadline = now_ms() + timeout_ms;
	for (;;) {
		int status = receive(link, deadline, message);
		if (status || !*message || is_notification(*message))
			return status;
		json_decref(*message);
	}
}

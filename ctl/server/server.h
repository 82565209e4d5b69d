// SPDX-License-Identifier: BSD-3-Clause
// The control server: RUN_DIR/control.sock, its clients, and the running document. It lives in the
// main thread's event loop and never waits for a client. All functions: main thread.
#ifndef WEIR_CTL_SERVER_SERVER_H
#define WEIR_CTL_SERVER_SERVER_H

#include <event2/event.h>

#include "ctl/schema/schema.h"
#include "switch/switch.h"

struct server;

// Priorities of the loop's events. Who may only read waits while anything else is to be done.
enum server_priority {
	PRIORITY_FIRST,
	PRIORITY_READER,
	PRIORITIES
};

// A loop with these priorities, that looks up from a queue of readers' requests every few
// milliseconds. NULL: no memory.
struct event_base *server_loop(void);

struct server_options {
	struct event_base *base; // of server_loop
	struct weir_switch *sw;  // already running `doc`
	const char *run_dir;
	const char *config_file; // what `config.save` writes
	const char *memory;      // what packet memory is made of, for `status`
	const struct doc *doc;   // copied
};

// Makes the socket and takes over the switch's change callback. 0 and *out, or -errno with a
// sentence.
int server_create(struct server **out, const struct server_options *options, struct error *err);
// Closes all connections and removes the socket.
void server_destroy(struct server *server);

#endif

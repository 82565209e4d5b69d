// SPDX-License-Identifier: BSD-3-Clause
// The conversation with the switch: one connection, blocking, with deadlines.
#ifndef WEIR_CTL_CLIENT_LINK_H
#define WEIR_CTL_CLIENT_LINK_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/rpc/line.h"

// Exit statuses, design §6.
enum {
	EXIT_DONE,
	EXIT_REFUSED,
	EXIT_USAGE,
	EXIT_NO_SWITCH
};

enum {
	LINK_PAGE = 1000 // items of a list that one answer may have
};

struct link {
	int fd; // -1: not open
	bool quiet;
	int64_t deadline_ms; // of the whole conversation; 0: each answer has a minute
	json_int_t last_id;
	struct line_buffer in;
	json_t *hello; // the switch's answer to hello
};

// Connects to `path`, else to $WEIR_SOCKET, else to the first of the usual places where one
// answers, and says hello. EXIT_DONE, or another status after it has said why on standard error.
int link_open(struct link *link, const char *path);
// The same without a word on standard error, for a conversation that ends within timeout_ms.
int link_open_quietly(struct link *link, const char *path, int timeout_ms);
void link_close(struct link *link);

// Set by a signal handler: whoever waits for the switch stops waiting, with EXIT_REFUSED.
extern volatile sig_atomic_t link_interrupted;

// Calls a method (params are taken over; NULL: none) and waits for its answer; notifications that
// come meanwhile are passed over. EXIT_DONE and *result, the caller's; or an exit status after the
// error has been said.
int link_call(struct link *link, const char *method, json_t *params, json_t **result);

// The answers of a method that goes on by cursor, each as it comes. An exit status; params are
// taken over.
typedef void link_answer_fn(void *ctx, const json_t *answer);
int link_follow(
	struct link *link, const char *method, json_t *params, link_answer_fn *fn, void *ctx);

// All items of a list, page after page. params are taken over.
int link_list(struct link *link, const char *method, json_t *params, json_t **items);

// The next notification. EXIT_DONE and *message, or NULL in it when timeout_ms have passed.
int link_next(struct link *link, int timeout_ms, json_t **message);

#endif

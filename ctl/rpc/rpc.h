// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC 2.0 over lines: one table of methods yields dispatch, the check of parameters, rights
// and `method.list`. Knows no socket and no switch. Single-threaded.
#ifndef WEIR_CTL_RPC_RPC_H
#define WEIR_CTL_RPC_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
	RPC_VERSION = 1,
	RPC_PARAMS_MAX = 13
};

// One x-macro gives the codes, and what docs/protocol.md says of them.
#define RPC_CODES(X) \
	X(PARSE, -32700, "the line is no JSON") \
	X(REQUEST, -32600, "no JSON-RPC 2.0 request, or a batch") \
	X(METHOD, -32601, "no such method") \
	X(PARAMS, -32602, "a parameter is missing, unknown or of the wrong type") \
	X(INTERNAL, -32603, "the switch has no memory, or cannot put the answer into words") \
	X(FAILED, -32000, "the system refused, for the reason given") \
	X(HELLO, -32001, "a call before `hello`") \
	X(PROTOCOL, -32002, "a protocol version that this switch does not speak") \
	X(READ_ONLY, -32003, "a change by somebody who may only read") \
	X(NOT_FOUND, -32004, "the object is not there") \
	X(EXISTS, -32005, "the object is there already") \
	X(INVALID, -32006, "the configuration is not valid; the message names file, line and key") \
	X(NOT_SUPPORTED, -32007, "a key that this version does not support yet") \
	X(TOO_LONG, -32008, "a line longer than this peer may send; the connection is closed") \
	X(TOO_SLOW, -32009, "a line that took too long; the connection is closed") \
	X(TOO_MANY, -32010, "too many connections; the connection is closed")

enum rpc_code {
#define X(id, code, about) RPC_##id = code,
	RPC_CODES(X)
#undef X
};

enum rpc_type {
	RPC_STRING,
	RPC_INTEGER,
	RPC_BOOLEAN,
	RPC_ARRAY,
	RPC_ARRAY_OR_OBJECT
};

struct rpc_param {
	const char *name; // NULL ends the list
	enum rpc_type type;
	bool required;
};

enum rpc_access {
	RPC_OPEN,
	RPC_READ,
	RPC_WRITE
}; // open: also before hello

// What a connection is allowed. Owned by the connection.
struct rpc_session {
	bool greeted;
	bool may_write;
	void *ctx;          // of the methods
	const char *denied; // the method of the last change that was denied; for the log
};

struct rpc_call {
	struct rpc_session *session;
	const struct rpc_method *method;
	const json_t *params; // an object that the method's table admits
	json_t *result;       // set by the method; the caller's
	enum rpc_code code;   // of the error; 0: by err.code
	struct error err;
};

struct rpc_method {
	const char *name;                  // noun.verb
	int (*run)(struct rpc_call *call); // 0 and call->result, or -errno and call->err
	enum rpc_access access;
	const char *about;
	struct rpc_param params[RPC_PARAMS_MAX + 1];
};

struct rpc_table {
	const struct rpc_method *methods;
	size_t count;
};

// Serves one line. Returns the answer with its line end (free), or NULL where none is due.
char *rpc_serve(
	const struct rpc_table *table, struct rpc_session *session, const char *line, size_t len);

// An error that answers no request, and a notification; with line end (free). NULL: no memory.
char *rpc_error_line(enum rpc_code code, const char *message);
char *rpc_notification(const char *method, json_t *params); // takes params over

// Parameters of a checked call; absent: NULL or the value given.
const char *rpc_text(const struct rpc_call *call, const char *name);
json_int_t rpc_integer(const struct rpc_call *call, const char *name, json_int_t absent);
bool rpc_flag(const struct rpc_call *call, const char *name);
json_t *rpc_value(const struct rpc_call *call, const char *name); // borrowed

// A JSON string of any bytes: what is no UTF-8 becomes '?'. Paths and cut sentences may hold such.
json_t *rpc_string(const char *text);

// The table as JSON, for `method.list`.
json_t *rpc_describe(const struct rpc_table *table);

#endif

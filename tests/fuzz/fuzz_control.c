// SPDX-License-Identifier: BSD-3-Clause
// What a client may send: bytes become lines, however they are cut, and lines become requests to a
// table of fake methods. The first byte says how long the pieces are.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/rpc/line.h"
#include "ctl/rpc/rpc.h"

static int run_hello(struct rpc_call *call)
{
	call->session->greeted = true;
	call->session->may_write = rpc_integer(call, "protocol", 0) > 1;
	call->result = json_object();
	return 0;
}

// Gives back what it got, so that all of it goes through the printer, too.
static int run_echo(struct rpc_call *call)
{
	const char *text = rpc_text(call, "text");
	if (text && *text == '!')
		return error_set(&call->err, ENOENT, "%s", text);
	call->result = json_pack("{s:O, s:I, s:b}", "params", call->params, "n",
		rpc_integer(call, "n", -1), "flag", (int)rpc_flag(call, "flag"));
	return 0;
}

static const struct rpc_method methods[] = {
	{"hello", run_hello, RPC_OPEN, "opens", {{"protocol", RPC_INTEGER, true}}},
	{"echo", run_echo, RPC_READ, "says it again",
		{{"text", RPC_STRING, true}, {"n", RPC_INTEGER, false},
			{"flag", RPC_BOOLEAN, false}, {"list", RPC_ARRAY, false},
			{"any", RPC_ARRAY_OR_OBJECT, false}}},
	{"set", run_echo, RPC_WRITE, "changes", {{"any", RPC_ARRAY_OR_OBJECT, true}}},
};
static const struct rpc_table table = {methods, sizeof(methods) / sizeof(methods[0])};

// Each answer is one line of JSON, an object with an id and a result or an error.
static void check_answer(char *answer)
{
	if (!answer)
		return;
	size_t len = strlen(answer);
	json_t *message = json_loads(answer, 0, NULL);
	bool good = strchr(answer, '\n') == answer + len - 1 && json_object_get(message, "id") &&
		    !json_object_get(message, "result") != !json_object_get(message, "error");
	if (!good)
		abort();
	json_decref(message);
	free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t piece = data[0] + 1u;
	struct line_buffer buffer = {0};
	struct rpc_session session = {0};
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		memcpy(line_space(&buffer, n), data + at, n);
		line_filled(&buffer, n);
		char *line;
		size_t len;
		while (line_next(&buffer, &line, &len))
			check_answer(rpc_serve(&table, &session, line, len));
	}
	line_free(&buffer);
	return 0;
}

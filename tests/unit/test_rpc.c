// SPDX-License-Identifier: BSD-3-Clause
// The control protocol's lines and requests, over a table of fake methods.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/rpc/line.h"
#include "ctl/rpc/rpc.h"

static int run_hello(struct rpc_call *call)
{
	call->session->greeted = true;
	call->result = json_pack("{s:I}", "protocol", rpc_integer(call, "protocol", 0));
	return 0;
}

static int run_echo(struct rpc_call *call)
{
	call->result = json_pack(
		"{s:s?, s:b}", "text", rpc_text(call, "text"), "flag", (int)rpc_flag(call, "flag"));
	return 0;
}

static int run_missing(struct rpc_call *call)
{
	return error_set(&call->err, ENOENT, "port vm9: there is no such port");
}

static int run_none(struct rpc_call *call)
{
	(void)call;
	return 0; // forgets its result
}

static const struct rpc_method methods[] = {
	{"hello", run_hello, RPC_OPEN, "opens", {{"protocol", RPC_INTEGER, true}}},
	{"echo", run_echo, RPC_READ, "says it again",
		{{"text", RPC_STRING, true}, {"flag", RPC_BOOLEAN, false}}},
	{"port.show", run_missing, RPC_READ, "fails", {{NULL, RPC_STRING, false}}},
	{"none", run_none, RPC_READ, "answers nothing", {{NULL, RPC_STRING, false}}},
	{"change", run_echo, RPC_WRITE, "changes", {{NULL, RPC_STRING, false}}},
};
static const struct rpc_table table = {methods, sizeof(methods) / sizeof(methods[0])};

// The answer to a line; the test fails if it is not one JSON line. NULL: none was given.
static json_t *serve(struct rpc_session *session, const char *line)
{
	char *text = rpc_serve(&table, session, line, strlen(line));
	if (!text)
		return NULL;
	cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "one line: %s", text);
	json_t *answer = json_loads(text, 0, NULL);
	cr_assert(answer, "%s", text);
	free(text);
	return answer;
}

static void expect_error(
	struct rpc_session *session, const char *line, enum rpc_code code, const char *part)
{
	json_t *answer = serve(session, line);
	const json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	cr_assert_eq(
		json_integer_value(json_object_get(error, "code")), code, "%s: %s", line, message);
	cr_assert(message && strstr(message, part), "%s: %s", line, message);
	cr_assert(json_object_get(answer, "id"));
	json_decref(answer);
}

static struct rpc_session greeted(bool may_write)
{
	return (struct rpc_session){.greeted = true, .may_write = may_write};
}

Test(rpc, hello_comes_first)
{
	struct rpc_session session = {0};
	const char *echo =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"x\"}}";
	expect_error(&session, echo, RPC_HELLO, "hello");
	expect_error(
		&session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"frob\"}", RPC_HELLO, "hello");
	json_decref(serve(&session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\","
				    "\"params\":{\"protocol\":1}}"));
	json_t *answer = serve(&session, echo);
	cr_assert_str_eq(
		json_string_value(json_object_get(json_object_get(answer, "result"), "text")), "x");
	json_decref(answer);
}

Test(rpc, ids_come_back)
{
	static const char *const ids[] = {"7", "\"a b\"", "-1.5", "null"};
	struct rpc_session session = greeted(false);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char line[128];
		snprintf(line, sizeof(line),
			"{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"echo\","
			"\"params\":{\"text\":\"x\"}}",
			ids[i]);
		json_t *answer = serve(&session, line);
		json_t *id = json_loads(ids[i], JSON_DECODE_ANY, NULL);
		cr_assert(json_equal(json_object_get(answer, "id"), id), "%s", ids[i]);
		json_decref(id);
		json_decref(answer);
	}
}

Test(rpc, notifications_get_no_answer)
{
	struct rpc_session session = greeted(false);
	cr_assert_null(serve(
		&session, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"text\":\"x\"}}"));
	cr_assert_null(serve(&session, "{\"jsonrpc\":\"2.0\",\"method\":\"port.show\"}"));
}

Test(rpc, refuses_what_is_no_request)
{
	struct rpc_session session = greeted(false);
	expect_error(&session, "{", RPC_PARSE, "column");
	expect_error(&session, "nonsense", RPC_PARSE, "JSON");
	expect_error(&session, "{\"a\":1,\"a\":2}", RPC_PARSE, "duplicate");
	expect_error(&session, "\"text\"", RPC_PARSE, "JSON");
	expect_error(&session, "{}", RPC_REQUEST, "2.0");
	expect_error(&session, "{\"jsonrpc\":\"1.0\",\"id\":1}", RPC_REQUEST, "2.0");
	expect_error(&session, "{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_REQUEST, "method");
	expect_error(
		&session, "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}", RPC_REQUEST, "id");
	expect_error(&session, " \t[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]",
		RPC_REQUEST, "batch");
}

Test(rpc, checks_parameters_by_the_table)
{
	static const struct {
		const char *params, *part;
	} cases[] = {
		{"{}", "'text' is missing, a string"},
		{"{\"text\":1}", "'text' must be a string"},
		{"{\"text\":\"x\",\"flag\":0}", "'flag' must be true or false"},
		{"{\"text\":\"x\",\"more\":1}", "no parameter 'more'"},
		{"[\"x\"]", "by name"},
		{"null", "by name"},
	};
	struct rpc_session session = greeted(false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[128];
		snprintf(line, sizeof(line),
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":%s}",
			cases[i].params);
		expect_error(&session, line, RPC_PARAMS, cases[i].part);
	}
	expect_error(&session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"frob\"}", RPC_METHOD,
		"'frob'");
}

Test(rpc, refuses_a_million_values_before_it_parses_them)
{
	enum {
		LEN = 3 << 20
	};
	struct rpc_session session = greeted(true);
	char *line = malloc(LEN);
	memset(line, '[', LEN);
	memcpy(line, "{\"a\":", 5);
	line[LEN - 1] = 0;
	expect_error(&session, line, RPC_REQUEST, "too many values");
	// Text is no value, whatever stands in it.
	memset(line, '[', LEN);
	memcpy(line, "{\"\\\"", 4);
	memcpy(line + LEN - 5, "\":1}", 5);
	expect_error(&session, line, RPC_REQUEST, "2.0");
	free(line);
}

Test(rpc, only_writers_change)
{
	struct rpc_session reader = greeted(false), writer = greeted(true);
	const char *line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"change\"}";
	expect_error(&reader, line, RPC_READ_ONLY, "read only");
	json_t *answer = serve(&writer, line);
	cr_assert(json_object_get(answer, "result"));
	json_decref(answer);
}

Test(rpc, errors_carry_code_and_sentence)
{
	struct rpc_session session = greeted(false);
	expect_error(&session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"port.show\"}",
		RPC_NOT_FOUND, "port vm9");
	expect_error(&session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"none\"}", RPC_INTERNAL,
		"memory");
}

Test(rpc, strings_of_any_bytes)
{
	json_t *plain = rpc_string("größe"), *odd = rpc_string("a\xff\xc3");
	cr_assert_str_eq(json_string_value(plain), "größe");
	cr_assert_str_eq(json_string_value(odd), "a??");
	json_decref(plain);
	json_decref(odd);
}

// Feeds text in pieces of `piece` bytes and joins the lines with '|'.
static void feed(const char *text, size_t piece, char *out)
{
	struct line_buffer buffer = {0};
	size_t len = strlen(text);
	*out = 0;
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		memcpy(line_space(&buffer, n), text + at, n);
		line_filled(&buffer, n);
		char *line;
		size_t line_len;
		while (line_next(&buffer, &line, &line_len)) {
			cr_assert_eq(strlen(line), line_len);
			strcat(strcat(out, line), "|");
		}
	}
	sprintf(out + strlen(out), "+%zu", line_pending(&buffer));
	line_free(&buffer);
}

Test(line, pieces_make_no_difference)
{
	char out[128];
	for (size_t piece = 1; piece < 40; piece++) {
		feed("one\ntwo\r\n\n\r\n four and more\n\rhalf", piece, out);
		cr_assert_str_eq(out, "one|two||| four and more|+5", "piece %zu: %s", piece, out);
	}
}

Test(line, long_lines_are_looked_at_once)
{
	struct line_buffer buffer = {0};
	enum {
		LEN = 4 << 20
	};
	char *line;
	size_t len;
	for (size_t i = 0; i < LEN; i++) {
		*line_space(&buffer, 1) = 'x';
		line_filled(&buffer, 1);
		cr_assert_not(line_ready(&buffer));
	}
	cr_assert_eq(line_pending(&buffer), LEN);
	*line_space(&buffer, 1) = '\n';
	line_filled(&buffer, 1);
	cr_assert(line_next(&buffer, &line, &len));
	cr_assert_eq(len, LEN);
	// The memory goes back with the next piece.
	*line_space(&buffer, 1) = 'y';
	line_filled(&buffer, 1);
	cr_assert_lt(buffer.size, 4096);
	line_free(&buffer);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/rpc/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IS(type) (1u << (type))
static const struct {
	const char *name;
	unsigned admits; // bits of json_type
} types[] = {
	[RPC_STRING] = {"a string", IS(JSON_STRING)},
	[RPC_INTEGER] = {"an integer", IS(JSON_INTEGER)},
	[RPC_BOOLEAN] = {"true or false", IS(JSON_TRUE) | IS(JSON_FALSE)},
	[RPC_ARRAY] = {"an array", IS(JSON_ARRAY)},
	[RPC_ARRAY_OR_OBJECT] = {"an array or an object", IS(JSON_ARRAY) | IS(JSON_OBJECT)},
};

// What an action's errno means to a client.
static const struct {
	int err;
	enum rpc_code code;
} codes[] = {
	{ENOENT, RPC_NOT_FOUND},
	{EEXIST, RPC_EXISTS},
	{EINVAL, RPC_INVALID},
	{ENOTSUP, RPC_NOT_SUPPORTED},
	{EPERM, RPC_READ_ONLY},
	{ENOMEM, RPC_INTERNAL},
};

static enum rpc_code code_of(int err)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].err == err)
			return codes[i].code;
	return RPC_FAILED;
}

static int refuse(struct rpc_call *call, enum rpc_code code, const char *text)
{
	call->code = code;
	return error_set(&call->err, EINVAL, "%s", text);
}

static const struct rpc_param *find_param(const struct rpc_method *method, const char *name)
{
	for (const struct rpc_param *p = method->params; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

static int check_params(struct rpc_call *call)
{
	const char *key;
	json_t *value;
	call->code = RPC_PARAMS;
	json_object_foreach ((json_t *)call->params, key, value) {
		const struct rpc_param *p = find_param(call->method, key);
		if (!p)
			return error_set(&call->err, EINVAL, "%s: there is no parameter '%.64s'",
				call->method->name, key);
		if (!(types[p->type].admits & IS(json_typeof(value))))
			return error_set(&call->err, EINVAL, "%s: '%s' must be %s",
				call->method->name, key, types[p->type].name);
	}
	for (const struct rpc_param *p = call->method->params; p->name; p++)
		if (p->required && !json_object_get(call->params, p->name))
			return error_set(&call->err, EINVAL, "%s: '%s' is missing, %s",
				call->method->name, p->name, types[p->type].name);
	call->code = 0;
	return 0;
}

static int check_access(struct rpc_call *call)
{
	if (call->method->access == RPC_OPEN)
		return 0;
	if (!call->session->greeted)
		return refuse(call, RPC_HELLO, "say hello first, with the protocol's version");
	if (call->method->access == RPC_WRITE && !call->session->may_write) {
		call->code = RPC_READ_ONLY;
		call->session->denied = call->method->name;
		return error_set(&call->err, EPERM,
			"%s: you may read only; root, the switch's own user and members of group "
			"weir may change it",
			call->method->name);
	}
	return 0;
}

static const struct rpc_method *find_method(const struct rpc_table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (!strcmp(table->methods[i].name, name))
			return &table->methods[i];
	return NULL;
}

static int run(const struct rpc_table *table, struct rpc_call *call, const json_t *request)
{
	const json_t *version = json_object_get(request, "jsonrpc");
	const char *name = json_string_value(json_object_get(request, "method"));
	const json_t *id = json_object_get(request, "id");
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0"))
		return refuse(call, RPC_REQUEST, "a request has \"jsonrpc\": \"2.0\"");
	if (!name)
		return refuse(call, RPC_REQUEST, "a request has a \"method\", a string");
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return refuse(call, RPC_REQUEST, "\"id\" must be a string or a number");
	if (!json_is_object(call->params))
		return refuse(call, RPC_PARAMS, "\"params\" must be an object: they go by name");
	call->method = find_method(table, name);
	// Who has not said hello learns nothing about the methods.
	if (!call->method && !call->session->greeted)
		return refuse(call, RPC_HELLO, "say hello first, with the protocol's version");
	if (!call->method) {
		call->code = RPC_METHOD;
		return error_set(&call->err, EINVAL, "there is no method '%.64s'", name);
	}
	int rc = check_access(call);
	if (!rc)
		rc = check_params(call);
	return rc ? rc : call->method->run(call);
}

static char *to_line(json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	if (!text)
		return NULL;
	size_t len = strlen(text);
	char *line = realloc(text, len + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}

static char *error_line(json_t *id, enum rpc_code code, const char *text)
{
	return to_line(json_pack("{s:s, s:O?, s:{s:i, s:o}}", "jsonrpc", "2.0", "id",
		id ? id : json_null(), "error", "code", (int)code, "message", rpc_string(text)));
}

static char *answer(struct rpc_call *call, json_t *id, int rc)
{
	if (!rc) {
		char *line = to_line(json_pack(
			"{s:s, s:O, s:O}", "jsonrpc", "2.0", "id", id, "result", call->result));
		if (line)
			return line;
		refuse(call, RPC_INTERNAL, "the answer cannot be put into words: no memory");
	} else if (!call->code) {
		call->code = code_of(-rc);
	}
	return error_line(id, call->code, call->err.text);
}

// What a line may hold besides text: parsing and freeing a million tiny values takes seconds, in
// which nobody else is served. No request of this protocol needs more than a fraction of it.
#define VALUES_MAX 16384

// Counts commas and brackets outside strings; of a line that is no JSON, it need not be right.
static bool is_too_rich(const char *line, size_t len)
{
	size_t values = 0;
	bool text = false;
	for (size_t i = 0; i < len && values <= VALUES_MAX; i++) {
		char c = line[i];
		if (c == '\\' && text)
			i++;
		else if (c == '"')
			text = !text;
		else if (!text && (c == ',' || c == '[' || c == '{'))
			values++;
	}
	return values > VALUES_MAX;
}

// A batch is known by its first character, before anything of it is parsed.
static bool is_batch(const char *line, size_t len)
{
	size_t i = 0;
	while (i < len && strchr(" \t\r", line[i]) && line[i])
		i++;
	return i < len && line[i] == '[';
}

char *rpc_serve(
	const struct rpc_table *table, struct rpc_session *session, const char *line, size_t len)
{
	if (is_batch(line, len))
		return rpc_error_line(
			RPC_REQUEST, "batches are not supported: send one object a line");
	if (is_too_rich(line, len))
		return rpc_error_line(RPC_REQUEST, "the request holds too many values");
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (!request) {
		struct error err;
		error_set(&err, EINVAL, "no JSON, at column %d: %s", error.column, error.text);
		return rpc_error_line(RPC_PARSE, err.text);
	}
	json_t *none = json_object();
	json_t *params = json_object_get(request, "params");
	json_t *id = json_object_get(request, "id");
	struct rpc_call call = {.session = session, .params = params ? params : none};
	int rc = json_is_object(request) ? run(table, &call, request)
					 : refuse(&call, RPC_REQUEST, "a request is an object");
	bool id_is_one = json_is_string(id) || json_is_number(id);
	// A request without an id wants no answer, unless it is no request at all.
	char *out = NULL;
	if (id || call.code == RPC_REQUEST)
		out = answer(&call, id_is_one ? id : json_null(), rc);
	json_decref(call.result);
	json_decref(none);
	json_decref(request);
	return out;
}

char *rpc_error_line(enum rpc_code code, const char *message)
{
	return error_line(NULL, code, message);
}

char *rpc_notification(const char *method, json_t *params)
{
	return to_line(
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}

json_t *rpc_value(const struct rpc_call *call, const char *name)
{
	return json_object_get(call->params, name);
}

const char *rpc_text(const struct rpc_call *call, const char *name)
{
	return json_string_value(rpc_value(call, name));
}

json_int_t rpc_integer(const struct rpc_call *call, const char *name, json_int_t absent)
{
	json_t *value = rpc_value(call, name);
	return value ? json_integer_value(value) : absent;
}

bool rpc_flag(const struct rpc_call *call, const char *name)
{
	return json_is_true(rpc_value(call, name));
}

json_t *rpc_string(const char *text)
{
	json_t *string = json_string(text);
	if (string)
		return string;
	char *copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	string = copy ? json_string(copy) : NULL;
	free(copy);
	return string;
}

static const char *const access_names[] = {
	[RPC_OPEN] = "open", [RPC_READ] = "read", [RPC_WRITE] = "write"};

json_t *rpc_describe(const struct rpc_table *table)
{
	json_t *items = json_array();
	for (size_t i = 0; i < table->count; i++) {
		const struct rpc_method *m = &table->methods[i];
		json_t *params = json_array();
		for (const struct rpc_param *p = m->params; p->name; p++)
			json_array_append_new(
				params, json_pack("{s:s, s:s, s:b}", "name", p->name, "type",
						types[p->type].name, "required", (int)p->required));
		json_array_append_new(items,
			json_pack("{s:s, s:s, s:s, s:o}", "method", m->name, "access",
				access_names[m->access], "about", m->about, "params", params));
	}
	return items;
}

// SPDX-License-Identifier: BSD-3-Clause
// Edits of the running document by the port: each is a copy, changed and committed as a whole.
#include "ctl/server/method.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PATH_SIZE = 256
};

// A port's path in the document. A name with a dot would be two steps of a path, so it is refused
// here; what else a name may hold is the schema's to say.
static int port_path(struct rpc_call *call, char path[static PATH_SIZE])
{
	const char *name = rpc_text(call, "name");
	size_t len = strlen(name);
	if (!len || len >= NAME_SIZE || strchr(name, '.')) {
		call->code = RPC_PARAMS;
		return error_set(&call->err, EINVAL,
			"port '%.40s': a name has 1 to %d characters and no dot", name,
			NAME_SIZE - 1);
	}
	snprintf(path, PATH_SIZE, "ports.%s", name);
	return 0;
}

static int set_one(struct rpc_call *call, struct doc *doc, const char *port, const json_t *setting)
{
	const char *key = json_string_value(json_object_get(setting, "path"));
	const json_t *value = json_object_get(setting, "value");
	if (!key || !*key || !(json_is_string(value) || json_is_null(value))) {
		call->code = RPC_PARAMS;
		return error_set(&call->err, EINVAL,
			"%s: a setting is {\"path\": key, \"value\": YAML or null}",
			call->method->name);
	}
	char path[PATH_SIZE];
	if (snprintf(path, sizeof(path), "%s.%s", port, key) >= (int)sizeof(path))
		return error_set(&call->err, EINVAL, "%s: '%.64s…' is too long a key", port, key);
	if (json_is_string(value))
		return doc_set(doc, path, json_string_value(value), &call->err);
	return doc_remove(doc, path, &call->err);
}

// An object is the port's whole entry, JSON being YAML; an array is a list of single settings.
static int set_all(struct rpc_call *call, struct doc *doc, const char *port)
{
	const json_t *settings = rpc_value(call, "settings");
	if (json_is_object(settings)) {
		char *text = json_dumps(settings, JSON_COMPACT);
		int rc = text ? doc_set(doc, port, text, &call->err) : -ENOMEM;
		free(text);
		return rc;
	}
	size_t i;
	json_t *setting;
	json_array_foreach (settings, i, setting) {
		int rc = set_one(call, doc, port, setting);
		if (rc)
			return rc;
	}
	return 0;
}

// What is said of no kind is a VM's port, at a socket of its own name.
static int set_kind(struct rpc_call *call, struct doc *doc, const char *port)
{
	char kind[PATH_SIZE + 32], socket[NAME_SIZE + 8];
	snprintf(kind, sizeof(kind), "%s.dpdk", port);
	if (doc_has(doc, kind))
		return 0;
	snprintf(kind, sizeof(kind), "%s.vhost-user.socket", port);
	if (doc_has(doc, kind))
		return 0;
	snprintf(socket, sizeof(socket), "%.*s.sock", NAME_SIZE - 1, rpc_text(call, "name"));
	return doc_set(doc, kind, socket, &call->err);
}

static int expect(struct rpc_call *call, const char *path, bool there)
{
	if (doc_has(call_server(call)->running.doc, path) == there)
		return 0;
	return there ? error_set(&call->err, ENOENT, "port %s: there is no such port",
			       rpc_text(call, "name"))
		     : error_set(&call->err, EEXIST, "port %s: there is such a port already",
			       rpc_text(call, "name"));
}

static int edit(struct rpc_call *call, const char *verb, bool there,
	int (*change)(struct rpc_call *call, struct doc *doc, const char *port))
{
	char path[PATH_SIZE], what[NAME_SIZE + 32];
	snprintf(what, sizeof(what), "port %s %.*s", verb, NAME_SIZE - 1, rpc_text(call, "name"));
	int rc = port_path(call, path);
	if (!rc)
		rc = expect(call, path, there);
	struct doc *next = rc ? NULL : doc_copy(call_server(call)->running.doc);
	if (!rc && !next)
		rc = error_set(&call->err, ENOMEM, "no memory for the document");
	if (!rc)
		rc = change(call, next, path);
	if (rc) {
		doc_free(next);
		return method_refused(call, rc, what);
	}
	return method_commit(call, next, false, what);
}

static int change_add(struct rpc_call *call, struct doc *doc, const char *port)
{
	int rc = set_all(call, doc, port);
	return rc ? rc : set_kind(call, doc, port);
}

static int change_remove(struct rpc_call *call, struct doc *doc, const char *port)
{
	return doc_remove(doc, port, &call->err);
}

int method_port_add(struct rpc_call *call)
{
	return edit(call, "add", false, change_add);
}

int method_port_set(struct rpc_call *call)
{
	return edit(call, "set", true, set_all);
}

int method_port_remove(struct rpc_call *call)
{
	return edit(call, "remove", true, change_remove);
}

// SPDX-License-Identifier: BSD-3-Clause
// The running document: apply, diff, export, save; and what every change has in common.
#include "ctl/server/method.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

// So many differences of one change are logged one by one.
#define AUDIT_LINES 32

void method_audit(const struct rpc_call *call, const char *what)
{
	const struct peer *peer = &call_conn(call)->peer;
	// A site of its own: who changed what is never left out as a repeat.
	struct log_site site = {0};
	if (LOG_LEVEL_INFO <= log_get_level(LOG_CONFIG))
		log_write(&site, LOG_CONFIG, LOG_LEVEL_INFO, "uid %u, pid %d: %s", peer->uid,
			peer->pid, what);
}

int method_refused(struct rpc_call *call, int rc, const char *what)
{
	const struct peer *peer = &call_conn(call)->peer;
	log_info(LOG_CONFIG, "uid %u, pid %d: %s: refused: %s", peer->uid, peer->pid, what,
		call->err.text);
	return rc;
}

static const char *value_text(const json_t *change, const char *key)
{
	const char *text = json_string_value(json_object_get(change, key));
	return text ? text : "nothing";
}

static void audit_changes(const struct rpc_call *call, const char *what, const json_t *changes)
{
	size_t count = json_array_size(changes);
	char line[640];
	snprintf(line, sizeof(line), "%s: %zu change%s", what, count, count == 1 ? "" : "s");
	method_audit(call, line);
	for (size_t i = 0; i < count && i < AUDIT_LINES; i++) {
		const json_t *change = json_array_get(changes, i);
		snprintf(line, sizeof(line), "  %s: %.200s -> %.200s", value_text(change, "path"),
			value_text(change, "old"), value_text(change, "new"));
		method_audit(call, line);
	}
	if (count > AUDIT_LINES) {
		snprintf(line, sizeof(line), "  and %zu more", count - AUDIT_LINES);
		method_audit(call, line);
	}
}

static void notify_changed(const struct rpc_call *call, const char *what)
{
	char *line = rpc_notification(
		"config.changed", json_pack("{s:i, s:o}", "uid", (int)call_conn(call)->peer.uid,
					  "what", rpc_string(what)));
	if (line)
		listener_notify(&call_server(call)->listener, WATCH_CONFIG, line);
	free(line);
}

int method_commit(struct rpc_call *call, struct doc *next, bool dry_run, const char *what)
{
	struct running *running = &call_server(call)->running;
	json_t *changes = running_changes(running->doc, next);
	int rc = running_replace(running, next, dry_run, &call->err);
	if (rc) {
		json_decref(changes);
		return method_refused(call, rc, what);
	}
	if (!dry_run) {
		audit_changes(call, what, changes);
		notify_changed(call, what);
	}
	call->result = json_pack("{s:o, s:b, s:b, s:o}", "changes", changes, "applied",
		(int)!dry_run, "unsaved_changes", (int)running->unsaved, "restart",
		running_restart_paths(running));
	return 0;
}

static struct doc *parse(struct rpc_call *call)
{
	const char *file = rpc_text(call, "file");
	const char *text = rpc_text(call, "text");
	return doc_parse(file ? file : "document", text, strlen(text), &call->err);
}

int method_config_apply(struct rpc_call *call)
{
	const char *file = rpc_text(call, "file");
	bool dry_run = rpc_flag(call, "dry_run");
	char what[160];
	snprintf(what, sizeof(what), "%s %.120s", dry_run ? "check" : "apply",
		file ? file : "document");
	struct doc *next = parse(call);
	if (!next)
		return method_refused(call, -EINVAL, what);
	return method_commit(call, next, dry_run, what);
}

int method_config_diff(struct rpc_call *call)
{
	struct doc *other = parse(call);
	if (!other)
		return -EINVAL;
	struct config *config = NULL;
	int rc = doc_check(other, &config, &call->err);
	if (!rc)
		method_list(call, running_changes(call_server(call)->running.doc, other), NULL);
	config_free(config);
	doc_free(other);
	return rc;
}

int method_config_export(struct rpc_call *call)
{
	const struct running *running = &call_server(call)->running;
	char *text = doc_print(running->doc, rpc_flag(call, "defaults"));
	if (!text)
		return error_set(&call->err, ENOMEM, "no memory for the document");
	call->result = json_pack("{s:o, s:o, s:b}", "file", rpc_string(running->file), "text",
		rpc_string(text), "unsaved_changes", (int)running->unsaved);
	free(text);
	return 0;
}

int method_config_save(struct rpc_call *call)
{
	struct running *running = &call_server(call)->running;
	int rc = running_save(running, &call->err);
	if (rc)
		return method_refused(call, rc, "save");
	char what[160];
	snprintf(what, sizeof(what), "saved %.140s", running->file);
	method_audit(call, what);
	call->result = json_pack("{s:o}", "file", rpc_string(running->file));
	return 0;
}

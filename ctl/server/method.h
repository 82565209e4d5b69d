// SPDX-License-Identifier: BSD-3-Clause
// The methods of the control protocol. Each takes its parameters from the call, which the table
// has checked, and gives a result or an error that names the object.
#ifndef WEIR_CTL_SERVER_METHOD_H
#define WEIR_CTL_SERVER_METHOD_H

#include "ctl/rpc/rpc.h"
#include "ctl/server/conn.h"
#include "ctl/server/listener.h"
#include "ctl/server/running.h"

struct server {
	struct listener listener;
	struct running running;
	struct weir_switch *sw;
	char *run_dir;
	char *memory;
	uint64_t started_ms;
};

extern const struct rpc_table method_table;

static inline struct conn *call_conn(const struct rpc_call *call)
{
	return call->session->ctx;
}

static inline struct server *call_server(const struct rpc_call *call)
{
	return call_conn(call)->listener->server;
}

// `limit` of a list, 1 to 1000; 100 if not given. -EINVAL and the call's error.
int method_limit(struct rpc_call *call, size_t *limit);
// Refuses `cursor`, which no list has answered with: -EINVAL and the call's error.
int method_bad_cursor(struct rpc_call *call);
// {items, cursor}; takes items over. cursor NULL: there is no more.
int method_list(struct rpc_call *call, json_t *items, const char *cursor);
// {packets, bytes}
json_t *method_traffic(const struct traffic *traffic);

// Applies `next` (taken over), logs who did `what`, notifies, and answers with the changes.
int method_commit(struct rpc_call *call, struct doc *next, bool dry_run, const char *what);
// Logs that the caller's change `what` was refused, for the call's error; returns rc.
int method_refused(struct rpc_call *call, int rc, const char *what);
// Logs what the caller did.
void method_audit(const struct rpc_call *call, const char *what);

// One function per method; the table in methods.c says which.
int method_hello(struct rpc_call *call);
int method_methods(struct rpc_call *call);
int method_status(struct rpc_call *call);
int method_watch(struct rpc_call *call);
int method_config_apply(struct rpc_call *call);
int method_config_diff(struct rpc_call *call);
int method_config_export(struct rpc_call *call);
int method_config_save(struct rpc_call *call);
int method_port_add(struct rpc_call *call);
int method_port_set(struct rpc_call *call);
int method_port_remove(struct rpc_call *call);
int method_port_list(struct rpc_call *call);
int method_port_show(struct rpc_call *call);
int method_port_libvirt(struct rpc_call *call);
int method_bridge_list(struct rpc_call *call);
int method_fdb_list(struct rpc_call *call);
int method_fdb_flush(struct rpc_call *call);
int method_conn_list(struct rpc_call *call);
int method_conn_show(struct rpc_call *call);
int method_conn_count(struct rpc_call *call);
int method_conn_flush(struct rpc_call *call);
int method_group_list(struct rpc_call *call);
int method_group_show(struct rpc_call *call);
int method_chain_list(struct rpc_call *call);
int method_chain_show(struct rpc_call *call);
int method_rate_list(struct rpc_call *call);
int method_rate_show(struct rpc_call *call);
int method_drop_list(struct rpc_call *call);
int method_log_list(struct rpc_call *call);
int method_log_set(struct rpc_call *call);

#endif

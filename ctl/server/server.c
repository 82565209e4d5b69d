// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/server/chain_json.h"
#include "ctl/server/method.h"
#include "ctl/server/port_json.h"

struct event_base *server_loop(void)
{
	static const struct timeval at_most = {.tv_usec = 5000};
	struct event_config *config = event_config_new();
	if (!config)
		return NULL;
	event_config_set_max_dispatch_interval(config, &at_most, -1, PRIORITY_READER);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	if (base)
		event_base_priority_init(base, PRIORITIES);
	return base;
}

// The switch has logged it; who watches is told.
static void on_change(
	void *ctx, const char *port, const struct port_status *now, const char *before)
{
	struct server *server = ctx;
	char *line = rpc_notification("port.state",
		json_pack("{s:o, s:s, s:o, s:o, s:o}", "port", rpc_string(port), "state",
			port_state_name(now->state), "text", rpc_string(now->text), "mend",
			rpc_string(now->mend), "before", rpc_string(before ? before : "new")));
	if (line)
		listener_notify(&server->listener, WATCH_PORTS, line);
	free(line);
}

static void on_chain_change(void *ctx, const struct config_chain *chain, size_t hop,
	size_t instance, const struct instance_status *now)
{
	struct server *server = ctx;
	char *line = rpc_notification(
		"chain.state", chain_state_json(server->sw, chain, hop, instance, now));
	if (line)
		listener_notify(&server->listener, WATCH_CHAINS, line);
	free(line);
}

int server_create(struct server **out, const struct server_options *options, struct error *err)
{
	struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return error_set(err, ENOMEM, "no memory for the control server");
	server->sw = options->sw;
	server->run_dir = strdup(options->run_dir);
	server->memory = strdup(options->memory);
	server->started_ms = conn_now_ms();
	int rc = running_init(&server->running, options->sw, options->config_file, options->doc);
	if (!rc && (!server->run_dir || !server->memory))
		rc = -ENOMEM;
	if (rc)
		error_set(err, -rc, "no memory for the control server");
	else
		rc = listener_open(&server->listener, options->base, server, options->run_dir, err);
	if (rc)
		goto undo;
	switch_on_change(options->sw, on_change, server);
	switch_on_chain_change(options->sw, on_chain_change, server);
	*out = server;
	return 0;
undo:
	running_free(&server->running);
	free(server->run_dir);
	free(server->memory);
	free(server);
	return rc;
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	switch_on_change(server->sw, NULL, NULL);
	switch_on_chain_change(server->sw, NULL, NULL);
	listener_close(&server->listener);
	running_free(&server->running);
	free(server->run_dir);
	free(server->memory);
	free(server);
}

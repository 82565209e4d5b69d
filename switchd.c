// SPDX-License-Identifier: BSD-3-Clause
// weir-switchd: reads the configuration, starts DPDK, the switch and the control server, and then
// waits for signals and clients.
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/schema/schema.h"
#include "ctl/server/eal.h"
#include "ctl/server/run_dir.h"
#include "ctl/server/server.h"
#include "switch/switch.h"

#define DEFAULT_CONFIG "/etc/weir/weir.yaml"
#define POLL_MS        100
#define CONFIG_MAX     (16u << 20)

struct arguments {
	const char *config; // NULL: the default, if it is there
	const char *run_dir;
	int eal_argc;
	char **eal_argv;
};

struct daemon {
	struct doc *doc;
	struct config *config;
	struct run_dir run_dir;
	bool eal;
	struct weir_switch *sw;
	struct event_base *base;
	struct event *timer;
	struct event *signals[2];
	struct server *server;
};

static const char usage[] =
	"Usage: weir-switchd [--config FILE] [--run-dir DIR] [-- EAL-OPTION...]\n"
	"A switch for virtual machines; stays in the foreground and logs to standard error.\n"
	"\n"
	"  --config FILE   the configuration; default " DEFAULT_CONFIG " if it is there,\n"
	"                  else an empty switch\n"
	"  --run-dir DIR   where sockets are; default /run/weir, else $XDG_RUNTIME_DIR/weir\n"
	"  --version       print the version\n"
	"  --help          print this\n"
	"\n"
	"What follows -- goes to DPDK; -l, -c and --lcores are refused, since the switch owns the\n"
	"lcores (see switch.workers in the configuration).\n";

// Whether to go on; else *status is the process's.
static bool parse_arguments(int argc, char **argv, struct arguments *args, int *status)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'f'},
		{"run-dir", required_argument, NULL, 'r'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		*status = 0;
		switch (c) {
		case 'f':
			args->config = optarg;
			break;
		case 'r':
			args->run_dir = optarg;
			break;
		case 'V':
			puts("weir-switchd " WEIR_VERSION);
			return false;
		case 'h':
			fputs(usage, stdout);
			return false;
		default:
			fputs("Try: weir-switchd --help\n", stderr);
			*status = 2;
			return false;
		}
	}
	// getopt stops at the first word and behind "--"; only the latter is meant.
	if (optind < argc && strcmp(argv[optind - 1], "--")) {
		fprintf(stderr, "weir-switchd: unexpected '%s'; EAL options follow --\n",
			argv[optind]);
		*status = 2;
		return false;
	}
	args->eal_argc = argc - optind;
	args->eal_argv = argv + optind;
	return true;
}

static char *read_file(const char *path, size_t *len, struct error *err)
{
	FILE *file = fopen(path, "re");
	char *text = file ? malloc(CONFIG_MAX + 1) : NULL;
	if (!text) {
		error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
		if (file)
			fclose(file);
		return NULL;
	}
	*len = fread(text, 1, CONFIG_MAX + 1, file);
	bool bad = ferror(file);
	fclose(file);
	if (!bad && *len <= CONFIG_MAX)
		return text;
	error_set(err, EFBIG, "cannot read %s: %s", path,
		bad ? "it is not readable as a file" : "it is longer than 16 MiB");
	free(text);
	return NULL;
}

static int load(struct daemon *d, const struct arguments *args, struct error *err)
{
	const char *path = args->config ? args->config : DEFAULT_CONFIG;
	if (!args->config && access(path, F_OK) < 0) {
		d->doc = doc_new();
	} else {
		size_t len;
		char *text = read_file(path, &len, err);
		if (!text)
			return -err->code;
		d->doc = doc_parse(path, text, len, err);
		free(text);
	}
	if (!d->doc)
		return err->code ? -err->code : error_set(err, ENOMEM, "no memory");
	return doc_check(d->doc, &d->config, err);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	switch_poll(arg);
}

static void on_signal(evutil_socket_t signal, short what, void *arg)
{
	(void)what;
	log_info(LOG_MAIN, "stopping on SIG%s", sigabbrev_np((int)signal));
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	event_base_loopbreak(arg);
}

static int start_loop(struct daemon *d, struct error *err)
{
	static const int signals[] = {SIGTERM, SIGINT};
	d->timer = event_new(d->base, -1, EV_PERSIST, on_timer, d->sw);
	if (!d->timer)
		return error_set(err, ENOMEM, "no memory for the event loop");
	event_priority_set(d->timer, PRIORITY_FIRST);
	event_add(d->timer, &(struct timeval){.tv_usec = POLL_MS * 1000});
	for (unsigned i = 0; i < 2; i++) {
		d->signals[i] = evsignal_new(d->base, signals[i], on_signal, d->base);
		if (d->signals[i])
			event_priority_set(d->signals[i], PRIORITY_FIRST);
		if (!d->signals[i] || event_add(d->signals[i], NULL) < 0)
			return error_set(err, ENOMEM, "no memory for the event loop");
	}
	return 0;
}

static int start(struct daemon *d, const struct arguments *args, struct error *err)
{
	int rc = eal_check(args->eal_argc, args->eal_argv, err);
	if (!rc)
		rc = load(d, args, err);
	if (!rc)
		rc = run_dir_open(&d->run_dir, args->run_dir, err);
	if (!rc)
		rc = eal_start(&d->config->sw, args->eal_argc, args->eal_argv, err);
	if (rc)
		return rc;
	d->eal = true;
	rc = switch_create(
		&d->sw, d->config, &(struct switch_options){.run_dir = d->run_dir.path}, err);
	if (rc)
		return rc;
	d->base = server_loop();
	if (!d->base)
		return error_set(err, ENOMEM, "no memory for the event loop");
	rc = start_loop(d, err);
	if (rc)
		return rc;
	return server_create(&d->server,
		&(struct server_options){
			.base = d->base,
			.sw = d->sw,
			.run_dir = d->run_dir.path,
			.config_file = args->config ? args->config : DEFAULT_CONFIG,
			.memory = eal_memory(),
			.doc = d->doc,
		},
		err);
}

// Stops whatever start() had started.
static void stop(struct daemon *d)
{
	server_destroy(d->server);
	for (unsigned i = 0; i < 2; i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->timer)
		event_free(d->timer);
	if (d->base)
		event_base_free(d->base);
	if (d->sw)
		switch_destroy(d->sw);
	if (d->eal)
		eal_stop();
	run_dir_close(&d->run_dir);
	config_free(d->config);
	doc_free(d->doc);
}

static void raise_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	rlim_t wanted = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = wanted;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct arguments args = {0};
	struct daemon d = {.run_dir.lock = -1};
	struct error err = {0};
	int status = 0;
	if (!parse_arguments(argc, argv, &args, &status))
		return status;
	signal(SIGPIPE, SIG_IGN);
	raise_files();
	if (start(&d, &args, &err) < 0) {
		log_error(LOG_MAIN, "%s", err.text);
		status = 1;
	} else {
		log_info(LOG_MAIN,
			"weir-switchd %s is ready in %s, %zu port%s, packet memory in %s",
			WEIR_VERSION, d.run_dir.path, d.config->nports,
			d.config->nports == 1 ? "" : "s", eal_memory());
		sd_notifyf(0, "READY=1\nSTATUS=Switching; weirctl --socket %s/control.sock status",
			d.run_dir.path);
		event_base_dispatch(d.base);
	}
	stop(&d);
	return status;
}

// SPDX-License-Identifier: BSD-3-Clause
// port wait: told by the switch, not by asking again and again.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/client/run.h"

static const struct {
	const char *unit;
	int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000}};

static bool parse_time(const char *text, int64_t *ms)
{
	char *unit;
	double value = strtod(text, &unit);
	for (size_t i = 0; unit != text && i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].unit) && value >= 0 &&
			value * (double)units[i].ms < 1e9) {
			*ms = (int64_t)(value * (double)units[i].ms);
			return true;
		}
	return false;
}

// "waiting-for-the-vmm" is "waiting for the VMM": a shell's word has no spaces.
static bool same_state(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = strchr(" -_", *a) ? ' ' : (char)tolower((unsigned char)*a);
		char y = strchr(" -_", *b) ? ' ' : (char)tolower((unsigned char)*b);
		if (x != y)
			return false;
	}
	return !*a && !*b;
}

static int check_state(const struct call *call, const char *state)
{
	const json_t *states = json_object_get(call->link.hello, "states");
	char known[256] = "";
	size_t i;
	json_t *one;
	json_array_foreach (states, i, one) {
		if (same_state(json_string_value(one), state))
			return EXIT_DONE;
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
			json_string_value(one));
	}
	return command_usage(call, "there is no state '%s'; there are: %s", state, known);
}

struct wait {
	const char *name;
	const char *state;
	char text[256]; // of the port, as last heard
	char mend[400];
	bool reached;
};

static void look(struct wait *wait, const json_t *port)
{
	const char *state = json_string_value(json_object_get(port, "state"));
	const char *text = json_string_value(json_object_get(port, "text"));
	const char *mend = json_string_value(json_object_get(port, "mend"));
	wait->reached = state && same_state(state, wait->state);
	snprintf(wait->text, sizeof(wait->text), "%s", text ? text : "unknown");
	snprintf(wait->mend, sizeof(wait->mend), "%s", mend ? mend : "");
}

static int ask(struct call *call, struct wait *wait)
{
	json_t *port;
	int status = link_call(
		&call->link, "port.show", json_pack("{s:s}", "name", wait->name), &port);
	if (!status)
		look(wait, port);
	json_decref(port);
	return status;
}

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// One notification. A change of the configuration may have removed the port: ask.
static int hear(struct call *call, struct wait *wait, const json_t *message)
{
	const char *method = json_string_value(json_object_get(message, "method"));
	const json_t *params = json_object_get(message, "params");
	const char *port = json_string_value(json_object_get(params, "port"));
	if (method && !strcmp(method, "config.changed"))
		return ask(call, wait);
	if (port && !strcmp(port, wait->name))
		look(wait, params);
	return EXIT_DONE;
}

static int listen_until(struct call *call, struct wait *wait, int64_t deadline)
{
	int status = ask(call, wait);
	while (!status && !wait->reached) {
		int64_t left = deadline - now_ms();
		json_t *message = NULL;
		if (left > 0)
			status = link_next(&call->link, (int)left, &message);
		if (status)
			break;
		// What came and went between two looks of the switch was not notified.
		if (!message)
			return ask(call, wait);
		status = hear(call, wait, message);
		json_decref(message);
	}
	return status;
}

int run_port_wait(struct call *call)
{
	struct wait wait = {.name = call->args[0], .state = call->args[1]};
	const char *timeout = command_option(call, "--timeout");
	int64_t ms = 30 * 1000;
	if (timeout && !parse_time(timeout, &ms))
		return command_usage(
			call, "--timeout %s: expected a time such as 500ms, 30s or 2min", timeout);
	int status = check_state(call, wait.state);
	if (status)
		return status;
	json_t *result;
	status = link_call(&call->link, "watch",
		json_pack("{s:[s, s]}", "topics", "ports", "config"), &result);
	json_decref(result);
	if (!status)
		status = listen_until(call, &wait, now_ms() + ms);
	if (status || wait.reached)
		return status;
	fprintf(stderr, "weirctl: port %s: waited %s for '%s', and it is '%s'%s%s\n", wait.name,
		timeout ? timeout : "30s", wait.state, wait.text, *wait.mend ? "\n" : "",
		wait.mend);
	return EXIT_REFUSED;
}

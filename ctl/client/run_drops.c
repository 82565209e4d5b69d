// SPDX-License-Identifier: BSD-3-Clause
// drops: counts by port and reason, the last frame of each, and with --watch what is new.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/client/decode.h"
#include "ctl/client/run.h"

// Clears a terminal, from its first line on.
#define CLEAR "\033[H\033[J"

static const struct column columns[] = {
	{"PORT", "port", false},
	{"REASON", "reason", false},
	{"COUNT", "count", true},
	{"LAST", "clock", false},
	{"HEADER", "last.text", false},
};
static const struct column watch_columns[] = {
	{"PORT", "port", false},
	{"REASON", "reason", false},
	{"COUNT", "count", true},
	{"PER SECOND", "per_second", true},
	{"LAST", "clock", false},
	{"HEADER", "last.text", false},
};

static const char *text_of(const json_t *item, const char *path)
{
	const char *text = json_string_value(print_find(item, path));
	return text ? text : "";
}

// "2026-01-31T12:00:00.250Z" as a clock shows it here: "13:00:00.250".
static void local_clock(const char *utc, char *text, size_t size)
{
	struct tm tm = {0};
	const char *rest = strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t seconds = rest ? timegm(&tm) : 0;
	*text = 0;
	if (!rest || !localtime_r(&seconds, &tm))
		return;
	size_t n = strftime(text, size, "%T", &tm);
	snprintf(text + n, size - n, "%.*s", (int)strcspn(rest, "Z"), rest);
}

// The drops as the switch tells them, each header also in words.
static int ask(struct call *call, json_t **items)
{
	json_t *params = json_object(), *drop;
	size_t i;
	if (call->args[0])
		json_object_set_new(params, "port", json_string(call->args[0]));
	int status = link_list(&call->link, "drop.list", params, items);
	json_array_foreach (*items, i, drop) {
		json_t *last = json_object_get(drop, "last");
		char text[DECODE_TEXT_SIZE];
		decode_hex(text_of(last, "header"), text, sizeof(text));
		if (json_is_object(last))
			json_object_set_new(last, "text", json_string(text));
	}
	return status;
}

static bool is_explained(const json_t *items, size_t until, const char *reason)
{
	for (size_t i = 0; i < until; i++)
		if (!strcmp(text_of(json_array_get(items, i), "reason"), reason))
			return true;
	return false;
}

// The table, and below it what each reason means.
static void print_drops(const struct column *which, size_t count, json_t *items)
{
	size_t i;
	json_t *drop;
	json_array_foreach (items, i, drop) {
		char clock[40];
		local_clock(text_of(drop, "last.time"), clock, sizeof(clock));
		json_object_set_new(drop, "clock", json_string(clock));
	}
	print_table(which, count, items, true);
	json_array_foreach (items, i, drop) {
		const char *reason = text_of(drop, "reason");
		if (!is_explained(items, i, reason))
			printf("%s%s: %s\n", i ? "" : "\n", reason, text_of(drop, "about"));
	}
}

// -- watching

struct watch {
	json_t *before; // NULL: this is the first look
	int64_t before_ms;
};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static json_int_t count_of(const json_t *drop)
{
	return json_integer_value(json_object_get(drop, "count"));
}

static json_int_t count_before(const json_t *items, const json_t *drop)
{
	size_t i;
	json_t *one;
	json_array_foreach (items, i, one)
		if (json_equal(json_object_get(one, "port"), json_object_get(drop, "port")) &&
			json_equal(json_object_get(one, "reason"), json_object_get(drop, "reason")))
			return count_of(one);
	return 0;
}

// Adds what is new since the last look. A port that was made anew counts from zero.
static void add_rates(const struct watch *watch, json_t *items, int64_t now)
{
	size_t i;
	json_t *drop;
	double seconds = (double)(now - watch->before_ms) / 1000;
	json_array_foreach (items, i, drop) {
		json_int_t more = count_of(drop);
		json_int_t before = count_before(watch->before, drop);
		if (!watch->before)
			more = 0;
		else if (before <= more)
			more -= before;
		double rate = seconds > 0 ? (double)more / seconds : 0;
		char text[32];
		snprintf(text, sizeof(text), "%.1f", rate);
		json_object_set_new(drop, "new", json_integer(more));
		json_object_set_new(drop, "per_second", json_real(rate));
		json_object_set_new(drop, "rate", json_string(text));
	}
}

static void print_line(const json_t *drop, bool first)
{
	char clock[40];
	local_clock(text_of(drop, "last.time"), clock, sizeof(clock));
	printf("%s: %s", text_of(drop, "port"), text_of(drop, "reason"));
	if (!first)
		printf(" +%lld, %s/s", (long long)json_integer_value(json_object_get(drop, "new")),
			text_of(drop, "rate"));
	printf(", %lld in all", (long long)count_of(drop));
	if (*clock)
		printf("; last %s, %s", clock, text_of(drop, "last.text"));
	putchar('\n');
}

// One line for each drop that there is something new of; at the first look for all.
static void print_new(const struct call *call, const json_t *items, bool first)
{
	size_t i;
	json_t *drop;
	json_array_foreach (items, i, drop) {
		if (!first && !json_integer_value(json_object_get(drop, "new")))
			continue;
		if (call->format == FORMAT_TABLE) {
			print_line(drop, first);
			continue;
		}
		json_object_del(drop, "rate");
		json_dumpf(drop, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
}

static void print_screen(json_t *items)
{
	size_t i;
	json_t *drop;
	json_array_foreach (items, i, drop)
		json_object_set(drop, "per_second", json_object_get(drop, "rate"));
	fputs(CLEAR, stdout);
	print_drops(watch_columns, COUNT(watch_columns), items);
}

// Until interrupted, or the switch goes, or nobody reads any more.
static int watch_drops(struct call *call)
{
	struct watch watch = {0};
	bool screen = call->format == FORMAT_TABLE && isatty(STDOUT_FILENO);
	int status = EXIT_DONE;
	while (!link_interrupted) {
		json_t *items;
		status = ask(call, &items);
		if (status)
			break;
		int64_t now = now_ms();
		add_rates(&watch, items, now);
		if (screen)
			print_screen(items);
		else
			print_new(call, items, !watch.before);
		json_decref(watch.before);
		watch = (struct watch){.before = items, .before_ms = now};
		if (fflush(stdout))
			break;
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	}
	json_decref(watch.before);
	return link_interrupted ? EXIT_DONE : status;
}

int run_drops(struct call *call)
{
	if (command_option(call, "--watch"))
		return watch_drops(call);
	json_t *items;
	int status = ask(call, &items);
	if (status)
		return status;
	if (call->format == FORMAT_JSON)
		print_json(items);
	else
		print_drops(columns, COUNT(columns), items);
	json_decref(items);
	return EXIT_DONE;
}

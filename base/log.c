// SPDX-License-Identifier: BSD-3-Clause
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Life cycle: static. Synchronisation: levels are relaxed atomics; `lock` orders a call site's
// counters and the write to stderr. It is the innermost lock: nothing is called with it held but
// write(2).
#define WINDOW_NS      (5ull * 1000 * 1000 * 1000)
#define LINES_A_WINDOW 10

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int levels[LOG_SUBSYSTEM_COUNT] = {
#define X(id, name, about) [LOG_##id] = LOG_LEVEL_INFO,
	LOG_SUBSYSTEMS(X)
#undef X
};
static const char *const subsystem_names[] = {
#define X(id, name, about) [LOG_##id] = name,
	LOG_SUBSYSTEMS(X)
#undef X
};
static const char *const level_names[] = {"error", "warning", "info", "debug"};
// sd-daemon(3): the journal reads the priority from the line's prefix.
static const char *const journal_prefixes[] = {"<3>", "<4>", "<6>", "<7>"};

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static bool site_admits(struct log_site *site, uint32_t *suppressed)
{
	uint64_t now = now_ns();
	*suppressed = 0;
	if (site->window_start_ns == 0 || now - site->window_start_ns >= WINDOW_NS) {
		*suppressed = site->suppressed;
		*site = (struct log_site){.window_start_ns = now};
	}
	if (site->lines >= LINES_A_WINDOW) {
		site->suppressed++;
		return false;
	}
	site->lines++;
	return true;
}

static void write_line(enum log_subsystem subsystem, enum log_level level, const char *text)
{
	char line[1200];
	const char *prefix = getenv("JOURNAL_STREAM") ? journal_prefixes[level] : "";
	int n = snprintf(line, sizeof(line), "%s<%s> %s: %s\n", prefix, level_names[level],
		subsystem_names[subsystem], text);
	if ((size_t)n >= sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	// A log that cannot be written must not stop the switch; there is nobody left to tell.
	ssize_t rc = write(STDERR_FILENO, line, n);
	(void)rc;
}

void log_write(struct log_site *site, enum log_subsystem subsystem, enum log_level level,
	const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	// A name out of a packet or a message could carry a line break: one event stays one line.
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';

	pthread_mutex_lock(&lock);
	uint32_t suppressed;
	if (site_admits(site, &suppressed)) {
		if (suppressed) {
			char note[80];
			snprintf(note, sizeof(note), "(%u lines like the next were left out)",
				suppressed);
			write_line(subsystem, level, note);
		}
		write_line(subsystem, level, text);
	}
	pthread_mutex_unlock(&lock);
}

void log_set_level(enum log_subsystem subsystem, enum log_level level)
{
	atomic_store_explicit(&levels[subsystem], level, memory_order_relaxed);
}

enum log_level log_get_level(enum log_subsystem subsystem)
{
	return atomic_load_explicit(&levels[subsystem], memory_order_relaxed);
}

const char *log_subsystem_name(enum log_subsystem subsystem)
{
	return subsystem_names[subsystem];
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_subsystem_parse(const char *name, enum log_subsystem *subsystem)
{
	for (unsigned i = 0; i < LOG_SUBSYSTEM_COUNT; i++)
		if (!strcmp(name, subsystem_names[i])) {
			*subsystem = i;
			return 0;
		}
	return -EINVAL;
}

int log_level_parse(const char *name, enum log_level *level)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (!strcmp(name, level_names[i])) {
			*level = i;
			return 0;
		}
	return -EINVAL;
}

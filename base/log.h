// SPDX-License-Identifier: BSD-3-Clause
// Log lines: `<level> subsystem: text`, one per line, to stderr; under the journal the level is
// given as the syslog prefix it understands. Never called on the data path.
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

// One x-macro: enum, name, and what the subsystem speaks of.
#define LOG_SUBSYSTEMS(X) \
	X(MAIN, "main", "start, stop, signals") \
	X(CONFIG, "config", "changes of the configuration, each with the uid that made it") \
	X(CTL, "ctl", "the control socket and its clients") \
	X(VHOST, "vhost", "the vhost-user protocol and the ports' states") \
	X(SWITCH, "switch", "bridges, ports, snapshots") \
	X(WORKER, "worker", "the polling threads and the janitor") \
	X(DPDK, "dpdk", "what the EAL and the vhost library say")

enum log_subsystem {
#define X(id, name, about) LOG_##id,
	LOG_SUBSYSTEMS(X)
#undef X
	LOG_SUBSYSTEM_COUNT
};

// State of one call site, for the rate limit of repeats: at most 10 lines in 5 s, then a count.
struct log_site {
	uint64_t window_start_ns;
	uint32_t lines;
	uint32_t suppressed;
};

// Any thread but workers. Takes no lock that a caller could hold.
void log_write(struct log_site *site, enum log_subsystem subsystem, enum log_level level,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

// Any thread. Levels are changeable live; the default is INFO.
void log_set_level(enum log_subsystem subsystem, enum log_level level);
enum log_level log_get_level(enum log_subsystem subsystem);
const char *log_subsystem_name(enum log_subsystem subsystem);
const char *log_level_name(enum log_level level);

// By name; -EINVAL for an unknown one.
int log_subsystem_parse(const char *name, enum log_subsystem *subsystem);
int log_level_parse(const char *name, enum log_level *level);

#define LOG_AT(level, subsystem, ...) \
	do { \
		static struct log_site log_site_; \
		if ((level) <= log_get_level(subsystem)) \
			log_write(&log_site_, subsystem, level, __VA_ARGS__); \
	} while (0)
#define log_error(subsystem, ...)   LOG_AT(LOG_LEVEL_ERROR, subsystem, __VA_ARGS__)
#define log_warning(subsystem, ...) LOG_AT(LOG_LEVEL_WARNING, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...)    LOG_AT(LOG_LEVEL_INFO, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...)   LOG_AT(LOG_LEVEL_DEBUG, subsystem, __VA_ARGS__)

#endif

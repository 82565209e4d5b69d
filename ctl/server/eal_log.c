// SPDX-License-Identifier: BSD-3-Clause
// DPDK's log as the subsystem `dpdk`.
#include "ctl/server/eal.h"

#include <errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

// What DPDK finds worth a warning and is an ordinary day. Of the vhost library that is a VMM that
// is not there yet, or a peer that closed: what matters of it is in the port's state, in words. Of
// huge pages it is each size that has none free: the switch has made sure that one has.
static const struct {
	const char *prefix;
	enum log_level most; // no line of these is louder
} quiet[] = {
	{"VHOST_CONFIG: ", LOG_LEVEL_DEBUG},
	{"VHOST_DATA: ", LOG_LEVEL_DEBUG},
	{"EAL: No free ", LOG_LEVEL_DEBUG},
	// There are no other processes to be told of a tap.
	{"tap_mp_req_on_rxtx(): ", LOG_LEVEL_DEBUG},
};

static enum log_level level_of(const char *line)
{
	static const enum log_level levels[] = {
		[RTE_LOG_EMERG] = LOG_LEVEL_ERROR,
		[RTE_LOG_ALERT] = LOG_LEVEL_ERROR,
		[RTE_LOG_CRIT] = LOG_LEVEL_ERROR,
		[RTE_LOG_ERR] = LOG_LEVEL_ERROR,
		[RTE_LOG_WARNING] = LOG_LEVEL_WARNING,
		[RTE_LOG_NOTICE] = LOG_LEVEL_DEBUG,
		[RTE_LOG_INFO] = LOG_LEVEL_DEBUG,
		[RTE_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};
	int said = rte_log_cur_msg_loglevel();
	enum log_level level = LOG_LEVEL_INFO;
	if (said > 0 && said < (int)(sizeof(levels) / sizeof(levels[0])))
		level = levels[said];
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		if (!strncmp(line, quiet[i].prefix, strlen(quiet[i].prefix)) &&
			level < quiet[i].most)
			level = quiet[i].most;
	return level;
}

static void write_line(const char *line)
{
	// Repeats are limited per level, so that chatter at one hides nothing at another.
	static struct log_site sites[LOG_LEVEL_DEBUG + 1];
	enum log_level level = level_of(line);
	if (*line && level <= log_get_level(LOG_DPDK))
		log_write(&sites[level], LOG_DPDK, level, "%s", line);
}

static ssize_t on_write(void *cookie, const char *data, size_t size)
{
	(void)cookie;
	char line[1024];
	for (size_t i = 0, n = 0; i < size; i++) {
		if (data[i] != '\n' && n + 1 < sizeof(line))
			line[n++] = data[i];
		if (data[i] != '\n' && i + 1 < size)
			continue;
		line[n] = 0;
		write_line(line);
		n = 0;
	}
	return (ssize_t)size;
}

int eal_log_open(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = on_write});
	if (!stream)
		return -ENOMEM;
	// DPDK flushes behind each message, so each write here is a whole one.
	setvbuf(stream, NULL, _IOFBF, 4096);
	return rte_openlog_stream(stream);
}

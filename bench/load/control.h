// SPDX-License-Identifier: BSD-3-Clause
// Commands from standard input, one JSON object a line, answered on standard output.
//
// Synchronisation: a thread of its own reads and prints; it hands a command to the load thread
// through `state`, and waits until it is answered. So there is one command at a time.
#ifndef WEIR_BENCH_CONTROL_H
#define WEIR_BENCH_CONTROL_H

#include <jansson.h>

#include "bench/load/load.h"

enum command_kind {
	COMMAND_START,
	COMMAND_MARK,
	COMMAND_STOP,
	COMMAND_VISITS,
	COMMAND_END, // the input has ended
};

struct command {
	enum command_kind kind;
	struct load_plan plan; // COMMAND_START
	// The answer.
	const char *refused; // why, or NULL
	struct tally tally;  // COMMAND_MARK and COMMAND_STOP
	uint64_t now;        // TSC at the interval's end
	bool arrivals;       // COMMAND_STOP: streams have recorded them
	// COMMAND_VISITS: see relay_take_visits().
	const uint32_t *visits;
	uint32_t nvisits;
};

static inline void command_refuse(struct command *command, const char *why)
{
	command->refused = why;
}

// Reads a line. NULL, or what is wrong with it. After ports_open().
const char *command_read(const json_t *line, struct command *command);

// Prints that the ports are up and starts reading. 0 or -errno.
int control_start(void);
// The command that waits for its answer, if there is one. Load thread.
struct command *control_poll(void);
// It has been done. Load thread.
void control_answer(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The grammar of weirctl: one table of commands drives parsing, usage, help, completion and the
// manual page.
#ifndef WEIR_CTL_CLIENT_COMMAND_H
#define WEIR_CTL_CLIENT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/client/link.h"

enum {
	ARGS_MAX = 3,
	OPTIONS_MAX = 10
};

enum format {
	FORMAT_TABLE,
	FORMAT_JSON
};

// What a word stands for: what completion offers there.
enum word {
	WORD_ANY, // nothing is known of it
	WORD_PORT,
	WORD_BRIDGE,
	WORD_STATE, // of a port
	WORD_GROUP,
	WORD_CHAIN,
	WORD_RATE, // a port with a rate of its own, or a shared rate
	WORD_PROTOCOL,
	WORD_CONN_STATE, // of a connection
	WORD_KEY,        // KEY=VALUE of a port
	WORD_FILE,
	WORD_SUBSYSTEM,
	WORD_LEVEL,
	WORD_NOUN,
	WORD_FORMAT,
};

struct argument {
	const char *name; // NULL ends the list
	enum word word;
	bool optional;
	bool rest; // takes all that is left; the last one only
};

struct option_spec {
	const char *name;  // "--port"; NULL ends the list
	const char *value; // what it is called in help; NULL: a flag
	const char *about;
	enum word word;    // of the value
	const char *brief; // "-s"; NULL: none
};

struct call;

struct command {
	const char *noun;
	const char *verb; // NULL: the noun is a command itself
	const char *about;
	int (*run)(struct call *call); // an exit status
	bool reads;                    // takes -o
	struct argument args[ARGS_MAX + 1];
	struct option_spec options[OPTIONS_MAX + 1];
};

// A parsed command line. Strings belong to argv.
struct call {
	const struct command *command;
	const char *noun;   // as soon as it is known
	const char *socket; // NULL: search
	bool may_prompt;    // no command at all asks for the prompt
	enum format format;
	bool help;
	const char *args[ARGS_MAX]; // by position in the table; NULL: not given
	char **rest;                // of the argument that takes the rest
	int nrest;
	const char
		*options[OPTIONS_MAX]; // by position in the table; "" for a flag; NULL: not given
	struct link link;
};

extern const struct command commands[];
extern const size_t command_count;

// Options of every command, by position.
enum {
	GLOBAL_SOCKET,
	GLOBAL_OUTPUT,
	GLOBAL_HELP,
	GLOBAL_VERSION,
	GLOBALS
};
extern const struct option_spec global_options[GLOBALS];

// The option that a word is, of the command (NULL: none yet) or of all; NULL: there is none. *index
// is its position among them, *value what follows "=" or, of a short one, its letter.
const struct option_spec *command_find_option(const struct command *command, const char *word,
	unsigned *index, bool *global, const char **value);

// Parses argv, which it reorders. EXIT_DONE, or EXIT_USAGE after it has said why. Without a command
// (call->command is NULL then, as behind help) it is usage unless call->may_prompt is set.
int command_parse(struct call *call, int argc, char **argv);
// Help for all commands, for those of a noun, or for one; call->command or `noun` may be NULL.
void command_help(const struct call *call, const char *noun);
// Says what is wrong on standard error and points to the help. EXIT_USAGE.
int command_usage(const struct call *call, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

// The value of an option by its name; NULL: not given.
const char *command_option(const struct call *call, const char *name);

// Parses and runs one command line, whose words it reorders; what was asked for stands on standard
// output then. `socket` is for lines that name none; NULL: search. `terminal`: a line without a
// command is the prompt. An exit status.
int command_run(int argc, char **argv, const char *socket, bool terminal);

// One function per command; the table says which. Each returns an exit status.
int run_help(struct call *call);
int run_status(struct call *call);
int run_apply(struct call *call);
int run_diff(struct call *call);
int run_export(struct call *call);
int run_save(struct call *call);
int run_port_list(struct call *call);
int run_port_show(struct call *call);
int run_port_add(struct call *call);
int run_port_set(struct call *call);
int run_port_remove(struct call *call);
int run_port_wait(struct call *call);
int run_port_libvirt(struct call *call);
int run_bridge_list(struct call *call);
int run_fdb_list(struct call *call);
int run_fdb_flush(struct call *call);
int run_conn_list(struct call *call);
int run_conn_show(struct call *call);
int run_conn_count(struct call *call);
int run_conn_flush(struct call *call);
int run_group_list(struct call *call);
int run_group_show(struct call *call);
int run_chain_list(struct call *call);
int run_chain_show(struct call *call);
int run_rate_list(struct call *call);
int run_rate_show(struct call *call);
int run_drops(struct call *call);
int run_log_list(struct call *call);
int run_log_set(struct call *call);

#endif

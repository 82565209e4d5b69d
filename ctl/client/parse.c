// SPDX-License-Identifier: BSD-3-Clause
// From words to a call. Options may stand anywhere; which take a value is known from the table as
// soon as the noun is.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/client/command.h"

int command_usage(const struct call *call, const char *fmt, ...)
{
	va_list args;
	fputs("weirctl: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nTry: weirctl help%s%s\n", call->noun ? " " : "",
		call->noun ? call->noun : "");
	return EXIT_USAGE;
}

static void print_usage(const struct command *c)
{
	printf("  weirctl %s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
	for (const struct argument *a = c->args; a->name; a++)
		printf(a->optional ? " [%s]%s" : " %s%s", a->name, a->rest ? "..." : "");
	for (const struct option_spec *o = c->options; o->name; o++)
		printf(" [%s%s%s]", o->name, o->value ? " " : "", o->value ? o->value : "");
	printf("\n      %s\n", c->about);
	for (const struct option_spec *o = c->options; o->name; o++)
		printf("      %s: %s\n", o->name, o->about);
}

static void print_global(const struct option_spec *o)
{
	printf("  %s, %s%s%s: %s\n", o->brief, o->name, o->value ? " " : "",
		o->value ? o->value : "", o->about);
}

void command_help(const struct call *call, const char *noun)
{
	puts("weirctl manages a running weir-switchd.\n");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &commands[i];
		if ((call->command && c != call->command) || (noun && strcmp(noun, c->noun)))
			continue;
		print_usage(c);
	}
	puts("\nAnywhere:");
	for (unsigned i = 0; i < GLOBALS; i++)
		print_global(&global_options[i]);
	puts("\nWithout a command, on a terminal: a prompt, where Tab completes.");
	puts("\nExit status: 0 done, 1 refused or failed, 2 usage, 3 no switch.");
}

const char *command_option(const struct call *call, const char *name)
{
	for (unsigned i = 0; call->command->options[i].name; i++)
		if (!strcmp(call->command->options[i].name, name))
			return call->options[i];
	return NULL;
}

// Whether `word` is the option, and what follows "=" or, of a short one, the letter.
static bool is_option(const char *word, const struct option_spec *o, const char **value)
{
	size_t len = strlen(o->name);
	*value = NULL;
	if (!strncmp(word, o->name, len) && (!word[len] || word[len] == '=')) {
		*value = word[len] ? word + len + 1 : NULL;
		return true;
	}
	if (!o->brief || strncmp(word, o->brief, 2))
		return false;
	*value = word[2] ? word + 2 : NULL;
	return true;
}

const struct option_spec *command_find_option(const struct command *command, const char *word,
	unsigned *index, bool *global, const char **value)
{
	for (unsigned i = 0; i < GLOBALS; i++)
		if (is_option(word, &global_options[i], value)) {
			*index = i;
			*global = true;
			return &global_options[i];
		}
	for (unsigned i = 0; command && command->options[i].name; i++)
		if (is_option(word, &command->options[i], value)) {
			*index = i;
			*global = false;
			return &command->options[i];
		}
	return NULL;
}

static int set_global(struct call *call, unsigned index, const char *value, bool *version)
{
	if (index == GLOBAL_SOCKET)
		call->socket = value;
	else if (index == GLOBAL_HELP)
		call->help = true;
	else if (index == GLOBAL_VERSION)
		*version = true;
	else if (!strcmp(value, "json"))
		call->format = FORMAT_JSON;
	else if (strcmp(value, "table"))
		return command_usage(call, "-o takes table or json, not '%s'", value);
	return EXIT_DONE;
}

// The options of argv are taken out, words stay in order; returns an exit status. Without a
// command only what stands before the first word is looked at.
static int take_options(struct call *call, int *argc, char **argv, bool *version)
{
	int words = 0, i = 0;
	for (; i < *argc; i++) {
		unsigned index;
		bool global;
		const char *value;
		if (!strcmp(argv[i], "--") && call->command) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (!call->command)
				break;
			argv[words++] = argv[i];
			continue;
		}
		const struct option_spec *o = command_find_option(
			call->command, argv[i], &index, &global, &value);
		if (!o)
			return command_usage(call, "there is no option '%s'", argv[i]);
		if (!o->value && value)
			return command_usage(call, "%s takes no value", o->name);
		if (o->value && !value && i + 1 == *argc)
			return command_usage(call, "%s takes a value, %s", o->name, o->value);
		if (o->value && !value)
			value = argv[++i];
		if (global && set_global(call, index, value, version))
			return EXIT_USAGE;
		if (!global)
			call->options[index] = value ? value : "";
	}
	while (i < *argc)
		argv[words++] = argv[i++];
	*argc = words;
	return EXIT_DONE;
}

static bool is_noun(const char *noun)
{
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].noun, noun))
			return true;
	return false;
}

static bool has_verbs(const char *noun)
{
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].noun, noun))
			return commands[i].verb != NULL;
	return false;
}

// Finds the command that the words begin with, and how many of them name it.
static int find_command(struct call *call, int argc, char **argv, int *used)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &commands[i];
		if (strcmp(c->noun, argv[0]) || (c->verb && (argc < 2 || strcmp(c->verb, argv[1]))))
			continue;
		call->command = c;
		call->noun = c->noun;
		*used = c->verb ? 2 : 1;
		return EXIT_DONE;
	}
	if (is_noun(argv[0]))
		call->noun = argv[0];
	else
		return command_usage(call, "there is no command '%s'", argv[0]);
	// The noun alone with --help: what can be done to it.
	if (call->help) {
		command_help(call, argv[0]);
		return EXIT_DONE;
	}
	return argc > 1 ? command_usage(call, "%s: there is no verb '%s'", argv[0], argv[1])
			: command_usage(call, "%s: a verb is missing", argv[0]);
}

static int take_args(struct call *call, int argc, char **argv)
{
	const struct command *c = call->command;
	int used = 0;
	for (unsigned i = 0; c->args[i].name; i++) {
		if (used == argc && !c->args[i].optional)
			return command_usage(call, "%s%s%s: %s is missing", c->noun,
				c->verb ? " " : "", c->verb ? c->verb : "", c->args[i].name);
		if (c->args[i].rest) {
			call->rest = argv + used;
			call->nrest = argc - used;
			return EXIT_DONE;
		}
		call->args[i] = used < argc ? argv[used++] : NULL;
	}
	return used == argc ? EXIT_DONE : command_usage(call, "'%s' is too much", argv[used]);
}

int command_parse(struct call *call, int argc, char **argv)
{
	bool version = false;
	int used = 0;
	int status = take_options(call, &argc, argv, &version);
	if (!status && version) {
		puts("weirctl " WEIR_VERSION);
		call->help = true;
		return EXIT_DONE;
	}
	if (!status && !argc && call->help)
		command_help(call, NULL);
	if (status || (!argc && call->help))
		return status;
	if (!argc)
		return call->may_prompt ? EXIT_DONE : command_usage(call, "what is it to do?");
	if (has_verbs(argv[0])) {
		int rest = argc - 1;
		status = take_options(call, &rest, argv + 1, &version);
		argc = rest + 1;
	}
	if (status)
		return status;
	status = find_command(call, argc, argv, &used);
	if (status || !call->command)
		return status;
	argc -= used;
	argv += used;
	status = take_options(call, &argc, argv, &version);
	if (status)
		return status;
	if (call->help) {
		command_help(call, call->command->noun);
		return EXIT_DONE;
	}
	if (call->format == FORMAT_JSON && !call->command->reads)
		return command_usage(call, "-o is for commands that read");
	return take_args(call, argc, argv);
}

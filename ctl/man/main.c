// SPDX-License-Identifier: BSD-3-Clause
// Fills the template of a manual page, at build time: a line that is only "@commands@" gives way to
// what the grammar says, and so do "@options@", "@keys@" and "@drops@"; "@version@" may stand
// anywhere.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/drop.h"
#include "ctl/client/command.h"
#include "ctl/schema/roff.h"
#include "ctl/schema/schema.h"

#define VERSION "@version@"

// What the tables say in half a sentence, as a whole one.
static void write_sentence(FILE *out, const char *text)
{
	fputc(toupper((unsigned char)*text), out);
	roff_write(out, text + 1);
	fputc('.', out);
}

static void write_option(FILE *out, const struct option_spec *o)
{
	fputs(".TP\n", out);
	if (o->brief) {
		fputs("\\fB", out);
		roff_write(out, o->brief);
		fputs("\\fR, ", out);
	}
	fputs("\\fB", out);
	roff_write(out, o->name);
	fputs("\\fR", out);
	if (o->value)
		fprintf(out, " \\fI%s\\fR", o->value);
	fputc('\n', out);
	write_sentence(out, o->about);
	fputc('\n', out);
}

static void write_options(FILE *out)
{
	for (unsigned i = 0; i < GLOBALS; i++)
		write_option(out, &global_options[i]);
}

static void write_command(FILE *out, const struct command *c)
{
	fprintf(out, ".TP\n\\fB%s%s%s\\fR", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
	for (const struct argument *a = c->args; a->name; a++)
		fprintf(out, a->optional ? " [\\fI%s\\fR]%s" : " \\fI%s\\fR%s", a->name,
			a->rest ? "..." : "");
	for (const struct option_spec *o = c->options; o->name; o++) {
		fputs(" [\\fB", out);
		roff_write(out, o->name);
		fputs("\\fR", out);
		if (o->value)
			fprintf(out, " \\fI%s\\fR", o->value);
		fputc(']', out);
	}
	fputc('\n', out);
	write_sentence(out, c->about);
	fputs(c->reads ? "\nTakes \\fB\\-o\\fR.\n" : "\n", out);
	if (!c->options[0].name)
		return;
	fputs(".RS\n", out);
	for (const struct option_spec *o = c->options; o->name; o++)
		write_option(out, o);
	fputs(".RE\n", out);
}

static void write_commands(FILE *out)
{
	for (size_t i = 0; i < command_count; i++)
		write_command(out, &commands[i]);
}

static void write_drops(FILE *out)
{
	for (unsigned r = DROP_NONE + 1; r < DROP_REASON_COUNT; r++) {
		fputs(".TP\n\\fB", out);
		roff_write(out, drop_name(r));
		fputs("\\fR\n", out);
		write_sentence(out, drop_about(r));
		fputc('\n', out);
	}
}

static const struct {
	const char *line;
	void (*write)(FILE *out);
} inserts[] = {
	{"@commands@\n", write_commands},
	{"@options@\n", write_options},
	{"@keys@\n", schema_write_manual},
	{"@drops@\n", write_drops},
};

static void fill_line(FILE *out, const char *line)
{
	for (size_t i = 0; i < sizeof(inserts) / sizeof(inserts[0]); i++)
		if (!strcmp(line, inserts[i].line)) {
			inserts[i].write(out);
			return;
		}
	const char *version = strstr(line, VERSION);
	if (version)
		fprintf(out, "%.*s%s%s", (int)(version - line), line, WEIR_VERSION,
			version + strlen(VERSION));
	else
		fputs(line, out);
}

static int failed(const char *path)
{
	fprintf(stderr, "weir-man: %s: %s\n", path, strerror(errno));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("Usage: weir-man TEMPLATE PAGE\n", stderr);
		return EXIT_FAILURE;
	}
	FILE *in = fopen(argv[1], "re");
	if (!in)
		return failed(argv[1]);
	FILE *out = fopen(argv[2], "we");
	if (!out) {
		fclose(in);
		return failed(argv[2]);
	}
	char *line = NULL;
	size_t size = 0;
	while (getline(&line, &size, in) > 0)
		fill_line(out, line);
	free(line);
	fclose(in);
	return fclose(out) ? failed(argv[2]) : EXIT_SUCCESS;
}

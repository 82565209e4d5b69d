// SPDX-License-Identifier: BSD-3-Clause
// Arguments and the report of weir-hostile.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hostile/hostile.h"

static const char usage[] =
	"usage: weir-hostile --socket PATH [--beside PATH] [--connect] [--seed N]\n"
	"                    [--rings N] [--messages N] [--truncate N]\n"
	"                    [--only NAME] [--from N] [--ring 0|1] [--hold] [--quiet]\n"
	"       weir-hostile --list\n"
	"\n"
	"Spoils rings and messages of the vhost-user port at --socket, in ways that the seed "
	"decides,\n"
	"and fails when the switch takes what it must refuse, refuses what is sound, or stops. It\n"
	"listens at its sockets; with --connect the switch does. For rings, the port at --beside "
	"sends\n"
	"to the spoiled one. One failure is had again with --seed, --from and a count of 1.\n"
	"--only: that mutation alone, and --ring: on that ring (0 to-vm, 1 from-vm). --hold: the "
	"last\n"
	"fault is left as it is until standard input ends. --list: ring mutations with their "
	"faults.\n"
	"It ends with one line of JSON.\n";

static uint64_t number(const char *text)
{
	char *end;
	errno = 0;
	uint64_t n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "weir-hostile: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static void list(void)
{
	const char *name, *fault;
	bool fits;
	for (unsigned ring = 0; ring < 2; ring++)
		for (unsigned i = 0; ring_mutation_at(i, ring, &name, &fault, &fits); i++)
			if (fits && fault)
				printf("{\"ring\": %u, \"name\": \"%s\", \"fault\": \"%s\"}\n",
					ring, name, fault);
			else if (fits)
				printf("{\"ring\": %u, \"name\": \"%s\", \"fault\": null}\n", ring,
					name);
}

struct word {
	const char *name;
	enum {
		FLAG,
		NUMBER,
		TEXT
	} kind;
	void *to;
};

__attribute__((noreturn)) static void misused(void)
{
	fputs(usage, stderr);
	exit(2);
}

static void take(const struct word *w, const char *argument)
{
	switch (w->kind) {
	case FLAG:
		*(bool *)w->to = true;
		break;
	case NUMBER:
		*(uint64_t *)w->to = number(argument);
		break;
	case TEXT:
		*(const char **)w->to = argument;
		break;
	}
}

static void parse(int argc, char **argv, struct options *o)
{
	bool lists = false, helps = false;
	const struct word words[] = {
		{"--socket", TEXT, &o->socket},
		{"--beside", TEXT, &o->beside},
		{"--connect", FLAG, &o->connects},
		{"--seed", NUMBER, &o->seed},
		{"--rings", NUMBER, &o->rings},
		{"--messages", NUMBER, &o->messages},
		{"--truncate", NUMBER, &o->truncations},
		{"--only", TEXT, &o->only},
		{"--from", NUMBER, &o->from},
		{"--ring", NUMBER, &o->ring},
		{"--hold", FLAG, &o->hold},
		{"--quiet", FLAG, &o->quiet},
		{"--list", FLAG, &lists},
		{"--help", FLAG, &helps},
	};
	const unsigned n = sizeof(words) / sizeof(words[0]);
	for (int i = 1; i < argc; i++) {
		unsigned k = 0;
		while (k < n && strcmp(words[k].name, argv[i]))
			k++;
		if (k == n || (words[k].kind != FLAG && ++i == argc))
			misused();
		take(&words[k], argv[i]);
	}
	if (helps)
		fputs(usage, stdout);
	if (lists)
		list();
	if (helps || lists)
		exit(0);
	if (!o->socket || ((o->rings || o->truncations) && !o->beside) || o->ring > RING_ANY)
		misused();
}

// Mutations of rings and of messages have different names.
static void check_only(const struct options *o)
{
	const char *name, *fault;
	bool fits, found = false;
	for (unsigned ring = 0; ring < 2; ring++)
		for (unsigned i = 0; ring_mutation_at(i, ring, &name, &fault, &fits); i++)
			found |= fits && (o->ring == RING_ANY || o->ring == ring) &&
				 !strcmp(name, o->only);
	if (o->rings ? !found : !message_mutation_known(o->only)) {
		fprintf(stderr, "weir-hostile: no such mutation: %s\n", o->only);
		exit(2);
	}
}

static void print_counts(const char *what, const struct count *counts, unsigned n)
{
	printf(", \"%s\": {", what);
	const char *before = "";
	for (unsigned i = 0; i < n; i++) {
		if (!counts[i].done)
			continue;
		printf("%s\"%s\": [%llu, %llu]", before, counts[i].name,
			(unsigned long long)counts[i].done, (unsigned long long)counts[i].refused);
		before = ", ";
	}
	printf("}");
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .ring = RING_ANY};
	static struct guest enemy, beside;
	const struct count *rings = NULL, *messages = NULL, *truncations = NULL;
	unsigned nrings = 0, nmessages = 0, ntruncations = 0;
	parse(argc, argv, &o);
	if (o.only)
		check_only(&o);
	fprintf(stderr, "weir-hostile: seed %llu\n", (unsigned long long)o.seed);
	guest_open(&enemy, o.socket, o.connects, 1);
	if (o.beside)
		guest_open(&beside, o.beside, o.connects, 2);
	if (o.rings)
		nrings = run_rings(&o, &enemy, &beside, &rings);
	if (o.messages)
		nmessages = run_messages(&o, &enemy, &messages);
	if (o.truncations)
		ntruncations = run_truncations(&o, &enemy, &beside, &truncations);
	printf("{\"seed\": %llu, \"connections\": %llu", (unsigned long long)o.seed,
		(unsigned long long)enemy.peer.connections);
	print_counts("rings", rings, nrings);
	print_counts("messages", messages, nmessages);
	print_counts("truncations", truncations, ntruncations);
	printf("}\n");
	fflush(stdout);
	if (o.hold)
		while (getchar() != EOF)
			;
	guest_close(&enemy);
	if (o.beside)
		guest_close(&beside);
	return 0;
}

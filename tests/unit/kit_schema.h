// SPDX-License-Identifier: BSD-3-Clause
// What tests of the schema say in one line: what a document means, why it is refused, and what
// differs between two. Documents are named weir.yaml.
#ifndef WEIR_TESTS_UNIT_KIT_SCHEMA_H
#define WEIR_TESTS_UNIT_KIT_SCHEMA_H

#include <sys/types.h>

#include "ctl/schema/schema.h"

struct doc *parse(const char *text);
// The configuration of a document that is right; config_free.
struct config *check(const char *text);
void refuses(const char *text, int code, const char *expected);

struct refusal {
	const char *text;
	const char *expected;
};
void refuses_each(const struct refusal *cases, size_t count, int code);

#define REFUSES(code, ...) \
	do { \
		static const struct refusal cases[] = {__VA_ARGS__}; \
		refuses_each(cases, sizeof(cases) / sizeof(*cases), code); \
	} while (0)

// A port to which lines can be added.
#define PORT "ports:\n  vm1:\n    vhost-user: {socket: vm1.sock}\n"

struct lines {
	char text[2048];
	size_t len;
};

void add_line(struct lines *lines, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// `count` differences, whose lines are `expected`: "path: old > new, effect". As many the other way
// round.
void differ(const char *from, const char *to, ssize_t count, const char *expected);
// `text`, as which `doc` was printed, means the same and is right.
void same_again(const struct doc *doc, const char *text);
// The same, whatever there is the other way round.
void differ_forward(const char *from, const char *to, ssize_t count, const char *expected);

#endif

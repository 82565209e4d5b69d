// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_schema.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

struct doc *parse(const char *text)
{
	struct error err = {0};
	struct doc *doc = doc_parse("weir.yaml", text, strlen(text), &err);
	cr_assert(doc, "%s: %s", text, err.text);
	return doc;
}

struct config *check(const char *text)
{
	struct error err = {0};
	struct config *config = NULL;
	struct doc *doc = parse(text);
	cr_assert(!doc_check(doc, &config, &err), "%s", err.text);
	doc_free(doc);
	return config;
}

void refuses(const char *text, int code, const char *expected)
{
	struct error err = {0};
	struct config *config = NULL;
	struct doc *doc = parse(text);
	cr_expect_eq(doc_check(doc, &config, &err), -code, "%s", text);
	cr_expect_null(config);
	cr_expect_eq(err.code, code, "%s", text);
	cr_expect_str_eq(err.text, expected);
	doc_free(doc);
}

void refuses_each(const struct refusal *cases, size_t count, int code)
{
	for (size_t i = 0; i < count; i++)
		refuses(cases[i].text, code, cases[i].expected);
}

void add_line(struct lines *lines, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	lines->len += vsnprintf(
		lines->text + lines->len, sizeof(lines->text) - lines->len, fmt, args);
	va_end(args);
	cr_assert_lt(lines->len, sizeof(lines->text));
}

static void on_difference(void *ctx, const char *path, const char *old_value, const char *new_value,
	enum schema_effect effect)
{
	add_line(ctx, "%s: %s > %s, %s\n", path, old_value ? old_value : "-",
		new_value ? new_value : "-", schema_effect_name(effect));
}

void differ_forward(const char *from, const char *to, ssize_t count, const char *expected)
{
	struct lines lines = {0};
	struct doc *a = parse(from);
	struct doc *b = parse(to);
	cr_expect_eq(doc_diff(a, b, on_difference, &lines), count);
	cr_expect_str_eq(lines.text, expected);
	doc_free(a);
	doc_free(b);
}

void same_again(const struct doc *doc, const char *text)
{
	struct doc *again = parse(text);
	cr_expect_eq(doc_diff(doc, again, NULL, NULL), 0);
	cr_expect(!doc_check(again, NULL, NULL));
	doc_free(again);
}

void differ(const char *from, const char *to, ssize_t count, const char *expected)
{
	struct doc *a = parse(from);
	struct doc *b = parse(to);
	cr_expect_eq(doc_diff(b, a, NULL, NULL), count);
	doc_free(a);
	doc_free(b);
	differ_forward(from, to, count, expected);
}

// SPDX-License-Identifier: BSD-3-Clause
// What is wrong with a document: the line, the path, what was expected and what stands there.
#include "ctl/schema/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	SHOWN_SIZE = 64
};

size_t check_push(struct check *check, const char *key)
{
	char shown[SHOWN_SIZE];
	size_t mark = check->len;
	size_t left = sizeof(check->path) - check->len;
	size_t n = snprintf(check->path + check->len, left, "%s%s", check->len ? "." : "",
		*key ? text_show(key, shown, sizeof(shown)) : "\"\"");
	if (n < left)
		check->len += n;
	return mark;
}

void check_pop(struct check *check, size_t mark)
{
	check->len = mark;
	check->path[mark] = '\0';
}

int check_fail(struct check *check, const struct node *node, const char *key, int code,
	const char *fmt, ...)
{
	char text[sizeof(check->err->text)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	size_t mark = key ? check_push(check, key) : check->len;
	if (check->len)
		error_set(check->err, code, "%s: %s", check->path, text);
	else
		error_set(check->err, code, "%s", text);
	check_pop(check, mark);
	if (check->file && node->line)
		error_prefix(check->err, "%s:%u: ", check->file, node->line);
	return -code;
}

static const char *found(const struct node *node, char *buf, size_t size)
{
	char shown[SHOWN_SIZE];
	if (node->type == NODE_MAP)
		return "a map";
	if (node->type == NODE_LIST && !node->count)
		return "an empty list";
	if (node->type == NODE_LIST) {
		snprintf(buf, size, "a list of %zu", node->count);
		return buf;
	}
	if (node_is_null(node))
		return "nothing";
	text_show(node->text, shown, sizeof(shown));
	snprintf(buf, size, node->quoted ? "\"%s\"" : "%s", shown);
	return buf;
}

int check_mismatch(struct check *check, const struct node *node, const char *expected)
{
	char buf[SHOWN_SIZE + 2];
	return check_fail(check, node, NULL, EINVAL, "expected %s, found %s", expected,
		found(node, buf, sizeof(buf)));
}

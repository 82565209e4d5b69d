// SPDX-License-Identifier: BSD-3-Clause
#include "vm-images/nf/ids/signatures.h"

#include <errno.h>
#include <hs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct signature {
	char *text, *expression;
	unsigned line, flags;
};

struct signatures {
	struct signature *all; // SIGNATURES_MAX
	size_t count;
	hs_database_t *database;
	hs_scratch_t *scratch;
};

// What is between the slashes of /expression/ or /expression/i, else all of it. NULL: no memory.
static char *expression_of(const char *text, unsigned *flags)
{
	const char *end = strrchr(text, '/');
	bool is_any_case = end && !strcmp(end, "/i");
	if (text[0] != '/' || end == text || (end[1] && !is_any_case))
		return strdup(text);
	if (is_any_case)
		*flags |= HS_FLAG_CASELESS;
	return strndup(text + 1, (size_t)(end - text - 1));
}

static int add(struct signatures *set, const char *text, unsigned line)
{
	struct signature *one = &set->all[set->count++];
	one->line = line;
	one->flags = HS_FLAG_DOTALL | HS_FLAG_MULTILINE | HS_FLAG_SINGLEMATCH;
	one->text = strdup(text);
	one->expression = expression_of(text, &one->flags);
	return one->text && one->expression ? 0 : -ENOMEM;
}

static int read_lines(struct signatures *set, FILE *file, char *why, size_t size)
{
	char text[SIGNATURE_SIZE];
	int error;
	for (unsigned line = 1; fgets(text, sizeof(text), file); line++) {
		size_t length = strcspn(text, "\r\n");
		if (!text[length] && !feof(file)) {
			snprintf(why, size, "line %u is too long, or has a zero byte", line);
			return -E2BIG;
		}
		text[length] = 0;
		if (!text[0] || text[0] == '#')
			continue;
		if (set->count == SIGNATURES_MAX) {
			snprintf(why, size, "line %u: more than %d signatures", line,
				SIGNATURES_MAX);
			return -E2BIG;
		}
		error = add(set, text, line);
		if (error) {
			snprintf(why, size, "line %u: %s", line, strerror(-error));
			return error;
		}
	}
	if (ferror(file)) {
		snprintf(why, size, "it cannot be read");
		return -EIO;
	}
	if (!set->count) {
		snprintf(why, size, "no signature in it");
		return -ENODATA;
	}
	return 0;
}

static int compile(struct signatures *set, char *why, size_t size)
{
	const char *expressions[SIGNATURES_MAX];
	unsigned flags[SIGNATURES_MAX], numbers[SIGNATURES_MAX];
	hs_compile_error_t *error = NULL;
	for (size_t i = 0; i < set->count; i++) {
		expressions[i] = set->all[i].expression;
		flags[i] = set->all[i].flags;
		numbers[i] = (unsigned)i;
	}
	if (hs_compile_multi(expressions, flags, numbers, (unsigned)set->count, HS_MODE_BLOCK, NULL,
		    &set->database, &error) == HS_SUCCESS)
		return hs_alloc_scratch(set->database, &set->scratch) == HS_SUCCESS ? 0 : -ENOMEM;
	// No line is named where it is all of them together that cannot be compiled.
	if (error->expression >= 0)
		snprintf(
			why, size, "line %u: %s", set->all[error->expression].line, error->message);
	else
		snprintf(why, size, "%s", error->message);
	hs_free_compile_error(error);
	return -EINVAL;
}

int signatures_read(const char *path, struct signatures **made, char *why, size_t size)
{
	int error = -ENOMEM;
	snprintf(why, size, "no memory");
	struct signatures *set = calloc(1, sizeof(*set));
	FILE *file;
	if (!set)
		return error;
	set->all = calloc(SIGNATURES_MAX, sizeof(*set->all));
	if (!set->all)
		goto failed;
	file = fopen(path, "re");
	if (!file) {
		error = -errno;
		snprintf(why, size, "%s", strerror(-error));
		goto failed;
	}
	error = read_lines(set, file, why, size);
	fclose(file);
	if (!error)
		error = compile(set, why, size);
	if (error)
		goto failed;
	*made = set;
	return 0;
failed:
	signatures_free(set);
	return error;
}

void signatures_free(struct signatures *set)
{
	for (size_t i = 0; i < set->count; i++) {
		free(set->all[i].text);
		free(set->all[i].expression);
	}
	hs_free_scratch(set->scratch);
	hs_free_database(set->database);
	free(set->all);
	free(set);
}

size_t signatures_count(const struct signatures *set)
{
	return set->count;
}

unsigned signatures_line(const struct signatures *set, size_t number)
{
	return set->all[number].line;
}

const char *signatures_text(const struct signatures *set, size_t number)
{
	return set->all[number].text;
}

static int found(
	unsigned number, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	(void)from;
	(void)to;
	(void)flags;
	*(int *)ctx = (int)number;
	return 1;
}

int signatures_find(struct signatures *set, const uint8_t *data, size_t length)
{
	int number = SIGNATURES_NONE;
	hs_error_t rc = hs_scan(set->database, (const char *)data, (unsigned)length, 0,
		set->scratch, found, &number);
	return rc == HS_SUCCESS || rc == HS_SCAN_TERMINATED ? number : SIGNATURES_FAILED;
}

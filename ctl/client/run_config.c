// SPDX-License-Identifier: BSD-3-Clause
// Commands on the whole configuration.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/client/command.h"
#include "ctl/client/print.h"
#include "ctl/client/run.h"

static const struct column change_columns[] = {
	{"KEY", "path", false},
	{"OLD", "old", false},
	{"NEW", "new", false},
	{"EFFECT", "effect", false},
};
enum {
	CHANGE_COLUMNS = sizeof(change_columns) / sizeof(change_columns[0])
};

// A whole file as params {file, text}; "-" is standard input. NULL after it has said why.
static json_t *read_document(const char *path)
{
	bool standard = !strcmp(path, "-");
	FILE *file = standard ? stdin : fopen(path, "re");
	char *text = NULL;
	size_t size = 0;
	// There is no NUL in YAML, so one "line" up to a NUL is all of it.
	ssize_t len = file ? getdelim(&text, &size, 0, file) : -1;
	json_t *params = NULL;
	if (!file || ferror(file)) {
		fprintf(stderr, "weirctl: cannot read %s: %s\n", path, strerror(errno));
	} else {
		params = json_pack("{s:s, s:s%}", "file", standard ? "stdin" : path, "text",
			len > 0 ? text : "", len > 0 ? (size_t)len : (size_t)0);
		if (!params)
			fprintf(stderr, "weirctl: %s is no UTF-8 text\n", path);
	}
	if (file && !standard)
		fclose(file);
	free(text);
	return params;
}

void run_print_restart(const json_t *result)
{
	size_t i;
	json_t *path;
	json_array_foreach (json_object_get(result, "restart"), i, path)
		printf("takes effect when weir-switchd is started again: %s\n",
			json_string_value(path));
}

int run_apply(struct call *call)
{
	bool dry_run = command_option(call, "--dry-run") != NULL;
	json_t *result, *params = read_document(call->args[0]);
	if (!params)
		return EXIT_REFUSED;
	json_object_set_new(params, "dry_run", json_boolean(dry_run));
	int status = link_call(&call->link, "config.apply", params, &result);
	if (status)
		return status;
	const json_t *changes = json_object_get(result, "changes");
	size_t count = json_array_size(changes);
	if (count)
		print_table(change_columns, CHANGE_COLUMNS, changes, true);
	printf("%s: %zu change%s%s\n", dry_run ? "valid" : "applied", count, count == 1 ? "" : "s",
		dry_run ? "; nothing was changed" : "");
	run_print_restart(result);
	json_decref(result);
	return EXIT_DONE;
}

int run_diff(struct call *call)
{
	json_t *result, *params = read_document(call->args[0]);
	if (!params)
		return EXIT_REFUSED;
	int status = link_call(&call->link, "config.diff", params, &result);
	if (status)
		return status;
	const json_t *changes = json_object_get(result, "items");
	if (call->format == FORMAT_JSON)
		print_json(changes);
	else if (json_array_size(changes))
		print_table(change_columns, CHANGE_COLUMNS, changes, true);
	else
		puts("no differences");
	json_decref(result);
	return EXIT_DONE;
}

int run_export(struct call *call)
{
	json_t *result;
	bool defaults = command_option(call, "--defaults") != NULL;
	int status = link_call(&call->link, "config.export",
		json_pack("{s:b}", "defaults", (int)defaults), &result);
	if (status)
		return status;
	if (call->format == FORMAT_JSON)
		print_json(result);
	else
		fputs(json_string_value(json_object_get(result, "text")), stdout);
	json_decref(result);
	return EXIT_DONE;
}

int run_save(struct call *call)
{
	json_t *result;
	int status = link_call(&call->link, "config.save", NULL, &result);
	if (!status)
		printf("saved to %s\n", json_string_value(json_object_get(result, "file")));
	json_decref(result);
	return status;
}

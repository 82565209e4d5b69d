// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/running.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/rpc/rpc.h"

void running_free(struct running *running)
{
	free(running->file);
	doc_free(running->doc);
	doc_free(running->saved);
	doc_free(running->started);
	*running = (struct running){0};
}

int running_init(
	struct running *running, struct weir_switch *sw, const char *file, const struct doc *doc)
{
	*running = (struct running){
		.sw = sw,
		.file = strdup(file),
		.doc = doc_copy(doc),
		.saved = doc_copy(doc),
		.started = doc_copy(doc),
	};
	if (running->file && running->doc && running->saved && running->started)
		return 0;
	running_free(running);
	return -ENOMEM;
}

int running_replace(struct running *running, struct doc *next, bool dry_run, struct error *err)
{
	struct config *config = NULL;
	int rc = doc_check(next, &config, err);
	if (!rc)
		rc = (dry_run ? switch_check : switch_apply)(running->sw, config, err);
	config_free(config);
	if (rc || dry_run) {
		doc_free(next);
		return rc;
	}
	doc_free(running->doc);
	running->doc = next;
	running->unsaved = !doc_equal(running->doc, running->saved);
	return 0;
}

static json_t *value_json(const char *value)
{
	return value ? rpc_string(value) : json_null();
}

static void add_change(void *ctx, const char *path, const char *old_value, const char *new_value,
	enum schema_effect effect)
{
	json_array_append_new(
		ctx, json_pack("{s:o, s:o, s:o, s:s}", "path", rpc_string(path), "old",
			     value_json(old_value), "new", value_json(new_value), "effect",
			     schema_effect_name(effect)));
}

json_t *running_changes(const struct doc *from, const struct doc *to)
{
	json_t *changes = json_array();
	doc_diff(from, to, add_change, changes);
	return changes;
}

static void add_restart(void *ctx, const char *path, const char *old_value, const char *new_value,
	enum schema_effect effect)
{
	(void)old_value;
	(void)new_value;
	if (effect == EFFECT_RESTART)
		json_array_append_new(ctx, rpc_string(path));
}

json_t *running_restart_paths(const struct running *running)
{
	json_t *paths = json_array();
	doc_diff(running->started, running->doc, add_restart, paths);
	return paths;
}

static int write_all(int fd, const char *text)
{
	for (size_t len = strlen(text); len;) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

// A new file is readable by all; one that was there keeps what it had.
static int keep_mode(int fd, const char *path)
{
	struct stat st = {.st_mode = 0644};
	if (stat(path, &st) < 0)
		return errno == ENOENT && fchmod(fd, 0644) == 0 ? 0 : -errno;
	// An unprivileged switch cannot give a file away: whoever lets it replace the file in its
	// folder lets it own the new one, too.
	if (fchown(fd, st.st_uid, st.st_gid) < 0 && fchown(fd, (uid_t)-1, st.st_gid) < 0 &&
		errno != EPERM)
		return -errno;
	return fchmod(fd, st.st_mode & 07777) < 0 ? -errno : 0;
}

// So that the new name is on the disk, too.
static void sync_folder(const char *path)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static int replace_file(const char *path, const char *text)
{
	char temp[PATH_MAX];
	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	int fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = write_all(fd, text);
	if (!rc)
		rc = keep_mode(fd, path);
	close(fd);
	if (!rc && rename(temp, path) < 0)
		rc = -errno;
	if (rc)
		unlink(temp);
	else
		sync_folder(path);
	return rc;
}

int running_save(struct running *running, struct error *err)
{
	struct doc *saved = doc_copy(running->doc);
	char *text = doc_print(running->doc, false);
	// A file that is a link stays one: what it points to is replaced.
	char *real = realpath(running->file, NULL);
	int rc = saved && text ? replace_file(real ? real : running->file, text) : -ENOMEM;
	free(real);
	free(text);
	if (rc) {
		doc_free(saved);
		// Not ENOENT as such: to a client that would mean an unknown object.
		return error_set(err, rc == -ENOENT ? EIO : -rc, "cannot write %s: %s",
			running->file, strerror(-rc));
	}
	doc_free(running->saved);
	running->saved = saved;
	running->unsaved = false;
	return 0;
}

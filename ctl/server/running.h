// SPDX-License-Identifier: BSD-3-Clause
// The running document: what the switch does now, what its file says, and what it was started with.
// Each change is a copy that is edited, checked, applied and only then put in place. Main thread.
#ifndef WEIR_CTL_SERVER_RUNNING_H
#define WEIR_CTL_SERVER_RUNNING_H

#include <jansson.h>

#include "ctl/schema/schema.h"
#include "switch/switch.h"

struct running {
	struct weir_switch *sw;
	char *file;          // what save writes
	struct doc *doc;     // what runs
	struct doc *saved;   // as the file was last read or written
	struct doc *started; // restart-only keys act as they stand here
	bool unsaved;
};

int running_init(
	struct running *running, struct weir_switch *sw, const char *file, const struct doc *doc);
void running_free(struct running *running);

// Applies `next`, which it takes over, or only checks it. All or nothing: 0, or -errno with a
// sentence that names file, line and key where it can.
int running_replace(struct running *running, struct doc *next, bool dry_run, struct error *err);

// Writes the running document to its file: to a new one beside it, which then takes its place, with
// the mode and owner of the old. 0, or -errno with a sentence.
int running_save(struct running *running, struct error *err);

// The differences as [{path, old, new, effect}].
json_t *running_changes(const struct doc *from, const struct doc *to);
// The paths that wait for a restart of weir-switchd.
json_t *running_restart_paths(const struct running *running);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Where a walk over a document stands, and what it says of what it finds there. Internal to
// ctl/schema; most finish functions need no more of it than check_fail (key.h).
#ifndef WEIR_CTL_SCHEMA_CHECK_H
#define WEIR_CTL_SCHEMA_CHECK_H

#include "ctl/schema/key.h"

struct check {
	const char *file;
	struct error *err;
	char path[200]; // dotted, of the map or value at hand; cut if somebody writes a very long
			// key
	size_t len;
};

// Goes one key down; the return value leads back.
size_t check_push(struct check *check, const char *key);
void check_pop(struct check *check, size_t mark);
// "expected …, found …" of the node at the current path. -EINVAL.
int check_mismatch(struct check *check, const struct node *node, const char *expected);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// An error has two halves: a code for machines and a sentence for people that names the object at
// fault. Actions return 0 or -errno and fill an `struct error` when the caller gave one.
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include <stdarg.h>

struct error {
	int code;       // a positive errno value; 0: no error
	char text[512]; // one sentence without a full stop; never empty when code is set
};

// Fills *err (which may be NULL) and returns -code, so that callers write
// `return error_set(err, EINVAL, "port %s: …", name);`. Any thread; err belongs to the caller.
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Puts a prefix before the text of an error that a callee has set. Any thread.
void error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

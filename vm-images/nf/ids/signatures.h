// SPDX-License-Identifier: BSD-3-Clause
// Signatures and the search for them. A set is used by one thread.
#ifndef WEIR_NF_IDS_SIGNATURES_H
#define WEIR_NF_IDS_SIGNATURES_H

#include <stddef.h>
#include <stdint.h>

enum {
	SIGNATURES_MAX = 1024,
	SIGNATURE_SIZE = 1024, // of a line with its newline and the 0
	SIGNATURES_NONE = -1,
	SIGNATURES_FAILED = -2
};

struct signatures;

// Reads a file of signatures: one a line, a regular expression as Hyperscan takes it (PCRE's
// syntax), where
// `.` is any byte; `/expression/i` ignores case. Empty lines and those that begin with # are
// skipped. 0 or -errno; then `why`, of `size` bytes, says what is wrong with which line. -EINVAL: a
// line that does not compile, -E2BIG: a line too long or too many, -ENODATA: no signature in it.
// signatures_free() when done.
int signatures_read(const char *path, struct signatures **set, char *why, size_t size);
void signatures_free(struct signatures *set);

// How many there are; they are numbered from 0, in the order of the file.
size_t signatures_count(const struct signatures *set);
// The line of the file that has it, from 1, and what it says. Lives as long as the set.
unsigned signatures_line(const struct signatures *set, size_t number);
const char *signatures_text(const struct signatures *set, size_t number);

// The number of a signature that is in the data, or SIGNATURES_NONE; SIGNATURES_FAILED: nobody
// knows. Looks no further than the first found.
int signatures_find(struct signatures *set, const uint8_t *data, size_t length);

#endif

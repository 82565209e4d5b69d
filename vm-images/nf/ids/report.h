// SPDX-License-Identifier: BSD-3-Clause
// What has passed and what was stopped, told to whoever connects to a Unix socket.
#ifndef WEIR_NF_IDS_REPORT_H
#define WEIR_NF_IDS_REPORT_H

#include <stdint.h>

#include "vm-images/nf/ids/nsh.h"
#include "vm-images/nf/ids/signatures.h"

struct counts {
	uint64_t passed[2], bytes[2]; // by the card where it came in
	uint64_t lost;                // too long, or the other card's queue was full
	uint64_t nsh[NSH_KINDS];      // of all that came
	uint64_t dropped[SIGNATURES_MAX];
};

// A descriptor that poll() can wait for, or -errno. A file of that name is replaced.
int report_listen(const char *path);
// Answers one that waits: a line "NAME COUNT" each, then "dropped COUNT nsh-KIND" of each kind of
// NSH that is not sound, and "dropped COUNT line LINE: TEXT" of each signature that was found.
void report_answer(int fd, const struct counts *counts, const struct signatures *set);
// Prints what the one that listens there says. 0 or -errno.
int report_show(const char *path);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Plain text as a manual page's source.
#ifndef WEIR_CTL_SCHEMA_ROFF_H
#define WEIR_CTL_SCHEMA_ROFF_H

#include <stdio.h>

// Writes a text of one line in such a way that roff prints it as it stands; what is between
// backticks becomes bold.
void roff_write(FILE *out, const char *text);

#endif

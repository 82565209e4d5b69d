// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/schema/roff.h"

#include <stdbool.h>

void roff_write(FILE *out, const char *text)
{
	bool bold = false;
	// A point or an apostrophe at a line's start would be a request.
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '`') {
			bold = !bold;
			fputs(bold ? "\\fB" : "\\fR", out);
		} else if (*text == '\\') {
			fputs("\\e", out);
		} else if (*text == '-') {
			fputs("\\-", out);
		} else {
			fputc(*text, out);
		}
	}
}

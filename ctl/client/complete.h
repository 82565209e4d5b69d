// SPDX-License-Identifier: BSD-3-Clause
// What may stand at the end of an unfinished command line: from the grammar, from the schema's
// table of keys and, for names, from the running switch. Says nothing about what is wrong, and
// waits for a switch a quarter of a second at most.
#ifndef WEIR_CTL_CLIENT_COMPLETE_H
#define WEIR_CTL_CLIENT_COMPLETE_H

#include "ctl/client/command.h"

enum complete_kind {
	COMPLETE_WORDS,
	COMPLETE_FILE // the name of a file is due
};

// Called for each word that may stand there: whole, with what is typed at its start. One that ends
// with "=" is to be gone on with.
typedef void complete_fn(void *ctx, const char *word);

// Calls back for each name of a kind (WORD_PORT, WORD_BRIDGE, WORD_STATE, WORD_GROUP) that the
// switch at `socket` (NULL: search) knows; for none where no switch answers.
typedef void complete_names_fn(const char *socket, enum word word, complete_fn *fn, void *ctx);

// `line` is what stands before the cursor, quoted as in a shell, without the program's name.
// `socket` is for lines that name none.
enum complete_kind complete_line(const char *line, const char *socket, complete_fn *fn, void *ctx);

// The same of words, the last of which is the unfinished one, and with names from elsewhere.
enum complete_kind complete_words(int argc, const char *const *argv, const char *socket,
	complete_names_fn *names, complete_fn *fn, void *ctx);

// names.c: the names of a running switch.
void complete_names(const char *socket, enum word word, complete_fn *fn, void *ctx);

#endif

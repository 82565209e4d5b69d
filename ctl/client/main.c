// SPDX-License-Identifier: BSD-3-Clause
// weirctl: manages a running weir-switchd over its control socket.
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/client/command.h"
#include "ctl/client/complete.h"

static void print_word(void *ctx, const char *word)
{
	(void)ctx;
	puts(word);
}

// What a shell's completion asks: `weirctl complete LINE`, the line up to the cursor without the
// program's name. Prints words, or a colon where a file's name is due. Not a command of the table,
// since nobody is to type it.
static int complete(const char *line)
{
	if (complete_line(line, NULL, print_word, NULL) == COMPLETE_FILE)
		puts(":");
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	if (argc == 3 && !strcmp(argv[1], "complete"))
		return complete(argv[2]);
	return command_run(argc - 1, argv + 1, NULL, isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
}

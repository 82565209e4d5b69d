// SPDX-License-Identifier: BSD-3-Clause
// The interactive prompt: the same commands with editing, history and completion by Tab.
#ifndef WEIR_CTL_CLIENT_PROMPT_H
#define WEIR_CTL_CLIENT_PROMPT_H

// Reads command lines from the terminal until Ctrl-D or `exit`; what fails says so and ends only
// its own line. Ctrl-C ends the command that runs, or empties the line. `socket` is for lines that
// name none; NULL: search. An exit status.
int prompt_run(const char *socket);

#endif

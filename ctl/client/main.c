// SPDX-License-Identifier: BSD-3-Clause
// weirctl: manages a running weir-switchd over its control socket.
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl/client/command.h"

int run_help(struct call *call)
{
	const char *noun = call->args[0];
	for (size_t i = 0; noun && i < command_count; i++)
		if (!strcmp(noun, commands[i].noun))
			goto known;
	if (noun)
		return command_usage(call, "there is no command '%s'", noun);
known:
	call->command = NULL;
	command_help(call, noun);
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct call call = {.link.fd = -1};
	setlocale(LC_ALL, "");
	int status = command_parse(&call, argc - 1, argv + 1);
	if (status || call.help)
		return status;
	if (call.command->run != run_help)
		status = link_open(&call.link, call.socket);
	if (!status)
		status = call.command->run(&call);
	link_close(&call.link);
	// A full disk or a closed pipe is a failure of what was asked for, too.
	if (fflush(stdout) && !status)
		status = EXIT_REFUSED;
	return status;
}

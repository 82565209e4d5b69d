// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <string.h>

#include "ctl/client/command.h"
#include "ctl/client/prompt.h"

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

int command_run(int argc, char **argv, const char *socket, bool terminal)
{
	struct call call = {.link.fd = -1, .socket = socket, .may_prompt = terminal};
	int status = command_parse(&call, argc, argv);
	if (status || call.help)
		return status;
	if (!call.command)
		return prompt_run(call.socket);
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

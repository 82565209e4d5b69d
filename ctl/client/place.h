// SPDX-License-Identifier: BSD-3-Clause
// Where an unfinished command line has got to: what its words so far say of the next one. Words
// that the parser would refuse are passed over.
#ifndef WEIR_CTL_CLIENT_PLACE_H
#define WEIR_CTL_CLIENT_PLACE_H

#include "ctl/client/command.h"

struct place {
	const struct command *command;
	const char *noun;                 // given; without a command its verb is due
	unsigned position;                // of the argument that is due
	const struct option_spec *option; // whose value is due
	bool words_only;                  // behind "--"
	const char *socket;
	int argc;
	const char *const *argv;
};

// Goes on over one word, which must stay as long as the place is used.
void place_take(struct place *place, const char *word);

#endif

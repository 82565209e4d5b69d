// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/place.h"

#include <string.h>

static void take_noun(struct place *place, const char *word)
{
	place->noun = word;
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].noun, word) && !commands[i].verb)
			place->command = &commands[i];
}

static void take_verb(struct place *place, const char *word)
{
	for (size_t i = 0; i < command_count; i++)
		if (commands[i].verb && !strcmp(commands[i].noun, place->noun) &&
			!strcmp(commands[i].verb, word))
			place->command = &commands[i];
}

static void take_value(struct place *place, const struct option_spec *option, const char *value)
{
	if (option == &global_options[GLOBAL_SOCKET])
		place->socket = value;
}

void place_take(struct place *place, const char *word)
{
	unsigned index;
	bool global;
	const char *value;
	if (place->option) {
		take_value(place, place->option, word);
		place->option = NULL;
	} else if (word[0] == '-' && word[1] && !place->words_only) {
		place->words_only = !strcmp(word, "--");
		const struct option_spec *o = command_find_option(
			place->command, word, &index, &global, &value);
		if (o && value)
			take_value(place, o, value);
		else if (o && o->value)
			place->option = o;
	} else if (!place->noun) {
		take_noun(place, word);
	} else if (!place->command) {
		take_verb(place, word);
	} else {
		place->position++;
	}
}

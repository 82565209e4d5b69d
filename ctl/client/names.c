// SPDX-License-Identifier: BSD-3-Clause
// Names for completion, from the running switch: nobody waits long for them, and that there is no
// switch is nothing to say.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ctl/client/complete.h"

enum {
	PATIENCE_MS = 250
};

// "waiting for the VMM" as a shell's word, which `port wait` takes for the same.
static void as_word(const char *state, char *word, size_t size)
{
	size_t i = 0;
	for (; state[i] && i + 1 < size; i++)
		word[i] = (char)(state[i] == ' ' ? '-' : tolower((unsigned char)state[i]));
	word[i] = 0;
}

static void tell_states(const struct link *link, complete_fn *fn, void *ctx)
{
	size_t i;
	json_t *state;
	json_array_foreach (json_object_get(link->hello, "states"), i, state) {
		char word[64];
		const char *text = json_string_value(state);
		if (!text)
			continue;
		as_word(text, word, sizeof(word));
		fn(ctx, word);
	}
}

void complete_names(const char *socket, enum word word, complete_fn *fn, void *ctx)
{
	struct link link;
	json_t *items = NULL, *item;
	size_t i;
	int status = link_open_quietly(&link, socket, PATIENCE_MS);
	if (!status && word == WORD_STATE)
		tell_states(&link, fn, ctx);
	else if (!status)
		link_list(&link,
			word == WORD_PORT    ? "port.list"
			: word == WORD_GROUP ? "group.list"
			: word == WORD_CHAIN ? "chain.list"
			: word == WORD_RATE  ? "rate.list"
					     : "bridge.list",
			json_object(), &items);
	const char *last = "";
	json_array_foreach (items, i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));
		// A port's two rates are neighbours.
		if (!name || !strcmp(name, last))
			continue;
		fn(ctx, name);
		last = name;
	}
	json_decref(items);
	link_close(&link);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/complete.h"

#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ctl/client/place.h"
#include "ctl/schema/schema.h"

enum {
	PATH_SIZE = 160
};

struct offer {
	const struct place *place;
	const char *typed; // what a word must begin with
	const char *head;  // what goes before it: "--port="
	complete_names_fn *names;
	complete_fn *fn;
	void *ctx;
};

static void offer(void *ctx, const char *word)
{
	const struct offer *o = ctx;
	if (strncmp(word, o->typed, strlen(o->typed)))
		return;
	char whole[2 * PATH_SIZE];
	snprintf(whole, sizeof(whole), "%s%s", o->head, word);
	o->fn(o->ctx, whole);
}

// -- keys of the schema

static bool is_given(const struct place *place, const char *key)
{
	size_t len = strlen(key);
	for (int i = 0; i + 1 < place->argc; i++)
		if (!strncmp(place->argv[i], key, len) && place->argv[i][len] == '=')
			return true;
	return false;
}

struct keys {
	struct offer *offer;
	const char *below; // dotted, of the map that is walked
	unsigned count;    // of keys found in it
};

static void on_key(void *ctx, const char *key, const char *type, const char *fallback,
	const char *about, enum schema_effect effect, bool supported)
{
	(void)type;
	(void)fallback;
	(void)about;
	(void)effect;
	struct keys *keys = ctx;
	keys->count++;
	if (!supported)
		return;
	char path[PATH_SIZE], word[PATH_SIZE + 1];
	snprintf(path, sizeof(path), "%s.%s", keys->below, key);
	struct keys inner = {.offer = keys->offer, .below = path};
	schema_keys(path, on_key, &inner);
	const char *name = path + strlen("ports.*.");
	if (inner.count || is_given(keys->offer->place, name))
		return;
	snprintf(word, sizeof(word), "%s=", name);
	offer(keys->offer, word);
}

static void offer_keys(struct offer *o)
{
	const char *equals = strchr(o->typed, '=');
	if (!equals) {
		struct keys keys = {.offer = o, .below = "ports.*"};
		schema_keys(keys.below, on_key, &keys);
		return;
	}
	char path[PATH_SIZE], head[PATH_SIZE];
	int len = (int)(equals - o->typed);
	snprintf(head, sizeof(head), "%.*s=", len, o->typed);
	snprintf(path, sizeof(path), "ports.*.%.*s", len, o->typed);
	struct offer value = *o;
	value.typed = equals + 1;
	value.head = head;
	schema_words(path, offer, &value);
	if (!strcmp(path, "ports.*.bridge"))
		o->names(o->place->socket, WORD_BRIDGE, offer, &value);
	else if (!strcmp(path, "ports.*.groups"))
		o->names(o->place->socket, WORD_GROUP, offer, &value);
}

// -- what may stand in the last one's place

static void offer_nouns(struct offer *o)
{
	for (size_t i = 0; i < command_count; i++)
		if (!i || strcmp(commands[i].noun, commands[i - 1].noun))
			offer(o, commands[i].noun);
}

static void offer_verbs(struct offer *o)
{
	for (size_t i = 0; i < command_count; i++)
		if (commands[i].verb && !strcmp(commands[i].noun, o->place->noun))
			offer(o, commands[i].verb);
}

static void offer_options(struct offer *o)
{
	const struct command *command = o->place->command;
	for (unsigned i = 0; command && command->options[i].name; i++)
		offer(o, command->options[i].name);
	for (unsigned i = 0; i < GLOBALS; i++)
		if (i != GLOBAL_OUTPUT || !command || command->reads)
			offer(o, global_options[i].name);
}

static void offer_log_names(struct offer *o, enum word word)
{
	if (word == WORD_SUBSYSTEM) {
		for (unsigned i = 0; i < LOG_SUBSYSTEM_COUNT; i++)
			offer(o, log_subsystem_name(i));
		offer(o, "all");
		return;
	}
	for (unsigned i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
		offer(o, log_level_name(i));
}

// States of connections are keys of the schema: each has a time-out.
static void on_timeout(void *ctx, const char *key, const char *type, const char *fallback,
	const char *about, enum schema_effect effect, bool supported)
{
	(void)type;
	(void)fallback;
	(void)about;
	(void)effect;
	if (supported)
		offer(ctx, key);
}

static void offer_protocols(struct offer *o)
{
	static const char *const names[] = {"tcp", "udp", "icmp", "icmpv6", "sctp"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		offer(o, names[i]);
}

static enum complete_kind offer_kind(struct offer *o, enum word word)
{
	switch (word) {
	case WORD_PORT:
	case WORD_BRIDGE:
	case WORD_STATE:
	case WORD_GROUP:
	case WORD_CHAIN:
	case WORD_RATE:
		o->names(o->place->socket, word, offer, o);
		break;
	case WORD_CONN_STATE:
		schema_keys("switch.timeouts", on_timeout, o);
		break;
	case WORD_PROTOCOL:
		offer_protocols(o);
		break;
	case WORD_KEY:
		offer_keys(o);
		break;
	case WORD_FILE:
		return COMPLETE_FILE;
	case WORD_SUBSYSTEM:
	case WORD_LEVEL:
		offer_log_names(o, word);
		break;
	case WORD_NOUN:
		offer_nouns(o);
		break;
	case WORD_FORMAT:
		offer(o, "table");
		offer(o, "json");
		break;
	case WORD_ANY:
		break;
	}
	return COMPLETE_WORDS;
}

static enum complete_kind offer_argument(struct offer *o)
{
	const struct argument *args = o->place->command->args;
	unsigned at = 0;
	while (args[at].name && at < o->place->position && !args[at].rest)
		at++;
	return args[at].name ? offer_kind(o, args[at].word) : COMPLETE_WORDS;
}

// "--port=vm": the value of an option in one word with its name.
static enum complete_kind offer_joined(struct offer *o, const char *equals)
{
	unsigned index;
	bool global;
	const char *value;
	char head[PATH_SIZE];
	const struct option_spec *option = command_find_option(
		o->place->command, o->typed, &index, &global, &value);
	if (!option || !option->value)
		return COMPLETE_WORDS;
	snprintf(head, sizeof(head), "%.*s=", (int)(equals - o->typed), o->typed);
	o->typed = equals + 1;
	o->head = head;
	return offer_kind(o, option->word);
}

enum complete_kind complete_words(int argc, const char *const *argv, const char *socket,
	complete_names_fn *names, complete_fn *fn, void *ctx)
{
	struct place place = {.socket = socket, .argc = argc, .argv = argv};
	for (int i = 0; i + 1 < argc; i++)
		place_take(&place, argv[i]);
	struct offer o = {.place = &place,
		.typed = argc ? argv[argc - 1] : "",
		.head = "",
		.names = names,
		.fn = fn,
		.ctx = ctx};
	const char *equals = strchr(o.typed, '=');
	if (place.option)
		return offer_kind(&o, place.option->word);
	if (o.typed[0] == '-' && !place.words_only) {
		if (equals)
			return offer_joined(&o, equals);
		offer_options(&o);
	} else if (place.command) {
		return offer_argument(&o);
	} else if (place.noun) {
		offer_verbs(&o);
	} else {
		offer_nouns(&o);
	}
	return COMPLETE_WORDS;
}

enum complete_kind complete_line(const char *line, const char *socket, complete_fn *fn, void *ctx)
{
	Tokenizer *tokenizer = tok_init(NULL);
	const char *end = line + strlen(line);
	LineInfo info = {line, end, end};
	int argc, word, offset;
	const char **argv;
	enum complete_kind kind = COMPLETE_WORDS;
	// An open quote is nothing that a word of Weir needs: nothing is offered inside.
	if (tokenizer && tok_line(tokenizer, &info, &argc, &argv, &word, &offset) == 0) {
		const char **words = calloc((size_t)argc + 1, sizeof(*words));
		for (int i = 0; words && i < argc; i++)
			words[i] = argv[i];
		// Behind a blank a new word begins, of which nothing is there yet.
		if (words && word == argc)
			words[argc++] = "";
		if (words)
			kind = complete_words(argc, words, socket, complete_names, fn, ctx);
		free(words);
	}
	if (tokenizer)
		tok_end(tokenizer);
	return kind;
}

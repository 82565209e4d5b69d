// SPDX-License-Identifier: BSD-3-Clause
// What a command says.
#include <string.h>

#include "bench/load/control.h"
#include "bench/load/flows.h"

static bool only_known(const json_t *json, const char *const known[], size_t count)
{
	// Iterators of jansson take what they may change.
	for (void *at = json_object_iter((json_t *)(uintptr_t)json); at;
		at = json_object_iter_next((json_t *)(uintptr_t)json, at)) {
		bool found = false;
		for (size_t i = 0; i < count; i++)
			found |= !strcmp(json_object_iter_key(at), known[i]);
		if (!found)
			return false;
	}
	return true;
}

// NULL, or what is wrong with it.
static const char *read_frame(const json_t *value, struct load_plan *plan)
{
	const char *name = json_string_value(value);
	json_int_t bytes = json_integer_value(value);
	plan->frame = 64;
	if (!value)
		return NULL;
	if (name && !strcmp(name, "imix"))
		plan->frame = 0;
	else if (name && !strcmp(name, "tso"))
		plan->frame = FRAME_TSO;
	else if (bytes >= FRAME_HEAD && bytes <= FRAME_LONGEST)
		plan->frame = (uint32_t)bytes;
	else
		return "frame: 64 to 9014 bytes, \"imix\" or \"tso\"";
	return NULL;
}

// A whole number from 1 to max; absent is `fallback`.
static bool read_count(const json_t *value, uint32_t fallback, uint32_t max, uint32_t *count)
{
	*count = fallback;
	if (!value)
		return true;
	json_int_t n = json_integer_value(value);
	*count = (uint32_t)n;
	return json_is_integer(value) && n >= 1 && n <= max;
}

// One of two words; absent is the first.
static bool read_choice(const json_t *value, const char *first, const char *second, bool *is_second)
{
	const char *word = value ? json_string_value(value) : first;
	*is_second = word && !strcmp(word, second);
	return word && (*is_second || !strcmp(word, first));
}

static const char *read_plan(const json_t *line, struct load_plan *plan)
{
	const json_t *rate = json_object_get(line, "rate");
	plan->rate = rate ? json_number_value(rate) : 0;
	if (rate && (!json_is_number(rate) || plan->rate < 0))
		return "rate: a number per second";
	if (!read_count(json_object_get(line, "directions"), 1, 2, &plan->directions))
		return "directions: 1 or 2";
	if (!read_count(json_object_get(line, "flows"), 1, FLOWS_MAX, &plan->flows))
		return "flows: 1 to 1048576";
	if (!read_count(json_object_get(line, "macs"), 1, plan->flows, &plan->macs))
		return "macs: 1 to the number of flows";
	if (!read_count(
		    json_object_get(line, "conversations"), 1000, FLOWS_MAX, &plan->conversations))
		return "conversations: 1 to 1048576";
	const json_t *visits = json_object_get(line, "visits");
	plan->visits = json_is_true(visits);
	if (visits && !json_is_boolean(visits))
		return "visits: true or false";
	if (!read_choice(json_object_get(line, "proto"), "udp", "tcp", &plan->tcp))
		return "proto: \"udp\" or \"tcp\"";
	if (!read_choice(json_object_get(line, "order"), "round-robin", "zipf", &plan->zipf))
		return "order: \"round-robin\" or \"zipf\"";
	const char *wrong = read_frame(json_object_get(line, "frame"), plan);
	if (plan->frame == FRAME_TSO)
		plan->tcp = true;
	return wrong;
}

// --- streams -------------------------------------------------------------------------------------

// From least to max; absent is `fallback`.
static bool read_number(
	const json_t *value, uint32_t fallback, uint32_t least, uint32_t max, uint32_t *number)
{
	*number = fallback;
	if (!value)
		return true;
	json_int_t n = json_integer_value(value);
	*number = (uint32_t)n;
	return json_is_integer(value) && n >= least && n <= max;
}

static const char *read_stream(const json_t *json, struct stream_plan *stream)
{
	static const char *const known[] = {
		"from", "to", "frame", "rate", "flows", "tos", "window"};
	struct load_plan frame;
	uint32_t from, to, tos, flows, last = load_ports.count - 1;
	const json_t *rate = json_object_get(json, "rate");
	if (!json_is_object(json) || !only_known(json, known, sizeof(known) / sizeof(known[0])))
		return "streams: objects of from, to, frame, rate, flows, tos and window";
	if (!read_number(json_object_get(json, "from"), 0, 0, last, &from) ||
		!read_number(json_object_get(json, "to"), 1, 0, last, &to))
		return "from, to: numbers of ports";
	const char *wrong = read_frame(json_object_get(json, "frame"), &frame);
	if (wrong || (frame.frame > SMALL_MAX && frame.frame != FRAME_TSO))
		return "frame: 64 to 2048 bytes, \"imix\" or \"tso\"";
	if (rate && (!json_is_number(rate) || json_number_value(rate) < 0))
		return "rate: a number per second";
	if (!read_number(json_object_get(json, "tos"), 0, 0, UINT8_MAX, &tos) ||
		!read_number(json_object_get(json, "flows"), 1, 1, STREAM_FLOWS, &flows) ||
		!read_number(json_object_get(json, "window"), load_window(frame.frame), 0,
			UINT16_MAX, &stream->window))
		return "tos: 0 to 255; flows: 1 to 256; window: 0 (none) to 65535";
	stream->others = !json_object_get(json, "from");
	stream->from = (uint8_t)from;
	stream->to = (uint8_t)to;
	stream->tos = (uint8_t)tos;
	stream->flows = (uint16_t)flows;
	stream->frame = frame.frame;
	stream->rate = json_number_value(rate);
	return NULL;
}

static const char *read_streams(const json_t *line, struct load_plan *plan)
{
	struct streams_plan *streams = &plan->streams;
	const json_t *list = json_object_get(line, "streams");
	plan->macs = 1;
	if (!json_array_size(list) || json_array_size(list) > STREAMS_MAX)
		return "streams: a list of 1 to 128";
	if (!read_number(
		    json_object_get(line, "bucket_us"), 1000, 10, 1000000, &streams->bucket_us) ||
		!read_number(json_object_get(line, "buckets"), 10000, 1, ARRIVALS_MAX,
			&streams->buckets))
		return "bucket_us: 10 to 1000000; buckets: 1 to 1048576";
	streams->count = (unsigned)json_array_size(list);
	for (unsigned i = 0; i < streams->count; i++) {
		const char *wrong = read_stream(json_array_get(list, i), &streams->streams[i]);
		if (wrong)
			return wrong;
	}
	return NULL;
}

// --- a command -----------------------------------------------------------------------------------

const char *command_read(const json_t *line, struct command *command)
{
	static const char *const known[] = {"do", "frame", "directions", "flows", "macs", "proto",
		"order", "rate", "conversations", "visits", "streams", "bucket_us", "buckets"};
	const char *verb = json_string_value(json_object_get(line, "do"));
	*command = (struct command){0};
	if (!verb)
		return "a JSON object with \"do\" is expected";
	if (!only_known(line, known, sizeof(known) / sizeof(known[0])))
		return "a key that is not known";
	if (!strcmp(verb, "mark"))
		command->kind = COMMAND_MARK;
	else if (!strcmp(verb, "stop"))
		command->kind = COMMAND_STOP;
	else if (!strcmp(verb, "visits"))
		command->kind = COMMAND_VISITS;
	else if (!strcmp(verb, "talk"))
		command->plan.kind = TRAFFIC_TALK;
	else if (!strcmp(verb, "streams"))
		command->plan.kind = TRAFFIC_STREAMS;
	else if (strcmp(verb, "start"))
		return "do: start, talk, streams, mark, visits or stop";
	if (command->plan.kind == TRAFFIC_STREAMS)
		return read_streams(line, &command->plan);
	return read_plan(line, &command->plan);
}

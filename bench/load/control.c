// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/control.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/flows.h"

enum {
	STATE_FREE,
	STATE_ASKED
};

static struct {
	_Atomic int state;
	sem_t answered;
	struct command command;
} control;

struct command *control_poll(void)
{
	bool asked = atomic_load_explicit(&control.state, memory_order_acquire) == STATE_ASKED;
	return asked ? &control.command : NULL;
}

void control_answer(void)
{
	atomic_store_explicit(&control.state, STATE_FREE, memory_order_release);
	sem_post(&control.answered);
}

// --- reading -------------------------------------------------------------------------------------

// NULL, or what is wrong with it.
static const char *read_frame(json_t *value, struct load_plan *plan)
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
static bool read_count(json_t *value, uint32_t fallback, uint32_t max, uint32_t *count)
{
	*count = fallback;
	if (!value)
		return true;
	json_int_t n = json_integer_value(value);
	*count = (uint32_t)n;
	return json_is_integer(value) && n >= 1 && n <= max;
}

// One of two words; absent is the first.
static bool read_choice(json_t *value, const char *first, const char *second, bool *is_second)
{
	const char *word = value ? json_string_value(value) : first;
	*is_second = word && !strcmp(word, second);
	return word && (*is_second || !strcmp(word, first));
}

static const char *read_plan(json_t *line, struct load_plan *plan)
{
	json_t *rate = json_object_get(line, "rate");
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
	if (!read_choice(json_object_get(line, "proto"), "udp", "tcp", &plan->tcp))
		return "proto: \"udp\" or \"tcp\"";
	if (!read_choice(json_object_get(line, "order"), "round-robin", "zipf", &plan->zipf))
		return "order: \"round-robin\" or \"zipf\"";
	const char *wrong = read_frame(json_object_get(line, "frame"), plan);
	if (plan->frame == FRAME_TSO)
		plan->tcp = true;
	return wrong;
}

static const char *read_command(json_t *line, struct command *command)
{
	static const char *const known[] = {"do", "frame", "directions", "flows", "macs", "proto",
		"order", "rate", "conversations"};
	const char *verb = json_string_value(json_object_get(line, "do"));
	*command = (struct command){0};
	if (!verb)
		return "a JSON object with \"do\" is expected";
	const char *key;
	json_t *value;
	json_object_foreach (line, key, value) {
		bool found = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found |= !strcmp(key, known[i]);
		if (!found)
			return "a key that is not known";
	}
	if (!strcmp(verb, "mark"))
		command->kind = COMMAND_MARK;
	else if (!strcmp(verb, "stop"))
		command->kind = COMMAND_STOP;
	else if (strcmp(verb, "start") && strcmp(verb, "talk"))
		return "do: start, talk, mark or stop";
	command->plan.talk = !strcmp(verb, "talk");
	return read_plan(line, &command->plan);
}

// --- answering -----------------------------------------------------------------------------------

static void print(json_t *answer)
{
	json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	fflush(stdout);
	json_decref(answer);
}

static double stamp_us(uint32_t stamp)
{
	return stamp * 16.0 * 1e6 / (double)rte_get_tsc_hz();
}

static json_t *latency(const struct histogram *h)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:I}", "p50", stamp_us(histogram_quantile(h, 0.5)),
		"p99", stamp_us(histogram_quantile(h, 0.99)), "p999",
		stamp_us(histogram_quantile(h, 0.999)), "max", stamp_us(h->max), "count",
		(json_int_t)h->total);
}

static json_t *figures(const struct command *command)
{
	const struct tally *t = &command->tally;
	double cycles = (double)(command->now - t->since);
	double seconds = cycles / (double)rte_get_tsc_hz();
	json_t *json = json_pack("{s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "seconds", seconds, "sent",
		(json_int_t)t->sent, "received", (json_int_t)t->received, "refused",
		(json_int_t)t->refused, "misordered", (json_int_t)t->misordered, "corrupt",
		(json_int_t)t->corrupt, "bytes", (json_int_t)t->bytes);
	json_object_set_new(json, "mpps", json_real((double)t->received / seconds / 1e6));
	json_object_set_new(json, "gbps", json_real((double)t->bytes * 8 / seconds / 1e9));
	json_object_set_new(
		json, "burst", json_real(t->calls ? (double)t->received / (double)t->calls : 0));
	json_object_set_new(json, "busy", json_real((double)t->busy / cycles));
	json_object_set_new(json, "conversations", json_integer((json_int_t)t->conversations));
	json_object_set_new(json, "abandoned", json_integer((json_int_t)t->abandoned));
	json_object_set_new(json, "latency_us", latency(&t->latency));
	json_object_set_new(json, "checked", json_integer((json_int_t)t->checked));
	if (command->kind == COMMAND_STOP)
		json_object_set_new(
			json, "lost", json_integer((json_int_t)(t->sent - t->received)));
	return json;
}

static void ask(struct command *command)
{
	control.command = *command;
	atomic_store_explicit(&control.state, STATE_ASKED, memory_order_release);
	while (sem_wait(&control.answered))
		;
	*command = control.command;
}

static void handle(const char *text)
{
	struct command command;
	json_t *line = json_loads(text, 0, NULL);
	const char *wrong = line ? read_command(line, &command) : "the line is no JSON";
	json_decref(line);
	if (!wrong) {
		ask(&command);
		wrong = command.refused;
	}
	if (wrong)
		print(json_pack("{s:s}", "error", wrong));
	else if (command.kind == COMMAND_START)
		print(json_pack("{s:b}", "running", 1));
	else
		print(figures(&command));
}

static void *control_main(void *unused)
{
	char *line = NULL;
	size_t size = 0;
	(void)unused;
	while (getline(&line, &size, stdin) >= 0)
		handle(line);
	free(line);
	struct command end = {.kind = COMMAND_END};
	control.command = end;
	atomic_store_explicit(&control.state, STATE_ASKED, memory_order_release);
	return NULL;
}

int control_start(void)
{
	pthread_t thread;
	pthread_attr_t attr;
	cpu_set_t all;
	CPU_ZERO(&all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		CPU_SET(cpu, &all);
	sem_init(&control.answered, 0, 0);
	print(json_pack("{s:b, s:i}", "ready", 1, "ports", (int)load_ports.count));
	// Not on the load thread's CPU alone, which the EAL has given to the whole process.
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(all), &all);
	int rc = -pthread_create(&thread, &attr, control_main, NULL);
	pthread_attr_destroy(&attr);
	if (!rc)
		pthread_detach(thread);
	return rc;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/control.h"

#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STATE_FREE,
	STATE_ASKED
};

enum {
	GAP_TOLD_US = 10
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

static json_t *numbers(const struct arrival_bucket *buckets, uint32_t count, bool bytes)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(
			list, json_integer(bytes ? buckets[i].bytes : buckets[i].frames));
	return list;
}

static json_t *gaps(const struct streams_record *record)
{
	const struct arrivals *a = &record->arrivals;
	json_t *list = json_array();
	for (uint32_t i = 0; i < a->now; i++) {
		double us = a->gaps[i] * 1e6 / record->hz;
		if (us >= GAP_TOLD_US)
			json_array_append_new(list, json_pack("[i,f]", (int)i, us));
	}
	return list;
}

// Of the buckets that were filled.
static json_t *arrivals(void)
{
	const struct streams_record *record = streams_recorded();
	const struct arrivals *a = &record->arrivals;
	json_t *streams = json_array();
	for (unsigned i = 0; i < record->count; i++) {
		const struct stream_record *r = &record->streams[i];
		json_array_append_new(streams,
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "sent",
				(json_int_t)r->sent, "received", (json_int_t)r->received, "refused",
				(json_int_t)r->refused, "marked", (json_int_t)r->marked,
				"misordered", (json_int_t)r->misordered, "latency_us",
				latency(&r->latency), "frames", numbers(r->buckets, a->now, false),
				"bytes", numbers(r->buckets, a->now, true)));
	}
	return json_pack("{s:I, s:f, s:o, s:o}", "start_ns", (json_int_t)record->start_ns,
		"bucket_s", (double)a->length / record->hz, "gaps_us", gaps(record), "streams",
		streams);
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
	json_object_set_new(json, "relayed", json_integer((json_int_t)t->relayed));
	json_object_set_new(json, "strays", json_integer((json_int_t)t->strays));
	json_object_set_new(json, "conversations", json_integer((json_int_t)t->conversations));
	json_object_set_new(json, "abandoned", json_integer((json_int_t)t->abandoned));
	json_object_set_new(json, "latency_us", latency(&t->latency));
	json_object_set_new(json, "checked", json_integer((json_int_t)t->checked));
	if (command->kind == COMMAND_STOP)
		json_object_set_new(
			json, "lost", json_integer((json_int_t)(t->sent - t->received)));
	if (command->arrivals)
		json_object_set_new(json, "arrivals", arrivals());
	return json;
}

static json_t *visits(const struct command *command)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < command->nvisits; i++)
		json_array_append_new(list, json_integer(command->visits[i]));
	return json_pack("{s:o}", "visits", list);
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
	const char *wrong = line ? command_read(line, &command) : "the line is no JSON";
	json_decref(line);
	if (!wrong) {
		ask(&command);
		wrong = command.refused;
	}
	if (wrong)
		print(json_pack("{s:s}", "error", wrong));
	else if (command.kind == COMMAND_START)
		print(json_pack("{s:b}", "running", 1));
	else if (command.kind == COMMAND_VISITS)
		print(visits(&command));
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

// SPDX-License-Identifier: BSD-3-Clause
#include "tests/oracle/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hostile/peer.h"
#include "tests/oracle/board.h"

enum {
	CLASSES_MAX = 2048,
	FOLLOWING = 4,    // packets behind the one that differs: they may stand in the same burst
	SHOWN = 3,        // classes of a justification
	EXAMPLES_MAX = 60 // of differences without justification
};

// Differences of one kind.
struct class
{
	const char *label, *phase;
	bool weir_passes;
	const struct justified *justified;
	uint64_t count;
	struct talk *example;
	unsigned unit;
};

static struct class classes[CLASSES_MAX];
static unsigned nclasses;
// How many units there were of each verdict, by label.
static struct count {
	const char *label;
	uint64_t units, passed;
} labels[CLASSES_MAX];
static unsigned nlabels;
static struct {
	uint64_t talks, units, passed, differing, consequences;
	unsigned examples;
} sums;
static struct talk examples[EXAMPLES_MAX];

static void count_label(const struct unit *u)
{
	unsigned i = 0;
	while (i < nlabels && strcmp(labels[i].label, u->label))
		i++;
	if (i == CLASSES_MAX)
		fail("there are too many labels");
	if (i == nlabels)
		labels[nlabels++].label = u->label;
	labels[i].units++;
	labels[i].passed += u->passed[BY_LINUX];
}

static struct class *class_of(const struct unit *u, const struct justified *justified)
{
	for (unsigned i = 0; i < nclasses; i++)
		if (classes[i].justified == justified &&
			classes[i].weir_passes == u->passed[BY_WEIR] &&
			!strcmp(classes[i].label, u->label) && !strcmp(classes[i].phase, u->phase))
			return &classes[i];
	if (nclasses == CLASSES_MAX)
		fail("there are too many classes of differences");
	classes[nclasses] = (struct class){.label = u->label,
		.phase = u->phase,
		.weir_passes = u->passed[BY_WEIR],
		.justified = justified};
	return &classes[nclasses++];
}

static void differs(const struct talk *t, const struct unit *u)
{
	const struct justified *j = justification(t, u);
	struct class *c = class_of(u, j);
	if (!j && !c->example && sums.examples < EXAMPLES_MAX) {
		c->example = &examples[sums.examples++];
		memcpy(c->example, t, sizeof(*t));
		c->unit = (unsigned)(u - t->units);
	}
	c->count++;
	sums.differing++;
}

void judge(const struct talk *t)
{
	bool different = false;
	sums.talks++;
	for (const struct unit *u = t->units; u < t->units + t->nunits; u++) {
		sums.units++;
		sums.passed += u->passed[BY_LINUX];
		count_label(u);
		if (u->passed[BY_LINUX] == u->passed[BY_WEIR])
			continue;
		if (different)
			sums.consequences++;
		else
			differs(t, u);
		different = true;
	}
}

static void print_labels(void)
{
	fprintf(stderr, "%9s %9s\n", "packets", "passed");
	for (unsigned i = 0; i < nlabels; i++)
		fprintf(stderr, "%9llu %9llu  %s\n", (unsigned long long)labels[i].units,
			(unsigned long long)labels[i].passed, labels[i].label);
}

static int by_count(const void *a, const void *b)
{
	const struct class *one = a, *other = b;
	return one->count < other->count ? 1 : one->count > other->count ? -1 : 0;
}

static void print_class(const struct class *c)
{
	fprintf(stderr, "%8llu    %s %s, %s\n", (unsigned long long)c->count,
		c->weir_passes ? "only Weir passes " : "only Linux passes", c->label, c->phase);
	if (c->example)
		talk_print(c->example, c->unit + FOLLOWING);
}

// All classes of one justification, or of none: how many differences. Of what is justified only the
// most frequent ones are printed, or all.
static uint64_t print_justified(const struct justified *why, bool all)
{
	uint64_t count = 0;
	unsigned printed = 0;
	for (unsigned i = 0; i < nclasses; i++)
		count += classes[i].justified == why ? classes[i].count : 0;
	if (!count)
		return 0;
	fprintf(stderr, "%8llu  %s\n", (unsigned long long)count, why ? why->why : "UNEXPLAINED");
	for (unsigned i = 0; i < nclasses; i++)
		if (classes[i].justified == why && (!why || all || printed++ < SHOWN))
			print_class(&classes[i]);
	return count;
}

static uint64_t print_classes(bool all)
{
	const struct justified *why;
	qsort(classes, nclasses, sizeof(classes[0]), by_count);
	for (unsigned i = 0; (why = justification_at(i)); i++)
		print_justified(why, all);
	return print_justified(NULL, all);
}

bool judge_report(uint64_t seed, uint64_t packets, bool verbose)
{
	const struct board_counts *board = board_counts();
	if (verbose)
		print_labels();
	uint64_t unexplained = print_classes(verbose);
	uint64_t strays = board->strays[BY_LINUX] + board->strays[BY_WEIR];
	uint64_t changed = board->changed[BY_LINUX] + board->changed[BY_WEIR];
	printf("{\"seed\": %llu, \"packets\": %llu, \"talks\": %llu, \"verdicts\": %llu, "
	       "\"passed\": %llu, \"differences\": %llu, \"consequences\": %llu, "
	       "\"unexplained\": %llu, \"strays\": [%llu, %llu], \"changed\": [%llu, %llu]}\n",
		(unsigned long long)seed, (unsigned long long)packets,
		(unsigned long long)sums.talks, (unsigned long long)sums.units,
		(unsigned long long)sums.passed, (unsigned long long)sums.differing,
		(unsigned long long)sums.consequences, (unsigned long long)unexplained,
		(unsigned long long)board->strays[BY_LINUX],
		(unsigned long long)board->strays[BY_WEIR],
		(unsigned long long)board->changed[BY_LINUX],
		(unsigned long long)board->changed[BY_WEIR]);
	return !unexplained && !strays && !changed;
}

// SPDX-License-Identifier: BSD-3-Clause
// weir-oracle sends the same packets through Linux and through Weir, and compares what arrives.
//
// Many talks go on at once. Each turn, one side sends what its talks have next for it, in one
// batch; nothing is sent before all of the last batch has arrived or never will.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hostile/peer.h"
#include "tests/oracle/board.h"
#include "tests/oracle/judge.h"
#include "tests/oracle/ways.h"

enum {
	TALKS = 400, // at once
	AT_ONCE = 8  // packets of one talk in a batch
};

static const char usage[] =
	"usage: weir-oracle --taps A B [--sockets A B] [--packets N] [--seed N] [--talk N] "
	"[--verbose]\n"
	"\n"
	"Sends packets from either side through Linux, which routes between two tap devices, and\n"
	"through the ports of a switch that listens at the sockets; prints what came of them that "
	"is\n"
	"not the same. --talk: that one only. Fails if a difference has no justification. "
	"tests/oracle/run sets both "
	"up.\n";

struct options {
	const char *taps[SIDES], *sockets[SIDES];
	uint64_t packets, seed, talk;
	bool one; // that talk only
	bool verbose;
};

static struct talk talks[TALKS];
static struct batch batch;

// Whether the packet can begin a connection anew in place of the one before it.
static bool begins(const struct talk *t, unsigned step)
{
	const struct unit *u = &t->units[t->steps[step].unit];
	const uint8_t *l4 = t->bytes + u->at;
	if (u->protocol == IPPROTO_TCP)
		return u->len >= 14 && (l4[13] & 0x12) == 0x02;            // SYN without ACK
	return u->protocol == IPPROTO_SCTP && u->len >= 13 && l4[12] == 1; // INIT
}

static bool is_error(const struct talk *t, unsigned step)
{
	return !strncmp(t->units[t->steps[step].unit].label, "an error", 8);
}

// A burst goes from stage to stage as one, so what is left to policy there is decided when all
// behind it has been tracked: an error, and what stands before a packet that begins the connection
// anew. Those are sent apart.
static void gather(unsigned side, unsigned from)
{
	batch.count = 0;
	for (unsigned i = 0; i < TALKS && batch.count + AT_ONCE <= BATCH_MAX; i++) {
		struct talk *t = &talks[(from + i) % TALKS];
		for (unsigned n = 0; n < AT_ONCE && t->next < t->nsteps; n++) {
			if (t->steps[t->next].side != side || (n && begins(t, t->next)))
				break;
			batch.of[batch.count].talk = t;
			batch.of[batch.count++].step = &t->steps[t->next];
			if (is_error(t, t->next++))
				break;
		}
	}
}

static void send_batch(const struct options *o, unsigned side)
{
	taps_send(side, &batch);
	if (o->sockets[0])
		ports_send(side, &batch);
}

// Talks that have ended are judged and give way to new ones.
static uint64_t replace(const struct options *o, uint64_t begun, bool more)
{
	for (unsigned i = 0; i < TALKS; i++) {
		struct talk *t = &talks[i];
		if (t->next < t->nsteps)
			continue;
		if (t->nsteps) {
			judge(t);
			board_release(t);
			t->nsteps = t->next = t->nunits = 0;
		}
		if (more && (!o->one || begun == o->talk))
			talk_make(t, o->seed, begun++);
	}
	return begun;
}

static uint64_t run(const struct options *o)
{
	uint64_t sent = 0, begun = o->talk;
	unsigned from = 0, idle = 0;
	while (idle < SIDES) {
		unsigned side = from & 1;
		begun = replace(o, begun, sent < o->packets);
		gather(side, rng_below(&(struct rng){sent + from}, TALKS));
		from++;
		idle = batch.count ? 0 : idle + 1;
		if (batch.count)
			send_batch(o, side);
		sent += batch.count;
	}
	return sent;
}

static uint64_t number(const char *text)
{
	char *end;
	errno = 0;
	uint64_t n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-') {
		fputs(usage, stderr);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char **pair = !strcmp(argv[i], "--taps")      ? o->taps
				    : !strcmp(argv[i], "--sockets") ? o->sockets
								    : NULL;
		if (!strcmp(argv[i], "--verbose")) {
			o->verbose = true;
		} else if (pair && i + 2 < argc) {
			pair[0] = argv[++i];
			pair[1] = argv[++i];
		} else if (!strcmp(argv[i], "--packets") && i + 1 < argc) {
			o->packets = number(argv[++i]);
		} else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
			o->seed = number(argv[++i]);
		} else if (!strcmp(argv[i], "--talk") && i + 1 < argc) {
			o->talk = number(argv[++i]);
			o->one = true;
		} else {
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (!o->taps[0]) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.packets = 10000, .seed = 1};
	parse(argc, argv, &o);
	doing("seed", o.seed);
	taps_open(o.taps);
	if (o.sockets[0])
		ports_open(o.sockets);
	uint64_t sent = run(&o);
	bool well = judge_report(o.seed, sent, o.verbose);
	if (o.sockets[0])
		ports_close();
	return well ? 0 : 1;
}

// SPDX-License-Identifier: BSD-3-Clause
// weir-ids: a wire between two network cards, on which frames with a signature in them are lost.
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm-images/nf/ids/nsh.h"
#include "vm-images/nf/ids/payload.h"
#include "vm-images/nf/ids/report.h"
#include "vm-images/nf/ids/wire.h"

enum {
	AT_ONCE = 64 // frames of one card before the other has its turn
};

static const char help[] =
	"usage: weir-ids --signatures FILE LEFT [RIGHT]    frames go from one card to the other;\n"
	"                                                  with one card back out of it\n"
	"       weir-ids --show                            what the running one has counted\n"
	"\n"
	"A frame that has a signature in it is dropped. Signatures are looked for in one packet at "
	"a time:\n"
	"one that is cut by a segment's or a fragment's end is not seen.\n"
	"Of a frame in NSH (RFC 8300) the one inside is looked at; all of it goes to whoever it\n"
	"came from, its service index one less.\n"
	"\n"
	"  --socket PATH   where the counts are asked for (default: /run/weir-ids.sock)\n";

struct ids {
	int wires[2], listener;
	uint8_t macs[2][6];
	struct signatures *set;
	struct counts counts;
	struct wire_frame frame;
};

static void pass(struct ids *ids, unsigned from)
{
	struct wire_frame *frame = &ids->frame;
	size_t inside;
	enum nsh_kind nsh = nsh_read(frame->data, frame->length, &inside);
	ids->counts.nsh[nsh]++;
	if (nsh > NSH_SOUND)
		return;
	size_t at = inside + payload_offset(frame->data + inside, frame->length - inside);
	int number = signatures_find(ids->set, frame->data + at, frame->length - at);
	if (nsh == NSH_SOUND)
		nsh_hand_on(frame->data, ids->macs[!from]);
	if (number >= 0) {
		ids->counts.dropped[number]++;
	} else if (number == SIGNATURES_FAILED) {
		ids->counts.lost++;
	} else if (wire_send(ids->wires[!from], frame)) {
		ids->counts.lost++;
	} else {
		ids->counts.passed[from]++;
		ids->counts.bytes[from] += frame->length;
	}
}

static void take(struct ids *ids, unsigned from)
{
	for (unsigned i = 0; i < AT_ONCE; i++) {
		int got = wire_take(ids->wires[from], &ids->frame);
		if (got == 0)
			return;
		if (got > 0)
			pass(ids, from);
		else
			ids->counts.lost++;
	}
}

static void run(struct ids *ids)
{
	struct pollfd fds[] = {
		{.fd = ids->wires[0], .events = POLLIN},
		// One card is both sides, and is looked at once.
		{.fd = ids->wires[1] == ids->wires[0] ? -1 : ids->wires[1], .events = POLLIN},
		{.fd = ids->listener, .events = POLLIN},
	};
	for (;;) {
		if (poll(fds, 3, -1) < 0)
			continue;
		for (unsigned side = 0; side < 2; side++)
			if (fds[side].revents)
				take(ids, side);
		if (fds[2].revents)
			report_answer(ids->listener, &ids->counts, ids->set);
	}
}

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "weir-ids: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

static int start(const char *signatures, const char *socket, char **cards, int ncards)
{
	static struct ids ids;
	char why[256];
	if (signatures_read(signatures, &ids.set, why, sizeof(why)))
		return complain(signatures, why);
	for (int i = 0; i < ncards; i++) {
		ids.wires[i] = wire_open(cards[i]);
		if (ids.wires[i] < 0)
			return complain(cards[i], strerror(-ids.wires[i]));
	}
	if (ncards == 1)
		ids.wires[1] = ids.wires[0];
	for (int i = 0; i < 2; i++) {
		int error = wire_address(ids.wires[i], ids.macs[i]);
		if (error)
			return complain(cards[i < ncards ? i : 0], strerror(-error));
	}
	ids.listener = report_listen(socket);
	if (ids.listener < 0)
		return complain(socket, strerror(-ids.listener));
	signal(SIGPIPE, SIG_IGN);
	run(&ids);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"signatures", required_argument, NULL, 's'},
		{"socket", required_argument, NULL, 'p'}, {"show", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *signatures = NULL, *socket = "/run/weir-ids.sock";
	int c, shows = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			signatures = optarg;
			break;
		case 'p':
			socket = optarg;
			break;
		case 'c':
			shows = 1;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(help, stderr);
			return 2;
		}
	}
	int ncards = argc - optind;
	if (shows && !ncards && !signatures) {
		int error = report_show(socket);
		return error ? complain(socket, strerror(-error)) : EXIT_SUCCESS;
	}
	if (shows || !signatures || ncards < 1 || ncards > 2) {
		fputs(help, stderr);
		return 2;
	}
	return start(signatures, socket, argv + optind, ncards);
}

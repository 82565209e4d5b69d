// SPDX-License-Identifier: BSD-3-Clause
// weir-load: plays VMs at full speed, and checks what the switch made of it. Here the command line;
// load.c has the thread that does it; stream.c, streams.c and talk.c the kinds of traffic.
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/control.h"

static const char usage[] =
	"Usage: weir-load [OPTION...] SOCKET SOCKET [SOCKET SOCKET...]\n"
	"Plays a VM at each SOCKET, where it listens for a switch as QEMU does; SOCKET may be\n"
	"iface=NAME, an interface whose other end is a port of the switch. The first two talk\n"
	"with each other, then the next two. The last ones may be of network functions instead,\n"
	"that give on what comes to them. Commands come on standard input, one JSON object\n"
	"a line:\n"
	"\n"
	"  {\"do\": \"start\", \"frame\": 64, \"directions\": 2, \"flows\": 1, \"macs\": 1,\n"
	"   \"proto\": \"udp\", \"order\": \"round-robin\", \"rate\": 0}   or \"frame\": \"imix\", "
	"\"tso\"\n"
	"  {\"do\": \"talk\", \"conversations\": 1000, \"directions\": 1, \"rate\": 0}\n"
	"  {\"do\": \"streams\", \"streams\": [{\"from\": 0, \"to\": 1, \"frame\": 64, "
	"\"rate\": 0,\n"
	"   \"flows\": 1, \"tos\": 0, \"window\": 224}, ...], \"bucket_us\": 1000, "
	"\"buckets\": 10000}\n"
	"                    each between two ports; stop tells when their frames arrived.\n"
	"                    Without \"from\" somebody else sends it\n"
	"  {\"do\": \"visits\"}  of each flow since the last time, if start had \"visits\": true:\n"
	"                    bits for the network functions that it has visited\n"
	"  {\"do\": \"mark\"}   the figures since the last mark\n"
	"  {\"do\": \"stop\"}   stops, waits for what is on its way; the figures since the start\n"
	"\n"
	"  --cpu N         the load thread's CPU (0)\n"
	"  --ring N        descriptors of a queue (256)\n"
	"  --buffer BYTES  data bytes of a receive buffer (2048, with --tso 4096)\n"
	"  --memory MIB    for DPDK (128, with --tso 256)\n"
	"  --huge          the memory is on huge pages\n"
	"  --mergeable     accept VIRTIO_NET_F_MRG_RXBUF\n"
	"  --tso           accept checksum and segmentation offloads both ways\n"
	"  --relays N      the last N sockets are of network functions: what comes at one goes\n"
	"                  out at its neighbour, in pairs, unchanged\n"
	"  --one-armed     ... where it came\n"
	"  --help          print this\n";

static bool number(const char *text, unsigned max, unsigned *value)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	*value = (unsigned)n;
	return *text >= '0' && *text <= '9' && !*end && n <= max;
}

static bool option(int letter, struct ports_setup *setup)
{
	switch (letter) {
	case 'c':
		return number(optarg, 1023, &setup->cpu);
	case 'r':
		return number(optarg, 32768, &setup->ring);
	case 'b':
		return number(optarg, 16384, &setup->buffer);
	case 'm':
		return number(optarg, 16384, &setup->memory_mib);
	case 'H':
		setup->huge = true;
		return true;
	case 'M':
		setup->mergeable = true;
		return true;
	case 't':
		setup->tso = true;
		return true;
	case 'R':
		return number(optarg, PORTS_MAX, &setup->relays);
	case 'o':
		setup->one_armed = true;
		return true;
	default:
		return false;
	}
}

// Divides the sockets. False: that cannot be.
static bool are_ports(struct ports_setup *setup, unsigned all)
{
	if (all > PORTS_MAX || setup->relays >= all || (!setup->one_armed && setup->relays % 2))
		return false;
	setup->count = all - setup->relays;
	return setup->count % 2 == 0;
}

// 0: go on; else the process's status and one more.
static int parse_arguments(int argc, char **argv, struct ports_setup *setup)
{
	static const struct option options[] = {{"cpu", required_argument, NULL, 'c'},
		{"ring", required_argument, NULL, 'r'}, {"buffer", required_argument, NULL, 'b'},
		{"memory", required_argument, NULL, 'm'}, {"huge", no_argument, NULL, 'H'},
		{"mergeable", no_argument, NULL, 'M'}, {"tso", no_argument, NULL, 't'},
		{"relays", required_argument, NULL, 'R'}, {"one-armed", no_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'}, {0}};
	int letter;
	*setup = (struct ports_setup){.ring = 256};
	while ((letter = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (letter == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (option(letter, setup))
			continue;
		if (letter != '?')
			fprintf(stderr, "weir-load: no such number: %s\n", optarg);
		fputs(usage, stderr);
		return 3;
	}
	setup->sockets = argv + optind;
	if (!are_ports(setup, (unsigned)(argc - optind))) {
		fprintf(stderr, "weir-load: 2 to %d sockets are expected, in pairs\n", PORTS_MAX);
		fputs(usage, stderr);
		return 3;
	}
	if (setup->relays && setup->tso) {
		fprintf(stderr, "weir-load: network functions do not know --tso\n");
		return 3;
	}
	if (!setup->buffer)
		setup->buffer = setup->tso ? 4096 : 2048;
	if (!setup->memory_mib)
		setup->memory_mib = setup->tso ? 256 : 128;
	return 0;
}

int main(int argc, char **argv)
{
	struct ports_setup setup;
	int status = parse_arguments(argc, argv, &setup);
	if (status)
		return status - 1;
	// A switch that went leaves a socket that is written to once more.
	signal(SIGPIPE, SIG_IGN);
	if (ports_open(&load_ports, &setup, argv[0]) || control_start())
		return EXIT_FAILURE;
	load_run();
	ports_close(&load_ports);
	return EXIT_SUCCESS;
}

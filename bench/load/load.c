// SPDX-License-Identifier: BSD-3-Clause
// The load thread: asks for commands between two rounds, and otherwise does nothing but rounds.
#include "bench/load/load.h"

#include "bench/load/control.h"
#include "bench/load/relay.h"

enum {
	TEACH_PER_SECOND = 200000,
	TAUGHT_MS = 20,  // nothing has come for so long: all has
	LOST_MS = 300,   // and what has not come by then is lost
	DRAIN_MS = 5000, // others may send for ever
	READINGS = 100,
	AT_ONCE = 2000, // cycles
};

struct ports load_ports;
struct tally load_tally;

static const struct traffic_ops *running;
static struct tally total; // since the start, without what load_tally has

static struct {
	uint64_t ns;
	uint64_t tsc;
} begun;

// Both clocks are read at one moment, unless the thread is kept from its CPU each time.
uint64_t load_clock_ns(clockid_t clock, uint64_t *tsc)
{
	struct timespec ts;
	for (unsigned tries = 0; tries < READINGS; tries++) {
		*tsc = rte_rdtsc();
		clock_gettime(clock, &ts);
		if (rte_rdtsc() - *tsc < AT_ONCE)
			break;
	}
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

double load_hz(void)
{
	uint64_t tsc, ns = load_clock_ns(CLOCK_MONOTONIC_RAW, &tsc);
	return (double)(tsc - begun.tsc) * 1e9 / (double)(ns - begun.ns);
}

uint32_t load_window(uint32_t frame)
{
	uint32_t longest = frame ? frame : imix_sizes[FRAME_SIZES - 1];
	uint32_t pieces = (longest + 12 + load_ports.buffer - 1) / load_ports.buffer;
	// The one ring of a one-armed network function gets both directions.
	uint32_t window = load_ports.ring * 7 / 8 / pieces / (load_ports.one_armed ? 2 : 1);
	return window ? window : 1;
}

void pace_init(struct pace *pace, double per_second)
{
	*pace = (struct pace){.start = rte_rdtsc()};
	pace->per_cycle = per_second / (double)rte_get_tsc_hz();
}

void outbox_free(struct outbox *box)
{
	rte_pktmbuf_free_bulk(box->frames + box->first, box->end - box->first);
	box->first = box->end = 0;
}

// Counts the broadcasts that come; what else comes is late and goes.
static uint64_t receive_taught(void)
{
	struct rte_mbuf *frames[PORT_BURST];
	uint64_t taught = 0;
	for (unsigned port = 0; port < load_ports.count; port++) {
		unsigned n = rte_eth_rx_burst(load_ports.ids[port], 0, frames, PORT_BURST);
		for (unsigned i = 0; i < n; i++)
			taught += frame_teaches(rte_pktmbuf_mtod(frames[i], const uint8_t *));
		rte_pktmbuf_free_bulk(frames, n);
	}
	return taught;
}

static bool teach(unsigned port, uint32_t mac)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(load_ports.heads);
	if (!m)
		return false;
	frame_teach((uint8_t *)rte_pktmbuf_append(m, FRAME_HEAD), (uint8_t)port, mac);
	if (rte_eth_tx_burst(load_ports.ids[port], 0, &m, 1))
		return true;
	rte_pktmbuf_free(m);
	return false;
}

// One broadcast from each address, slowly enough for any switch, and then whatever it takes until
// all have gone and the last ones have come or been lost.
static void teach_all(uint32_t macs)
{
	struct pace pace;
	uint64_t patience = rte_get_tsc_hz() * TAUGHT_MS / 1000;
	uint64_t all = (uint64_t)macs * load_ports.count;
	pace_init(&pace, TEACH_PER_SECOND);
	for (uint64_t i = 0; i < all;) {
		receive_taught();
		if (pace_due(&pace, rte_rdtsc(), 1))
			i += teach(
				(unsigned)(i % load_ports.count), (uint32_t)(i / load_ports.count));
	}
	for (uint64_t last = rte_rdtsc(); rte_rdtsc() - last < patience;)
		if (receive_taught())
			last = rte_rdtsc();
}

static void begin_interval(void)
{
	load_tally = (struct tally){.since = rte_rdtsc()};
}

static void add_histogram(struct histogram *sum, const struct histogram *h)
{
	for (unsigned i = 0; i < HISTOGRAM_SIZE; i++)
		sum->count[i] += h->count[i];
	sum->total += h->total;
	if (h->max > sum->max)
		sum->max = h->max;
}

// Ends the interval: its figures are added to the total's.
static void end_interval(void)
{
	total.sent += load_tally.sent;
	total.received += load_tally.received;
	total.bytes += load_tally.bytes;
	total.checked += load_tally.checked;
	total.refused += load_tally.refused;
	total.misordered += load_tally.misordered;
	total.corrupt += load_tally.corrupt;
	total.relayed += load_tally.relayed;
	total.strays += load_tally.strays;
	total.conversations += load_tally.conversations;
	total.abandoned += load_tally.abandoned;
	total.calls += load_tally.calls;
	total.busy += load_tally.busy;
	add_histogram(&total.latency, &load_tally.latency);
}

static void start(struct command *command)
{
	if (running) {
		command_refuse(command, "it is running already");
		return;
	}
	teach_all(command->plan.macs);
	static const struct traffic_ops *const kinds[] = {[TRAFFIC_STREAM] = &stream_traffic,
		[TRAFFIC_TALK] = &talk_traffic,
		[TRAFFIC_STREAMS] = &streams_traffic};
	const struct traffic_ops *ops = kinds[command->plan.kind];
	if (relay_start(&command->plan) || ops->start(&command->plan)) {
		command_refuse(command, "this cannot be started; standard error says why");
		return;
	}
	running = ops;
	total = (struct tally){.since = rte_rdtsc()};
	begin_interval();
}

static unsigned one_round(bool sending)
{
	unsigned relayed = relay_round();
	return relayed + running->round(sending);
}

static bool all_received(void)
{
	return total.sent + load_tally.sent == total.received + load_tally.received;
}

// A switch that has to wait for its CPU is no switch that loses frames.
static void drain(void)
{
	uint64_t patience = rte_get_tsc_hz() * LOST_MS / 1000;
	uint64_t last = rte_rdtsc(), end = last + rte_get_tsc_hz() * DRAIN_MS / 1000;
	while (!all_received() && rte_rdtsc() - last < patience && last < end)
		if (one_round(false))
			last = rte_rdtsc();
}

static void stop(struct command *command)
{
	drain();
	running->stop();
	command->arrivals = running == &streams_traffic;
	running = NULL;
	end_interval();
	command->tally = total;
	command->now = rte_rdtsc();
}

static void mark(struct command *command)
{
	command->tally = load_tally;
	command->now = rte_rdtsc();
	end_interval();
	begin_interval();
}

static void obey(struct command *command)
{
	if (command->kind == COMMAND_START)
		start(command);
	else if (command->kind == COMMAND_VISITS)
		command->visits = relay_take_visits(&command->nvisits);
	else if (!running)
		command_refuse(command, "nothing is running");
	else if (command->kind == COMMAND_STOP)
		stop(command);
	else
		mark(command);
}

void load_run(void)
{
	static const struct timespec while_idle = {.tv_nsec = 200000};
	uint64_t last = rte_rdtsc();
	begun.ns = load_clock_ns(CLOCK_MONOTONIC_RAW, &begun.tsc);
	for (;;) {
		struct command *command = control_poll();
		if (command) {
			if (command->kind == COMMAND_END)
				break;
			obey(command);
			control_answer();
			last = rte_rdtsc();
		}
		if (!running) {
			receive_taught();
			relay_round();
			nanosleep(&while_idle, NULL);
			continue;
		}
		unsigned moved = one_round(true);
		uint64_t now = rte_rdtsc();
		if (moved)
			load_tally.busy += now - last;
		last = now;
	}
	if (running)
		running->stop();
	relay_end();
}

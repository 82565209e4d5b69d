// SPDX-License-Identifier: BSD-3-Clause
// Complete TCP conversations, both sides played: SYN, SYN-ACK, ACK, request, response, FIN, FIN,
// ACK. So many are open at once as asked for: each waits for its turn in one queue before its next
// segment goes, and what is on its way is bounded, so that a ring never overflows.
//
// A conversation's number is its flow's; a slot goes on to the next number when its conversation
// is complete. All sequence numbers are the same in each, so a segment tells its step.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/load.h"

#define FIN 0x01
#define SYN 0x02
#define PSH 0x08
#define ACK 0x10

enum {
	FLYING_MAX = 96, // frames of one port on their way, beyond which no turn is given
	STEPS = 8,
	REQUEST_AND_ACK = 2, // the step that is sent together with the next one
	CLIENT_ISN = 100000,
	SERVER_ISN = 500000,
	LEN = sizeof(struct frame_tag),
	NUMBERS = 60000u << 16, // of conversations: what the client's L4 port has room for
	STILL_SHIFT = 20,       // the unit of slot.touched: about a million cycles
	STILL = 512,            // standing still so long, a conversation has lost a segment
};

static const struct step {
	bool by_client;
	struct frame_segment segment;
} steps[STEPS] = {
	{true, {SYN, CLIENT_ISN, 0, false}},
	{false, {SYN | ACK, SERVER_ISN, CLIENT_ISN + 1, false}},
	{true, {ACK, CLIENT_ISN + 1, SERVER_ISN + 1, false}},
	{true, {PSH | ACK, CLIENT_ISN + 1, SERVER_ISN + 1, true}},
	{false, {PSH | ACK, SERVER_ISN + 1, CLIENT_ISN + 1 + LEN, true}},
	{true, {FIN | ACK, CLIENT_ISN + 1 + LEN, SERVER_ISN + 1 + LEN, false}},
	{false, {FIN | ACK, SERVER_ISN + 1 + LEN, CLIENT_ISN + 2 + LEN, false}},
	{true, {ACK, CLIENT_ISN + 2 + LEN, SERVER_ISN + 2 + LEN, false}},
};

struct slot {
	uint32_t number;
	uint32_t touched;
	uint8_t step; // to be sent next, or on its way
	bool flying;
};

// Slots in order; one is never in two queues.
struct turns {
	uint32_t *slots;
	uint32_t first;
	uint32_t count;
};

struct client {
	bool active;
	struct slot *slots;
	struct turns ready;
	struct turns resting; // until the rate lets them begin anew
	struct pace pace;
	struct frame_template templates[STEPS];
};

static struct {
	uint32_t nslots; // per client
	struct client clients[PORTS_MAX];
	struct outbox boxes[PORTS_MAX];
	unsigned flying[PORTS_MAX]; // sent from there and not received
	uint64_t heard[PORTS_MAX];  // TSC of the last receipt of those, or of the last look at none
	uint32_t begun;             // the highest number so far, of all runs
	uint32_t swept;
} talk;

static uint32_t clock_now(void)
{
	return (uint32_t)(rte_rdtsc() >> STILL_SHIFT);
}

static void turns_push(struct turns *t, uint32_t slot)
{
	t->slots[(t->first + t->count++) % talk.nslots] = slot;
}

static uint32_t turns_pop(struct turns *t)
{
	uint32_t slot = t->slots[t->first];
	t->first = (t->first + 1) % talk.nslots;
	t->count--;
	return slot;
}

static void begin_anew(struct client *c, uint32_t n)
{
	struct slot *slot = &c->slots[n];
	uint64_t next = (uint64_t)slot->number + talk.nslots;
	slot->number = next < NUMBERS ? (uint32_t)next : n;
	if (slot->number > talk.begun)
		talk.begun = slot->number;
	slot->step = 0;
	slot->flying = false;
	turns_push(&c->resting, n);
}

// --- sending -------------------------------------------------------------------------------------

static bool send_step(struct client *c, unsigned from, const struct slot *slot, unsigned step)
{
	struct outbox *box = &talk.boxes[from];
	struct rte_mbuf *m = rte_pktmbuf_alloc(load_ports.heads);
	if (!m)
		return false;
	struct frame_tag tag = {.sequence = slot->number,
		.seed = (uint16_t)step,
		.stamp = (uint32_t)(rte_rdtsc() >> 4)};
	frame_build((uint8_t *)rte_pktmbuf_append(m, FRAME_HEAD), &c->templates[step], slot->number,
		0, tag, 0);
	box->frames[box->end++] = m;
	talk.flying[from]++;
	return true;
}

// The turn of one slot; its conversation stays where it is without a buffer, and is given up later.
static void take_turn(struct client *c, unsigned client_port)
{
	struct slot *slot = &c->slots[turns_pop(&c->ready)];
	unsigned from = steps[slot->step].by_client ? client_port : partner(client_port);
	slot->flying = true;
	slot->touched = clock_now();
	if (send_step(c, from, slot, slot->step) && slot->step == REQUEST_AND_ACK)
		send_step(c, from, slot, REQUEST_AND_ACK + 1);
}

// Frames that do not arrive for a while are lost, and no longer on their way: the conversations
// that wait for them are given up later, and must not keep the others from going on.
static bool has_room(unsigned port)
{
	if (talk.boxes[port].end + 2 > PORT_BURST)
		return false;
	if (talk.flying[port] < FLYING_MAX)
		return true;
	uint64_t now = rte_rdtsc();
	if (now - talk.heard[port] < LOST_CYCLES)
		return false;
	talk.flying[port] = 0;
	talk.heard[port] = now;
	return true;
}

static unsigned send_all(void)
{
	unsigned moved = 0;
	for (unsigned port = 0; port < load_ports.count; port++) {
		struct client *c = &talk.clients[port];
		if (!c->active)
			continue;
		uint32_t begin = c->resting.count < PORT_BURST ? c->resting.count : PORT_BURST;
		begin = pace_due(&c->pace, rte_rdtsc(), begin);
		while (begin--)
			turns_push(&c->ready, turns_pop(&c->resting));
		while (c->ready.count && has_room(port) && has_room(partner(port)))
			take_turn(c, port);
	}
	for (unsigned port = 0; port < load_ports.count; port++)
		moved += outbox_flush(&talk.boxes[port], port);
	return moved;
}

// --- receiving -----------------------------------------------------------------------------------

static unsigned step_of(const uint8_t *head, bool by_client)
{
	uint32_t sequence;
	memcpy(&sequence, head + 38, sizeof(sequence));
	sequence = __builtin_bswap32(sequence);
	for (unsigned i = 0; i < STEPS; i++)
		if (steps[i].by_client == by_client && steps[i].segment.flags == head[47] &&
			steps[i].segment.sequence == sequence)
			return i;
	return STEPS;
}

static void advance(struct client *c, uint32_t n, unsigned step)
{
	struct slot *slot = &c->slots[n];
	if (step == REQUEST_AND_ACK) {
		slot->step++;
		return;
	}
	if (step == STEPS - 1) {
		load_tally.conversations++;
		begin_anew(c, n);
		return;
	}
	slot->step++;
	slot->flying = false;
	turns_push(&c->ready, n);
}

static void take_segment(const struct rte_mbuf *m, unsigned port, uint32_t now)
{
	const uint8_t *head = rte_pktmbuf_mtod(m, const uint8_t *);
	if (!frame_tag_at(head))
		return;
	load_tally.received++;
	load_tally.bytes += m->pkt_len;
	talk.flying[partner(port)] -= talk.flying[partner(port)] > 0;
	// The server's L4 port is the destination of what a client sends.
	bool by_client = get16(head + 36) == __builtin_bswap16(FRAME_SERVER_PORT);
	struct client *c = &talk.clients[by_client ? partner(port) : port];
	uint32_t number = frame_flow(head);
	unsigned step = step_of(head, by_client);
	if (!c->active || !frame_head_holds(head, m->pkt_len, (uint8_t)port)) {
		load_tally.corrupt++;
		return;
	}
	struct slot *slot = &c->slots[number % talk.nslots];
	if (slot->number != number || slot->step != step || !slot->flying) {
		load_tally.misordered++;
		return;
	}
	struct frame_tag tag;
	memcpy(&tag, head + FRAME_HEAD - sizeof(tag), sizeof(tag));
	histogram_add(&load_tally.latency, now - tag.stamp);
	advance(c, number % talk.nslots, step);
}

static unsigned receive_at(unsigned port)
{
	struct rte_mbuf *frames[PORT_BURST];
	unsigned n = rte_eth_rx_burst(load_ports.ids[port], 0, frames, PORT_BURST);
	if (!n)
		return 0;
	uint64_t now = rte_rdtsc();
	talk.heard[partner(port)] = now;
	load_tally.calls++;
	for (unsigned i = 0; i < n; i++)
		take_segment(frames[i], port, (uint32_t)(now >> 4));
	rte_pktmbuf_free_bulk(frames, n);
	return n;
}

// Gives up conversations of which a segment was lost.
static void sweep(void)
{
	uint32_t now = clock_now();
	if (now - talk.swept < STILL)
		return;
	talk.swept = now;
	for (unsigned port = 0; port < load_ports.count; port++) {
		struct client *c = &talk.clients[port];
		for (uint32_t n = 0; c->active && n < talk.nslots; n++) {
			if (!c->slots[n].flying || now - c->slots[n].touched < STILL)
				continue;
			load_tally.abandoned++;
			talk.flying[port] = talk.flying[partner(port)] = 0;
			begin_anew(c, n);
		}
	}
}

// --- the interface -------------------------------------------------------------------------------

static unsigned talk_round(bool sending)
{
	unsigned moved = 0;
	for (unsigned port = 0; port < load_ports.count; port++)
		moved += receive_at(port);
	if (!sending)
		return moved;
	sweep();
	return moved + send_all();
}

static int client_init(struct client *c, unsigned port, const struct load_plan *plan)
{
	*c = (struct client){.active = plan->directions == 2 || !(port & 1)};
	if (!c->active)
		return 0;
	c->slots = calloc(talk.nslots, sizeof(*c->slots));
	c->ready.slots = calloc(talk.nslots, sizeof(uint32_t));
	c->resting.slots = calloc(talk.nslots, sizeof(uint32_t));
	if (!c->slots || !c->ready.slots || !c->resting.slots)
		return -ENOMEM;
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned from = steps[i].by_client ? port : partner(port);
		const struct frame_ends ends = {
			(uint8_t)from, (uint8_t)partner(from), !steps[i].by_client};
		frame_segment_init(&c->templates[i], ends, &steps[i].segment);
	}
	// Behind those of the last run: a switch may still know them, and a SYN with an old
	// sequence number is no new conversation.
	uint64_t first = talk.begun ? (uint64_t)talk.begun / talk.nslots * talk.nslots + talk.nslots
				    : 0;
	if (first + talk.nslots > NUMBERS)
		first = 0;
	for (uint32_t n = 0; n < talk.nslots; n++) {
		c->slots[n].number = (uint32_t)first + n;
		turns_push(&c->resting, n);
	}
	unsigned nclients = load_ports.count / 2 * plan->directions;
	pace_init(&c->pace, plan->rate / nclients);
	return 0;
}

static void talk_stop(void)
{
	for (unsigned port = 0; port < load_ports.count; port++) {
		struct client *c = &talk.clients[port];
		outbox_free(&talk.boxes[port]);
		free(c->resting.slots);
		free(c->ready.slots);
		free(c->slots);
		*c = (struct client){0};
	}
}

static int talk_start(const struct load_plan *plan)
{
	if (load_ports.tso) {
		fprintf(stderr, "weir-load: conversations need a generator without --tso\n");
		return -EINVAL;
	}
	talk.nslots = plan->conversations;
	talk.swept = clock_now();
	for (unsigned port = 0; port < load_ports.count; port++) {
		talk.flying[port] = 0;
		talk.heard[port] = rte_rdtsc();
		int rc = client_init(&talk.clients[port], port, plan);
		if (rc) {
			talk_stop();
			return rc;
		}
	}
	return 0;
}

const struct traffic_ops talk_traffic = {
	.start = talk_start, .round = talk_round, .stop = talk_stop};

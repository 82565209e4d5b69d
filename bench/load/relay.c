// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct {
	struct outbox boxes[PORTS_MAX]; // by the port where frames wait to go out
	uint32_t nvisits;               // 0: they are not kept
	uint32_t *visits;
	uint32_t *taken; // as long
} relay;

int relay_start(const struct load_plan *plan)
{
	relay_end();
	if (!plan->visits)
		return 0;
	relay.visits = calloc(plan->flows, sizeof(*relay.visits));
	relay.taken = calloc(plan->flows, sizeof(*relay.taken));
	if (!relay.visits || !relay.taken)
		return -ENOMEM;
	relay.nvisits = plan->flows;
	return 0;
}

void relay_end(void)
{
	free(relay.visits);
	free(relay.taken);
	relay.visits = relay.taken = NULL;
	relay.nvisits = 0;
}

const uint32_t *relay_take_visits(uint32_t *count)
{
	uint32_t *now = relay.visits;
	*count = relay.nvisits;
	if (!now)
		return NULL;
	relay.visits = relay.taken;
	relay.taken = now;
	memset(relay.visits, 0, relay.nvisits * sizeof(*relay.visits));
	return now;
}

static void note(const uint8_t *head, unsigned port)
{
	unsigned number = (port - load_ports.count) / (load_ports.one_armed ? 1 : 2);
	uint32_t flow = frame_flow(head);
	if (flow < relay.nvisits)
		relay.visits[flow] |= UINT32_C(1) << number;
}

static void relay_frames(
	struct rte_mbuf *const *frames, unsigned n, unsigned port, struct outbox *box)
{
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *head = rte_pktmbuf_mtod(frames[i], const uint8_t *);
		if (!frame_tag_at(head)) {
			load_tally.strays++;
			rte_pktmbuf_free(frames[i]);
			continue;
		}
		if (relay.nvisits)
			note(head, port);
		box->frames[box->end++] = frames[i];
	}
}

static unsigned relay_at(unsigned port)
{
	unsigned out = load_ports.one_armed ? port : partner(port);
	struct outbox *box = &relay.boxes[out];
	struct rte_mbuf *frames[PORT_BURST];
	unsigned moved = 0;
	// What does not go waits, and what comes meanwhile, in the ring.
	if (!box->end) {
		moved = rte_eth_rx_burst(load_ports.ids[port], 0, frames, PORT_BURST);
		for (unsigned i = 0; i < moved; i++)
			rte_prefetch0(rte_pktmbuf_mtod(frames[i], const void *));
		relay_frames(frames, moved, port, box);
	}
	unsigned went = outbox_push(box, out);
	load_tally.relayed += went;
	return moved + went;
}

unsigned relay_round(void)
{
	unsigned moved = 0;
	for (unsigned n = 0; n < load_ports.relays; n++)
		moved += relay_at(load_ports.count + n);
	return moved;
}

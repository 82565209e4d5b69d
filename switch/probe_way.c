// SPDX-License-Identifier: BSD-3-Clause
#include "switch/probe_way.h"

#include <string.h>

#include "base/bytes.h"
#include "base/likely.h"

enum {
	PROBE_LEN = 60,      // bytes: the shortest Ethernet frame
	PROBE_TYPE = 0x88b5, // IEEE 802, Local Experimental EtherType 1
	// Behind the EtherType:
	CHAIN_AT = 12,
	INSTANCE_AT = 14,
	NUMBER_AT = 16,
	BODY_LEN = 24,
};

// Both addresses are locally administered and nobody's, so a bridge floods the frame to its other
// side and learns nothing that matters.
static const uint8_t head[] = {
	0x02,
	'w',
	'e',
	'i',
	'r',
	2,
	0x02,
	'w',
	'e',
	'i',
	'r',
	1,
	PROBE_TYPE >> 8,
	PROBE_TYPE & 0xff,
	'W',
	'e',
	'i',
	'r',
	' ',
	'p',
	'r',
	'o',
	'b',
	'e',
};

static void write_probe(uint8_t *frame, const struct probe_view *view, uint64_t number)
{
	uint8_t *body = frame + 14;
	memset(frame, 0, PROBE_LEN);
	memcpy(frame, head, sizeof(head));
	memcpy(body + CHAIN_AT, &view->chain, sizeof(view->chain));
	body[INSTANCE_AT] = view->step->nf->number;
	memcpy(body + NUMBER_AT, &number, sizeof(number));
}

// All that this worker has ever lost at a port.
static uint64_t lost_at(const struct pass *pass, const struct port_view *view)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		sum += atomic_load_explicit(
			&view->port->drops[pass->worker].of[i], memory_order_relaxed);
	return sum;
}

// A burst of one frame that nobody has lent, as if it came back from a hop before. False: it was
// lost.
static bool send_probe(struct pass *pass, const struct probe_view *view, uint64_t number)
{
	const struct chain_step *step = view->step;
	struct burst *burst = &pass->burst;
	struct packet *p = &burst->packets[0];
	uint8_t *frame = burst->stash[0] + STASH_HEADROOM;
	write_probe(frame, view, number);
	*p = (struct packet){.data = frame, .len = PROBE_LEN, .head_len = PROBE_LEN};
	burst->count = 1;
	burst->nsegments = 0;
	pass->in = step->view[CHAIN_LEFT];
	pass->source = NULL;
	pass->counters = NULL;
	pass->mbufs[0] = NULL;
	stage_parse(pass);
	p->vlan = view->vlan;
	p->verdict = VERDICT_FORWARD;
	p->out_port = step->port[CHAIN_LEFT];
	uint64_t before = lost_at(pass, pass->in);
	stage_tx(pass);
	stage_release(pass);
	return lost_at(pass, pass->in) == before;
}

void probes_send(struct pass *pass)
{
	const struct snapshot *s = pass->snapshot;
	for (uint32_t i = 0; i < s->nprobes; i++) {
		const struct probe_view *view = &s->probes[i];
		struct probe *probe = &view->step->nf->probe;
		uint32_t turn = atomic_load_explicit(&probe->asked, memory_order_acquire);
		if (view->worker != pass->worker || !probe_is_to_be_sent(probe))
			continue;
		uint64_t number = atomic_load_explicit(
			&probe->numbers[turn % PROBE_FAILURES_MAX], memory_order_relaxed);
		if (send_probe(pass, view, number))
			atomic_store_explicit(&probe->sent, turn, memory_order_relaxed);
	}
}

bool probe_came_back(const struct pass *pass, struct packet *p)
{
	const uint8_t *body = p->data + p->l3_off;
	uint16_t number;
	uint64_t secret;
	if (p->ether_type != PROBE_TYPE || p->head_len < p->l3_off + BODY_LEN)
		return false;
	memcpy(&number, body + CHAIN_AT, sizeof(number));
	memcpy(&secret, body + NUMBER_AT, sizeof(secret));
	const struct chain_view *chain = number < CONN_CHAINS ? pass->snapshot->chains[number]
							      : NULL;
	if (!chain || pass->in->places[number] == CHAIN_NO_PLACE)
		return false;
	const struct chain_step *step = &chain->steps[pass->in->places[number]];
	if (step->port[CHAIN_RIGHT] != pass->in->id || step->nf->number != body[INSTANCE_AT] ||
		!probe_hear(&step->nf->probe, secret))
		return false;
	p->verdict = VERDICT_TAKEN;
	return true;
}

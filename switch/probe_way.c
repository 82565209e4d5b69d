// SPDX-License-Identifier: BSD-3-Clause
#include "switch/probe_way.h"

#include <netinet/in.h>

#include "switch/chain_macs.h"
#include "switch/chain_way.h"
#include "switch/probe_frame.h"

// All that this worker has ever lost at a port.
static uint64_t lost_at(const struct pass *pass, const struct port_view *view)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		sum += atomic_load_explicit(
			&view->port->drops[pass->worker].of[i], memory_order_relaxed);
	return sum;
}

static uint16_t write_probe(uint8_t *frame, const struct probe_view *view, uint64_t number)
{
	const struct chain_step *step = view->step;
	const struct probe_mark mark = {view->chain, step->nf->number, number};
	return step->routed ? probe_write_echo(
				      frame, step->mac[CHAIN_LEFT], chain_mac, &view->config, &mark)
			    : probe_write_frame(frame, &mark);
}

// Straight into the VM's ring: a port's queue is no part of its NF, and what waits there says
// nothing about that. False: it was lost.
static bool deliver(struct pass *pass, struct packet *p)
{
	if (!pass->in->vhost)
		return false;
	uint64_t before = lost_at(pass, pass->in);
	struct bunch one = {.count = 0}, left;
	bunch_add(&one, p);
	vm_send(pass, pass->in, &one, &left);
	return !left.count && lost_at(pass, pass->in) == before;
}

// A burst of one frame that nobody has lent, as if it came back from a hop before. False: it was
// lost.
static bool send_probe(struct pass *pass, const struct probe_view *view, uint64_t number)
{
	const struct chain_step *step = view->step;
	struct burst *burst = &pass->burst;
	struct packet *p = &burst->packets[0];
	uint8_t *frame = burst->stash[0] + STASH_HEADROOM;
	uint16_t len = write_probe(frame, view, number);
	*p = (struct packet){.data = frame, .len = len, .head_len = len};
	burst->count = 1;
	burst->nsegments = 0;
	pass->in = step->view[CHAIN_LEFT];
	pass->source = NULL;
	pass->counters = NULL;
	pass->mbufs[0] = NULL;
	stage_parse(pass);
	p->vlan = view->vlan;
	chain_tell(step, p, CHAIN_LEFT);
	bool delivered = deliver(pass, p);
	stage_release(pass);
	return delivered;
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

// The instance of the probe that the packet is, if that comes out here; or NULL.
static const struct chain_step *step_of(
	const struct pass *pass, const struct packet *p, struct probe_mark *mark)
{
	if (!probe_read(p, mark))
		return NULL;
	const struct chain_view *chain = mark->chain < CONN_CHAINS
						 ? pass->snapshot->chains[mark->chain]
						 : NULL;
	if (!chain || pass->in->places[mark->chain] == CHAIN_NO_PLACE ||
		(pass->in->marks && p->chain != mark->chain))
		return NULL;
	const struct chain_step *step = &chain->steps[pass->in->places[mark->chain]];
	bool is_own = step->port[CHAIN_RIGHT] == pass->in->id && step->nf->number == mark->instance;
	return is_own ? step : NULL;
}

bool probe_came_back(const struct pass *pass, struct packet *p)
{
	struct probe_mark mark;
	const struct chain_step *step = step_of(pass, p, &mark);
	if (!step || !probe_hear(&step->nf->probe, mark.number))
		return false;
	p->verdict = VERDICT_TAKEN;
	return true;
}

// One that comes late, or twice, is for nobody either.
static void end_echo(const struct pass *pass, struct packet *p)
{
	struct probe_mark mark;
	const struct chain_step *step = step_of(pass, p, &mark);
	if (!step)
		return;
	if (probe_hear(&step->nf->probe, mark.number))
		p->verdict = VERDICT_TAKEN;
	else
		packet_drop(p, DROP_CHAIN_STRAY);
}

void probes_end_echoes(struct pass *pass)
{
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++)
		if (p->verdict == VERDICT_NONE &&
			(p->l4_proto == IPPROTO_ICMP || p->l4_proto == IPPROTO_ICMPV6))
			end_echo(pass, p);
}

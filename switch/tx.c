// SPDX-License-Identifier: BSD-3-Clause
// Delivers: groups the burst by receiver, and has its ring, queue or NIC take it. Each packet of an
// output is counted as sent to the receiver, as held for it, or as a named drop.
#include "switch/pipeline.h"

#include "base/likely.h"
#include "switch/chain_way.h"
#include "switch/neighbour.h"
#include "switch/policy.h"
#include "switch/nic.h"
#include "switch/nsh.h"
#include "switch/queue_tx.h"

// For a port with a rate as that counts, so that all it was sent is found again.
void tx_lose(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	uint64_t n = out->queueing.queue ? queue_load(bunch).packets : bunch->count;
	pass_drop_packets(pass, out->port, out->is_nic ? DROP_TO_NIC_NOT_UP : DROP_TO_VM_NOT_UP, n,
		bunch->packets[0]);
}

static void deliver_to_vm(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	struct bunch none;
	if (unlikely(out->queueing.queue))
		queue_send(pass, out, bunch);
	else
		vm_send(pass, out, bunch, &none);
}

static bool nic_is_up(const struct nic *nic)
{
	return atomic_load_explicit(&nic->running, memory_order_relaxed);
}

static void deliver(struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	if (likely(out->vhost))
		deliver_to_vm(pass, out, bunch);
	else if (out->nic && nic_is_up(out->nic))
		nic_send(pass, out, bunch->packets, bunch->count);
	else
		tx_lose(pass, out, bunch);
}

static void send_to_port(struct pass *pass, uint16_t id, const struct bunch *bunch)
{
	deliver(pass, pass->snapshot->views[id], bunch);
}

// To more than one port: each one's packets together, in their order.
static void send_mixed(struct pass *pass, struct bunch *unicast)
{
	while (unicast->count) {
		uint16_t id = unicast->packets[0]->out_port;
		struct bunch same = {.count = 0};
		unsigned others = 0;
		for (unsigned i = 0; i < unicast->count; i++) {
			struct packet *p = unicast->packets[i];
			if (p->out_port == id)
				bunch_add(&same, p);
			else
				unicast->packets[others++] = p;
		}
		unicast->count = others;
		send_to_port(pass, id, &same);
	}
}

// A port whose link is down, as is one without a running guest, is no member of the flood set:
// nothing is lost.
static bool is_flooded(const struct port_view *out)
{
	return out->vhost ? vhost_port_pairs(out->vhost) : out->nic && nic_is_up(out->nic);
}

// A copy for a port with groups that does not take it.
static void count_refused(struct pass *pass, const struct port_view *out, const struct packet *p)
{
	if (p->drop != DROP_NONE)
		pass_drop_packets(pass, pass->snapshot->views[p->out_port]->port, p->drop, 1, p);
	else
		pass_drop_packets(pass, out->port, DROP_GROUP_DENY, 1, p);
}

// Behind a network function it has come from another port before.
static bool is_sender(const struct pass *pass, const struct port_view *out, const struct packet *p)
{
	if (likely(!pass->in->places) || !(p->flags & PACKET_CONNECTION))
		return false;
	const struct conn *conn = conn_at(pass->tracker.table, p->conn);
	return conn_port(conn, pass->keys[p->key].direction) == out->id;
}

// Once with each of the tags or paths behind which the port is a host. To other ports they go as
// they were.
static void deliver_marked(
	struct pass *pass, const struct port_view *out, const struct bunch *bunch)
{
	uint16_t tpids[BURST_MAX];
	for (unsigned i = 0; i < bunch->count; i++)
		tpids[i] = bunch->packets[i]->vlan_tpid;
	for (const struct chain_mark *mark = out->marks; mark; mark = mark->next) {
		if (!chain_begins_at(pass, out, mark->chain))
			continue;
		for (unsigned i = 0; i < bunch->count; i++)
			chain_tell_mark(out, mark, bunch->packets[i]);
		deliver(pass, out, bunch);
		for (unsigned i = 0; i < bunch->count && out->is_nsh; i++)
			nsh_off(bunch->packets[i]);
	}
	for (unsigned i = 0; i < bunch->count; i++) {
		bunch->packets[i]->vlan = out->untagged_vlan;
		bunch->packets[i]->vlan_tpid = tpids[i];
	}
}

static void send_flood(struct pass *pass, const struct bunch *flood)
{
	bool reached[BURST_MAX] = {false};
	for (uint16_t n = 0; n < pass->in->npeers; n++) {
		const struct port_view *out = pass->snapshot->views[pass->in->peers[n]];
		if (out == pass->in || !is_flooded(out))
			continue;
		bool is_host = out->places;
		struct bunch members = {.count = 0};
		for (unsigned i = 0; i < flood->count; i++) {
			struct packet *p = flood->packets[i];
			if (!view_is_member(out, p->vlan) || unlikely(is_sender(pass, out, p)))
				continue;
			if (unlikely(is_host) &&
				(!neighbour_is(p) || (out->marks && p->vlan != out->untagged_vlan)))
				continue;
			reached[i] = true;
			if (unlikely(out->groups) && !policy_admits_flooded(pass, out, p))
				count_refused(pass, out, p);
			else
				bunch_add(&members, p);
		}
		if (members.count && out->marks)
			deliver_marked(pass, out, &members);
		else if (members.count)
			deliver(pass, out, &members);
	}
	for (unsigned i = 0; i < flood->count; i++)
		if (!reached[i])
			pass_drop_packets(
				pass, pass->in->port, DROP_NO_RECEIVER, 1, flood->packets[i]);
}

// What is for a host that several chains have: it does not say by which one it was asked for.
static bool is_for_host(const struct packet *p)
{
	return p->out_port && p->drop == DROP_NONE;
}

static void send_to_host(struct pass *pass, struct packet *p)
{
	const struct port_view *out = pass->snapshot->views[p->out_port];
	struct bunch one = {.count = 0};
	bunch_add(&one, p);
	deliver_marked(pass, out, &one);
}

static struct port *port_of_drop(const struct pass *pass, const struct packet *p)
{
	if (unlikely(p->flags & PACKET_TO_RECEIVER))
		return pass->snapshot->views[p->out_port]->port;
	return pass->in->port;
}

void stage_tx(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	struct bunch unicast, flood;
	uint16_t first = 0, others = 0;
	unicast.count = flood.count = 0;
	for (unsigned i = 0; i < burst->count; i++) {
		struct packet *p = &burst->packets[i];
		if (likely(p->verdict == VERDICT_FORWARD)) {
			if (!unicast.count)
				first = p->out_port;
			others |= p->out_port ^ first;
			bunch_add(&unicast, p);
		} else if (p->verdict == VERDICT_FLOOD) {
			if (unlikely(is_for_host(p)))
				send_to_host(pass, p);
			else
				bunch_add(&flood, p);
		} else if (p->verdict == VERDICT_DROP) {
			pass_drop_packets(pass, port_of_drop(pass, p), p->drop, 1, p);
		}
	}
	if (others)
		send_mixed(pass, &unicast);
	else if (unicast.count)
		send_to_port(pass, first, &unicast);
	if (flood.count)
		send_flood(pass, &flood);
}

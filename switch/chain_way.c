// SPDX-License-Identifier: BSD-3-Clause
#include "switch/chain_way.h"

#include "base/likely.h"
#include "switch/nsh.h"

// --- choosing

// Highest random weight: each instance's depends on no other, so one more or less moves none that
// go to another one (Thaler, Ravishankar, IEEE/ACM Transactions on Networking 6, 1998). The
// connection's hash is that of both directions.
static uint64_t weight(const struct conn *conn, const struct nf *nf)
{
	uint64_t w = (conn->hash ^ nf->salt) * UINT64_C(0xff51afd7ed558ccd);
	w = (w ^ w >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return w ^ w >> 33;
}

// Wherever it stands: the hop may have had another place in the chain.
static uint8_t chosen_before(const struct chain_view *chain, const struct conn *conn, unsigned hop)
{
	for (unsigned i = 0; i < CHAIN_HOPS_MAX; i++) {
		uint8_t number = conn_instance(conn, i);
		if (chain->place[number] >> 4 == hop)
			return number;
	}
	return 0;
}

static uint8_t choose_at(const struct chain_view *chain, const struct conn *conn, unsigned hop)
{
	uint32_t zone = conn_id_zone(&conn->id);
	uint16_t vlan = zone % VLAN_COUNT;
	uint8_t best = chosen_before(chain, conn, hop);
	uint64_t heaviest = 0;
	if (best && chain_is_usable(&chain->steps[chain->place[best]], zone - vlan, vlan))
		return best;
	for (unsigned i = 0; i < chain->hops[hop].ninstances; i++) {
		const struct chain_step *step = &chain->steps[hop << 4 | i];
		if (!chain_is_usable(step, zone - vlan, vlan) || weight(conn, step->nf) < heaviest)
			continue;
		heaviest = weight(conn, step->nf);
		best = step->nf->number;
	}
	return best;
}

int chain_find_begin(
	const struct pass *pass, const struct chain_view *chain, const struct conn *conn)
{
	const struct port_view *host = chain_host_of(pass, conn);
	return host && conn_chain(conn) == chain->number ? host->places[chain->number] >> 4 : -1;
}

// What begins behind an NF visits none before it, and that one on its way back.
void chain_choose(const struct pass *pass, const struct chain_view *chain, struct conn *conn)
{
	uint8_t instances[CHAIN_HOPS_MAX] = {0};
	int behind = chain_begins_behind(pass, chain, conn);
	if (behind >= 0) {
		uint8_t place = chain_host_of(pass, conn)->places[chain->number];
		instances[behind] = chain->steps[place].nf->number;
	}
	for (unsigned hop = (unsigned)(behind + 1); hop < chain->nhops; hop++)
		instances[hop] = choose_at(chain, conn, hop);
	conn_choose(pass->tracker.table, conn, chain->number, instances);
}

// --- sending

// As if it were of that VLAN: tx puts the tag on, one of 802.1Q, whatever tag the sender's was.
static void tell_by_tag(struct packet *p, uint16_t tag)
{
	p->vlan = tag;
	p->vlan_tpid = 0;
}

void chain_tell(const struct chain_step *step, struct packet *p, enum chain_side side)
{
	if (step->tag)
		tell_by_tag(p, step->tag);
	if (step->path)
		nsh_push(p, step->mac[side], chain_mac, (struct nsh){step->path, step->index});
}

void chain_tell_mark(const struct port_view *out, const struct chain_mark *mark, struct packet *p)
{
	if (out->is_nsh)
		nsh_push(p, out->mac, chain_mac, (struct nsh){mark->value, mark->index});
	else
		tell_by_tag(p, (uint16_t)mark->value);
}

void chain_dress(const struct chain_step *step, struct packet *p, enum chain_side side)
{
	if (step->routed)
		packet_set_macs(p, step->mac[side], chain_mac);
	if (step->told)
		chain_tell(step, p, side);
}

bool chain_run_begin(const struct pass *pass, const struct chain_view *chain,
	const struct conn *conn, const struct packet *p, bool reply, unsigned hop,
	struct chain_run *run)
{
	const struct chain_step *step = chain_step_at(pass, chain, conn, hop, p->vlan);
	if (unlikely(!step))
		return false;
	chain_run_count(run);
	run->key = chain_run_key(chain, step->nf->number, hop, reply, p->vlan);
	run->step = step;
	run->counter = chain_counter(pass, step, reply);
	nf_time_begin(pass, step->nf, p, reply);
	return true;
}

static bool has_usable(
	const struct pass *pass, const struct chain_view *chain, unsigned hop, uint16_t vlan)
{
	for (unsigned i = 0; i < chain->hops[hop].ninstances; i++)
		if (chain_is_usable(&chain->steps[hop << 4 | i], pass->in->zone, vlan))
			return true;
	return false;
}

// Another instance in its place. Where there is none the entry keeps what it has, and its lock is
// not taken for each packet.
static const struct chain_step *step_instead(const struct pass *pass,
	const struct chain_view *chain, struct conn *conn, unsigned hop, uint16_t vlan)
{
	if (!has_usable(pass, chain, hop, vlan))
		return NULL;
	chain_choose(pass, chain, conn);
	return chain_step_at(pass, chain, conn, hop, vlan);
}

// Whether it may have begun behind an NF: its port is not there, since it is being opened anew.
static bool is_begin_missing(
	const struct pass *pass, const struct chain_view *chain, const struct conn *conn)
{
	uint16_t port = conn_port(conn, conn_original_direction(conn));
	return chain->has_recognised && !pass->snapshot->views[port];
}

bool chain_send_instead(const struct pass *pass, const struct chain_view *chain, struct conn *conn,
	struct packet *p, bool reply, int hop)
{
	int behind = chain_begins_behind(pass, chain, conn);
	bool missing = is_begin_missing(pass, chain, conn);
	for (; hop >= 0 && hop < chain->nhops; hop += reply ? -1 : 1) {
		const struct chain_step *step = chain_step_at(
			pass, chain, conn, (unsigned)hop, p->vlan);
		if (unlikely(!step) && !missing)
			step = step_instead(pass, chain, conn, (unsigned)hop, p->vlan);
		if (likely(step)) {
			counter_add(chain_counter(pass, step, reply), 1, p->len);
			chain_output(step, p, reply);
			return true;
		}
		struct hop_counters *counters = &chain->hops[hop].hop->counters[pass->worker];
		// Nobody but the NF that has changed its addresses can change them back.
		if (chain->hops[hop].closed || hop == behind || missing) {
			counter_add(&counters->closed, 1, p->len);
			packet_drop(p, DROP_CHAIN_CLOSED);
			return true;
		}
		counter_add(&counters->skipped, 1, p->len);
	}
	return false;
}

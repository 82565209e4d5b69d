// SPDX-License-Identifier: BSD-3-Clause
#include "switch/chain_way.h"

#include "base/likely.h"

static inline bool is_in_service(const struct nf *nf)
{
	return atomic_load_explicit(&nf->state, memory_order_relaxed) == INSTANCE_IN_SERVICE;
}

// In service, and the packets of this bridge and VLAN find their connection when they come back.
static inline bool is_usable(const struct chain_step *step, uint32_t zone, uint16_t vlan)
{
	return likely(step->zone == zone) && likely(is_in_service(step->nf)) &&
	       likely(view_is_member(step->view[CHAIN_LEFT], vlan)) &&
	       likely(view_is_member(step->view[CHAIN_RIGHT], vlan));
}

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
	if (best && is_usable(&chain->steps[chain->place[best]], zone - vlan, vlan))
		return best;
	for (unsigned i = 0; i < chain->hops[hop].ninstances; i++) {
		const struct chain_step *step = &chain->steps[hop << 4 | i];
		if (!is_usable(step, zone - vlan, vlan) || weight(conn, step->nf) < heaviest)
			continue;
		heaviest = weight(conn, step->nf);
		best = step->nf->number;
	}
	return best;
}

void chain_choose(const struct pass *pass, const struct chain_view *chain, struct conn *conn)
{
	uint8_t instances[CHAIN_HOPS_MAX] = {0};
	for (unsigned hop = 0; hop < chain->nhops; hop++)
		instances[hop] = choose_at(chain, conn, hop);
	conn_choose(pass->tracker.table, conn, chain->number, instances);
}

// --- sending

static inline const struct chain_step *step_at(const struct pass *pass,
	const struct chain_view *chain, const struct conn *conn, unsigned hop, uint16_t vlan)
{
	uint8_t place = chain->place[conn_instance(conn, hop)];
	if (unlikely(place >> 4 != hop))
		return NULL;
	const struct chain_step *step = &chain->steps[place];
	return likely(is_usable(step, pass->in->zone, vlan)) ? step : NULL;
}

static inline void send_to(
	const struct pass *pass, const struct chain_step *step, struct packet *p, bool reply)
{
	struct nf_counters *counters = &step->nf->counters[pass->worker];
	counter_add(reply ? &counters->reply : &counters->original, 1, p->len);
	p->verdict = VERDICT_FORWARD;
	p->out_port = step->port[reply ? CHAIN_RIGHT : CHAIN_LEFT];
}

// The instance at a hop, or another one in its place.
static const struct chain_step *step_instead(const struct pass *pass,
	const struct chain_view *chain, struct conn *conn, unsigned hop, uint16_t vlan)
{
	chain_choose(pass, chain, conn);
	return step_at(pass, chain, conn, hop, vlan);
}

bool chain_send(const struct pass *pass, const struct chain_view *chain, struct conn *conn,
	struct packet *p, bool reply, int hop)
{
	for (; hop >= 0 && hop < chain->nhops; hop += reply ? -1 : 1) {
		const struct chain_step *step = step_at(pass, chain, conn, (unsigned)hop, p->vlan);
		if (unlikely(!step))
			step = step_instead(pass, chain, conn, (unsigned)hop, p->vlan);
		if (likely(step)) {
			send_to(pass, step, p, reply);
			return true;
		}
		struct hop_counters *counters = &chain->hops[hop].hop->counters[pass->worker];
		if (chain->hops[hop].closed) {
			counter_add(&counters->closed, 1, p->len);
			packet_drop(p, DROP_CHAIN_CLOSED);
			return true;
		}
		counter_add(&counters->skipped, 1, p->len);
	}
	return false;
}

// SPDX-License-Identifier: BSD-3-Clause
// Which instances connections visit: how they spread, and which of them move when one goes; and
// what becomes of MAC addresses at hops that route.
#include "switch/chain_way.h"
#include "switch/policy_private.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit_conn_table.h"

enum {
	CONNECTIONS = 40000,
	CHAIN = 5,
	BRIDGE_ZONE = 3 << ZONE_VLAN_BITS,
};

static struct pass pass;
static struct snapshot snapshot;
static struct chain_view chain;
static struct port_view in, arms[CHAIN_HOPS_MAX][HOP_INSTANCES_MAX];
static struct nf *nfs[CHAIN_HOPS_MAX][HOP_INSTANCES_MAX];
static struct hop *hops[CHAIN_HOPS_MAX];
static struct chain *lasting;
static uint8_t places[CONN_CHAINS];
static uint32_t indexes[CONNECTIONS];

static void *zeroed(size_t size)
{
	void *at = aligned_alloc(64, (size + 63) & ~(size_t)63);
	return memset(at, 0, size);
}

static void add_instance(unsigned hop, uint8_t number)
{
	unsigned i = chain.hops[hop].ninstances++;
	struct port_view *arm = &arms[hop][i];
	arm->id = (uint16_t)(100 + 16 * hop + i);
	arm->zone = BRIDGE_ZONE;
	arm->members[0] = 1;
	if (!nfs[hop][i]) {
		nfs[hop][i] = zeroed(sizeof(struct nf) + sizeof(struct nf_counters));
		nfs[hop][i]->salt = UINT64_C(0x9e3779b97f4a7c15) * number;
	}
	nfs[hop][i]->number = number;
	uint8_t place = (uint8_t)(hop << 4 | i);
	chain.steps[place] = (struct chain_step){
		.port = {arm->id, arm->id},
		.zone = BRIDGE_ZONE,
		.view = {arm, arm},
		.nf = nfs[hop][i],
	};
	chain.place[number] = place;
}

static void begin(void)
{
	make(CONNECTIONS, 1);
	lasting = zeroed(sizeof(*lasting) + sizeof(struct begun));
	chain = (struct chain_view){.number = CHAIN, .chain = lasting, .nhops = 2};
	memset(chain.place, CHAIN_NO_PLACE, sizeof(chain.place));
	memset(places, CHAIN_NO_PLACE, sizeof(places));
	for (unsigned h = 0; h < 2; h++)
		chain.hops[h].hop = hops[h] = zeroed(
			sizeof(struct hop) + sizeof(struct hop_counters));
	for (uint8_t i = 0; i < 8; i++)
		add_instance(0, (uint8_t)(i + 1));
	add_instance(1, 200);
	in.zone = BRIDGE_ZONE;
	snapshot.chains[CHAIN] = &chain;
	snapshot.conns = table;
	pass.snapshot = &snapshot;
	pass.in = &in;
	pass.tracker.table = table;
}

static void end(void)
{
	for (unsigned h = 0; h < 2; h++) {
		for (unsigned i = 0; i < HOP_INSTANCES_MAX; i++)
			free(nfs[h][i]);
		free(hops[h]);
	}
	free(lasting);
	unmake();
}

TestSuite(chain, .init = begin, .fini = end);

static struct conn_key key_of(uint32_t n)
{
	struct conn_key key = n % 2 ? kit_key6(n) : kit_key4(n);
	key.id.meta = conn_meta(BRIDGE_ZONE, conn_id_protocol(&key.id), conn_id_family(&key.id));
	return key;
}

static struct conn *begun(uint32_t n)
{
	struct conn_resolved resolved = {.epoch = 1, .chain = CHAIN};
	cr_assert_eq(add(key_of(n), 0, CONN_UDP_UNANSWERED, 0, &indexes[n]), 0);
	struct conn *conn = conn_at(table, indexes[n]);
	conn_resolve(table, conn, conn_generation(conn), &resolved);
	chain_choose(&pass, &chain, conn);
	return conn;
}

static void begin_all(uint8_t *chosen, unsigned counts[9])
{
	for (uint32_t n = 0; n < CONNECTIONS; n++) {
		chosen[n] = conn_instance(begun(n), 0);
		cr_assert(chosen[n] >= 1 && chosen[n] <= 8);
		counts[chosen[n]]++;
	}
}

Test(chain, connections_spread_evenly)
{
	static uint8_t chosen[CONNECTIONS];
	unsigned counts[9] = {0};
	begin_all(chosen, counts);
	for (unsigned i = 1; i <= 8; i++) {
		cr_expect(counts[i] > CONNECTIONS / 8 * 95 / 100 &&
				  counts[i] < CONNECTIONS / 8 * 105 / 100,
			"instance %u has %u of %u", i, counts[i], CONNECTIONS);
		cr_expect_eq(conn_count_in(table, CHAIN, (uint8_t)i), counts[i]);
	}
	cr_expect_eq(conn_count_in(table, CHAIN, 0), CONNECTIONS);
	cr_expect_eq(conn_count_in(table, CHAIN, 200), CONNECTIONS);
}

Test(chain, one_that_fails_moves_its_own_and_gets_none_of_them_back)
{
	static uint8_t chosen[CONNECTIONS];
	unsigned counts[9] = {0}, moved = 0, got[9] = {0};
	begin_all(chosen, counts);
	atomic_store(&nfs[0][3]->state, INSTANCE_STALLED);
	for (uint32_t n = 0; n < CONNECTIONS; n++) {
		struct conn *conn = conn_at(table, indexes[n]);
		chain_choose(&pass, &chain, conn);
		uint8_t now = conn_instance(conn, 0);
		cr_assert_eq(now != chosen[n], chosen[n] == 4, "of instance %u", chosen[n]);
		moved += now != chosen[n];
		got[now] += now != chosen[n];
		chosen[n] = now;
	}
	cr_expect_eq(moved, counts[4]);
	for (unsigned i = 1; i <= 8; i++)
		cr_expect(
			i == 4 || (got[i] > moved / 7 * 85 / 100 && got[i] < moved / 7 * 115 / 100),
			"instance %u took %u of %u", i, got[i], moved);
	atomic_store(&nfs[0][3]->state, INSTANCE_IN_SERVICE);
	for (uint32_t n = 0; n < CONNECTIONS; n++) {
		struct conn *conn = conn_at(table, indexes[n]);
		chain_choose(&pass, &chain, conn);
		cr_assert_eq(conn_instance(conn, 0), chosen[n]);
	}
}

Test(chain, an_instance_more_takes_its_part_of_new_ones_alone)
{
	static uint8_t before[CONNECTIONS];
	unsigned counts[9] = {0}, moved = 0;
	begin_all(before, counts);
	add_instance(0, 9);
	for (uint32_t n = 0; n < CONNECTIONS; n++) {
		struct conn *conn = conn_at(table, indexes[n]);
		chain_choose(&pass, &chain, conn);
		cr_assert_eq(conn_instance(conn, 0), before[n], "a running one");
		// As if it began now.
		conn_choose(table, conn, CHAIN, (uint8_t[CHAIN_HOPS_MAX]){0});
		chain_choose(&pass, &chain, conn);
		uint8_t now = conn_instance(conn, 0);
		cr_assert(now == before[n] || now == 9);
		moved += now == 9;
	}
	cr_expect(moved > CONNECTIONS / 9 * 95 / 100 && moved < CONNECTIONS / 9 * 105 / 100,
		"%u of %u", moved, CONNECTIONS);
}

// --- the way along the hops

static struct packet sent(struct conn *conn, bool reply, int hop, bool *to_hop)
{
	struct packet p = {.len = 60};
	struct chain_run run = {.key = 0};
	*to_hop = chain_send(&pass, &chain, conn, &p, reply, hop, &run);
	chain_run_count(&run);
	return p;
}

Test(chain, each_instance_gets_and_counts_its_own_in_a_mixed_burst)
{
	unsigned to[2][8] = {0};
	struct chain_run run = {.key = 0};
	struct conn *conn = NULL;
	for (uint32_t n = 0; n < 3000; n++) {
		struct packet p = {.len = 100};
		bool reply = n % 3 == 2;
		if (n % 3 == 0)
			conn = begun(n);
		cr_assert(chain_send(&pass, &chain, conn, &p, reply, 0, &run));
		unsigned i = chain.place[conn_instance(conn, 0)];
		cr_assert_eq(p.out_port, chain.steps[i].port[reply ? CHAIN_RIGHT : CHAIN_LEFT]);
		to[reply][i]++;
	}
	chain_run_count(&run);
	chain_run_count(&run);
	for (unsigned i = 0; i < 8; i++) {
		const struct nf_counters *counted = &nfs[0][i]->counters[0];
		cr_expect_eq(counted->original.packets, to[0][i]);
		cr_expect_eq(counted->original.bytes, 100 * to[0][i]);
		cr_expect_eq(counted->reply.packets, to[1][i]);
	}
}

Test(chain, a_run_is_of_one_hop_and_vlan)
{
	struct conn *conn = begun(0);
	struct chain_run run = {.key = 0};
	struct packet p = {.len = 60};
	cr_assert(chain_send(&pass, &chain, conn, &p, false, 0, &run));
	cr_assert(chain_send(&pass, &chain, conn, &p, false, 1, &run));
	cr_expect_eq(p.out_port, chain.steps[1 << 4].port[CHAIN_LEFT]);
	p = (struct packet){.len = 60, .vlan = 1};
	cr_assert_not(chain_send(&pass, &chain, conn, &p, false, 1, &run));
	cr_expect_eq(p.verdict, VERDICT_NONE, "the instance is not in that VLAN");
}

Test(chain, a_hop_without_any_in_service_is_skipped_or_closed)
{
	bool to_hop;
	struct conn *conn = begun(0);
	uint8_t first = conn_instance(conn, 0);
	struct packet p = sent(conn, false, 0, &to_hop);
	cr_assert(to_hop);
	cr_expect_eq(p.out_port, chain.steps[chain.place[first]].port[CHAIN_LEFT]);
	for (unsigned i = 0; i < 8; i++)
		atomic_store(&nfs[0][i]->state, INSTANCE_DOWN);
	p = sent(conn, false, 0, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_FORWARD);
	cr_expect_eq(p.out_port, chain.steps[1 << 4].port[CHAIN_LEFT], "the next hop");
	cr_expect_eq(conn_instance(conn, 0), first, "it comes back there");
	p = sent(conn, true, 0, &to_hop);
	cr_expect(!to_hop && p.verdict == VERDICT_NONE, "a reply leaves");
	chain.hops[0].closed = true;
	p = sent(conn, false, 0, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_DROP && p.drop == DROP_CHAIN_CLOSED);
	p = sent(conn, true, 1, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_FORWARD);
	cr_expect_eq(p.out_port, chain.steps[1 << 4].port[CHAIN_RIGHT]);
	cr_expect_eq(hops[0]->counters[0].skipped.packets, 2);
	cr_expect_eq(hops[0]->counters[0].closed.packets, 1);
}

Test(chain, an_instance_of_another_bridge_or_vlan_is_not_chosen)
{
	arms[0][2].members[0] = 0;
	chain.steps[5].zone = 4 << ZONE_VLAN_BITS;
	for (uint32_t n = 0; n < 1000; n++) {
		uint8_t now = conn_instance(begun(n), 0);
		cr_assert(now != 3 && now != 6);
	}
}

Test(chain, instances_stay_when_their_hop_has_another_place)
{
	static uint8_t before[1000];
	for (uint32_t n = 0; n < 1000; n++)
		before[n] = conn_instance(begun(n), 0);
	// Both hops change places.
	struct chain_view turned = chain;
	turned.hops[0] = chain.hops[1];
	turned.hops[1] = chain.hops[0];
	for (unsigned i = 0; i < HOP_INSTANCES_MAX; i++) {
		turned.steps[i] = chain.steps[1 << 4 | i];
		turned.steps[1 << 4 | i] = chain.steps[i];
	}
	for (unsigned number = 1; number < CONN_INSTANCES; number++)
		if (chain.place[number] != CHAIN_NO_PLACE)
			turned.place[number] = chain.place[number] ^ 1 << 4;
	for (uint32_t n = 0; n < 1000; n++) {
		struct conn *conn = conn_at(table, indexes[n]);
		chain_choose(&pass, &turned, conn);
		cr_assert_eq(conn_instance(conn, 0), 200);
		cr_assert_eq(conn_instance(conn, 1), before[n]);
	}
}

// --- hops that route

static const uint8_t there[12] = "\x52\x54\0\0\0\2\x52\x54\0\0\0\1";
static const uint8_t back[12] = "\x52\x54\0\0\0\1\x52\x54\0\0\0\2";

static struct packet framed(uint8_t frame[12], const uint8_t macs[12])
{
	memcpy(frame, macs, 12);
	return (struct packet){.data = frame, .len = 60};
}

Test(chain, a_routed_hop_gets_packets_at_its_own_address)
{
	uint8_t frame[12];
	struct chain_step *step = &chain.steps[1 << 4];
	step->is_dressed = step->routed = true;
	memcpy(step->mac[CHAIN_LEFT], "\x52\x54\0\0\0\x0a", 6);
	memcpy(step->mac[CHAIN_RIGHT], "\x52\x54\0\0\0\x0b", 6);
	struct conn *conn = begun(0);
	struct chain_run run = {.key = 0};
	struct packet p = framed(frame, there);
	cr_assert(chain_send(&pass, &chain, conn, &p, false, 1, &run));
	cr_expect_arr_eq(frame, "\x52\x54\0\0\0\x0a\2Weir\0", 12);
	p = framed(frame, back);
	cr_assert(chain_send(&pass, &chain, conn, &p, true, 1, &run));
	cr_expect_arr_eq(frame, "\x52\x54\0\0\0\x0b\2Weir\0", 12);
	p = framed(frame, there);
	cr_assert(chain_send(&pass, &chain, conn, &p, false, 0, &run));
	cr_expect_arr_eq(frame, there, 12, "one that is as a bridge");
}

Test(chain, addresses_are_put_back_by_direction)
{
	uint8_t frame[12];
	struct chain_macs macs = {0};
	struct packet p = framed(frame, there);
	cr_expect(!chain_macs_restore(&macs, 0, &p), "none is known");
	memcpy(frame, there, 12);
	chain_macs_note(&macs, 1, &p);
	cr_expect(chain_macs_restore(&macs, 0, &p));
	cr_expect_arr_eq(frame, back, 12, "turned round");
	static const uint8_t other[12] = "\x52\x54\0\0\0\3\x52\x54\0\0\0\4";
	memcpy(frame, other, 12);
	chain_macs_note(&macs, 0, &p);
	memset(frame, 0, 12);
	cr_expect(chain_macs_restore(&macs, 0, &p));
	cr_expect_arr_eq(frame, other, 12);
	cr_expect(chain_macs_restore(&macs, 1, &p));
	cr_expect_arr_eq(frame, there, 12);
	chain_macs_forget(&macs);
	cr_expect(!chain_macs_restore(&macs, 1, &p));
}

Test(chain, an_entry_that_comes_into_a_chain_forgets_the_last_one_s_addresses)
{
	static struct chain_macs macs[CONNECTIONS + 1];
	static const struct port_view from = {.id = 7}, to = {.id = 8};
	const struct ends ends = {&from, &to};
	const struct answer answer = {.chain = CHAIN};
	struct conn_resolved resolved = {.epoch = 1};
	uint8_t frame[12];
	struct packet p = framed(frame, there);
	snapshot.macs = macs;
	snapshot.epoch = 2;
	cr_assert_eq(add(key_of(0), 0, CONN_UDP_UNANSWERED, 0, &indexes[0]), 0);
	struct conn *conn = conn_at(table, indexes[0]);
	conn_resolve(table, conn, conn_generation(conn), &resolved);
	chain_macs_note(&macs[indexes[0]], 0, &p);
	policy_note_resolved(&pass, conn, conn_generation(conn), 0, &ends, &answer);
	cr_expect(!chain_macs_restore(&macs[indexes[0]], 0, &p));
	// As long as it stays there it keeps them.
	memcpy(frame, there, 12);
	chain_macs_note(&macs[indexes[0]], 0, &p);
	policy_note_resolved(&pass, conn, conn_generation(conn), 0, &ends, &answer);
	cr_expect(chain_macs_restore(&macs[indexes[0]], 0, &p));
}

// --- what begins behind an NF

static struct port_view host;

// The second hop's instance is recognised, and what it sends begins connections.
static struct conn *begun_behind(uint32_t n)
{
	struct conn_resolved resolved = {.epoch = 1, .chain = CHAIN};
	host = arms[0][5];
	host.places = places;
	host.is_host = true;
	places[CHAIN] = 5;
	snapshot.views[host.id] = &host;
	chain.hops[0].recognised = chain.has_recognised = true;
	cr_assert_eq(add(key_of(n), 0, CONN_UDP_UNANSWERED, 0, &indexes[n]), 0);
	struct conn *conn = conn_at(table, indexes[n]);
	resolved.ports[conn_original_direction(conn)] = host.id;
	conn_resolve(table, conn, conn_generation(conn), &resolved);
	chain_choose(&pass, &chain, conn);
	return conn;
}

Test(chain, what_begins_behind_a_hop_visits_that_instance_alone_of_it)
{
	for (uint32_t n = 0; n < 100; n++) {
		struct conn *conn = begun_behind(n);
		cr_assert_eq(conn_instance(conn, 0), 6);
		cr_assert_eq(conn_instance(conn, 1), 200);
		cr_assert_eq(chain_begins_behind(&pass, &chain, conn), 0);
		cr_assert_eq(chain_host_of(&pass, conn), &host);
	}
	cr_expect_eq(chain_begins_behind(&pass, &chain, begun(200)), -1);
	cr_expect_null(chain_host_of(&pass, conn_at(table, indexes[200])));
	// One of another chain, though its port is the same.
	struct chain_view other = chain;
	other.number = CHAIN + 1;
	cr_expect_eq(chain_begins_behind(&pass, &other, conn_at(table, indexes[0])), -1);
}

Test(chain, replies_to_it_end_there_and_are_never_sent_past_it)
{
	bool to_hop;
	struct conn *conn = begun_behind(0);
	struct packet p = sent(conn, true, 0, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_FORWARD);
	cr_expect_eq(p.out_port, chain.steps[5].port[CHAIN_RIGHT]);
	atomic_store(&nfs[0][5]->state, INSTANCE_DOWN);
	p = sent(conn, true, 0, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_DROP && p.drop == DROP_CHAIN_CLOSED,
		"though the hop is open, and has others");
	cr_expect_eq(conn_instance(conn, 0), 6);
}

Test(chain, what_has_begun_at_a_port_that_is_opened_anew_keeps_its_instances)
{
	bool to_hop;
	struct conn *conn = begun_behind(0);
	snapshot.views[host.id] = NULL;
	chain.steps[5].zone = UINT32_MAX;
	struct packet p = sent(conn, true, 0, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_DROP && p.drop == DROP_CHAIN_CLOSED,
		"nobody else can change its addresses back");
	atomic_store(&nfs[1][0]->state, INSTANCE_DOWN);
	add_instance(1, 201);
	p = sent(conn, false, 1, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_DROP && p.drop == DROP_CHAIN_CLOSED);
	cr_expect_eq(conn_instance(conn, 0), 6);
	cr_expect_eq(conn_instance(conn, 1), 200);
}

// --- tags that tell the chain

Test(chain, a_tagged_hop_serves_the_one_vlan_of_its_ports)
{
	bool to_hop;
	struct conn *conn = begun(0);
	struct chain_step *step = &chain.steps[1 << 4];
	step->is_dressed = step->told = true;
	step->tag = 100;
	step->zone = BRIDGE_ZONE | CHAIN_TOLD;
	struct packet p = sent(conn, false, 1, &to_hop);
	cr_expect(to_hop && p.verdict == VERDICT_FORWARD);
	cr_expect_eq(p.vlan, 100, "as if it were of that one");
	p.vlan_tpid = 0x88a8;
	chain_tell(step, &p, CHAIN_LEFT);
	cr_expect_eq(p.vlan_tpid, 0, "the sender's");
	// Its port has the tag among its VLANs; packets of that VLAN are not meant.
	arms[1][0].members[1] = UINT64_C(1) << 36;
	cr_expect(chain_is_usable(step, BRIDGE_ZONE, 0));
	cr_expect(!chain_is_usable(step, BRIDGE_ZONE, 100));
	cr_expect(!chain_is_usable(step, BRIDGE_ZONE + (1 << ZONE_VLAN_BITS), 0));
	atomic_store(&step->nf->state, INSTANCE_DOWN);
	cr_expect(!chain_is_usable(step, BRIDGE_ZONE, 0));
}

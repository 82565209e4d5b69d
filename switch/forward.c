// SPDX-License-Identifier: BSD-3-Clause
// Learns where the source is and decides where the frame goes.
//
// A burst mostly repeats its addresses. So it is cut into runs, packets in a row with the same two
// addresses in the same VLAN. What is hashed, fetched, looked up and decided is so for the first
// packet of a run, and only for the address that differs from the last run's.
#include "switch/pipeline.h"

#include "base/likely.h"

struct run {
	uint64_t source, destination; // keys
	uint32_t source_hash, destination_hash;
	struct packet *first;
};

struct decision {
	uint8_t verdict;
	uint8_t drop;
	uint16_t out_port;
};

static uint32_t hash_ahead(const struct mac_table *macs, uint64_t key)
{
	uint32_t hash = mac_hash(macs, key);
	mac_prefetch(macs, hash);
	return hash;
}

// Cuts the burst into runs[1] and following; runs[0] is none's, since no key is 0. Behind the last
// stands where it ends. Returns the last.
static struct run *cut_into_runs(
	struct burst *burst, const struct mac_table *macs, struct run *runs)
{
	struct packet *end = &burst->packets[burst->count];
	struct run *last = runs;
	*last = (struct run){0};
	for (struct packet *p = burst->packets; p < end; p++) {
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		uint64_t tag = mac_key_tag(p->vlan);
		uint64_t source = mac_key_source(p->data, tag);
		uint64_t destination = mac_key_destination(p->data, tag);
		if (source == last->source && destination == last->destination)
			continue;
		last[1] = (struct run){
			.source = source,
			.destination = destination,
			.source_hash = source == last->source ? last->source_hash
							      : hash_ahead(macs, source),
			.destination_hash = destination == last->destination
						    ? last->destination_hash
						    : hash_ahead(macs, destination),
			.first = p,
		};
		last++;
	}
	last[1].first = end;
	return last;
}

static struct decision decide(const struct pass *pass, const struct port_view *in,
	const struct mac_table *macs, const struct run *run)
{
	uint16_t port = mac_lookup(macs, run->destination, run->destination_hash);
	// An entry can outlive its port for a moment, or the port its bridge, or its being a host
	// there (a network function may be none): then it is unknown.
	const struct port_view *out = pass->snapshot->views[port];
	if (unlikely(!out) || unlikely(out->bridge != in->bridge) ||
		unlikely(!view_is_member(out, mac_key_vlan(run->destination))) ||
		unlikely(out->places && !out->is_host))
		return (struct decision){.verdict = VERDICT_FLOOD};
	if (unlikely(out == in))
		return (struct decision){.verdict = VERDICT_DROP, .drop = DROP_SAME_PORT};
	return (struct decision){.verdict = VERDICT_FORWARD, .out_port = out->id};
}

static void forward_run(const struct run *run, struct decision decision)
{
	struct packet *p = run->first, *end = run[1].first;
	do {
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		p->verdict = decision.verdict;
		p->drop = decision.drop;
		p->out_port = decision.out_port;
	} while (++p < end);
}

void stage_forward(struct pass *pass)
{
	const struct port_view *in = pass->in;
	struct mac_table *macs = in->bridge->macs;
	const uint16_t id = in->id;
	const uint32_t now_s = pass->now_s;
	struct run runs[BURST_MAX + 2];
	const struct run *last = cut_into_runs(&pass->burst, macs, runs);
	uint64_t decided = 0; // the destination that `decision` is for
	struct decision decision = {0};
	for (const struct run *run = runs + 1; run <= last; run++) {
		if (run->source != run[-1].source &&
			unlikely(!mac_refresh(macs, run->source, run->source_hash, id, now_s)))
			mac_learn(macs, run->source, run->source_hash, id, in->mac_limit, now_s);
		if (unlikely(mac_key_is_group(run->destination))) {
			forward_run(run, (struct decision){.verdict = VERDICT_FLOOD});
			continue;
		}
		if (run->destination != decided)
			decision = decide(pass, in, macs, run);
		decided = run->destination;
		forward_run(run, decision);
	}
}

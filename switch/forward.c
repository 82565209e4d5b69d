// SPDX-License-Identifier: BSD-3-Clause
// Learns where the source is and decides where the frame goes.
#include "switch/pipeline.h"

// What a burst mostly repeats is looked up once: the last source and the last destination.
struct recent {
	uint64_t source;
	uint64_t destination;
	int port; // behind `destination`
};

static void forward_one(struct pass *pass, struct packet *p, const uint64_t keys[2],
	const uint32_t hashes[2], struct recent *recent)
{
	const struct port_view *in = pass->in;
	struct mac_table *macs = in->bridge->macs;
	if (keys[0] != recent->source) {
		mac_learn(macs, keys[0], hashes[0], in->id, in->mac_limit, pass->now_s);
		recent->source = keys[0];
	}
	if (p->data[0] & 1) {
		p->verdict = VERDICT_FLOOD;
		return;
	}
	if (keys[1] != recent->destination) {
		recent->port = mac_lookup(macs, keys[1], hashes[1]);
		recent->destination = keys[1];
	}
	// An entry can outlive its port for a moment, or the port its bridge: then it is unknown.
	const struct port_view *out = recent->port >= 0 ? pass->snapshot->views[recent->port]
							: NULL;
	if (!out || out->bridge != in->bridge || !view_is_member(out, p->vlan)) {
		p->verdict = VERDICT_FLOOD;
	} else if (out == in) {
		packet_drop(p, DROP_SAME_PORT);
	} else {
		p->verdict = VERDICT_FORWARD;
		p->out_port = out->id;
	}
}

void stage_forward(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	struct mac_table *macs = pass->in->bridge->macs;
	uint64_t keys[BURST_MAX][2];
	uint32_t hashes[BURST_MAX][2];
	for (unsigned i = 0; i < burst->count; i++) {
		const struct packet *p = &burst->packets[i];
		if (p->verdict != VERDICT_NONE)
			continue;
		keys[i][0] = mac_key(p->data + 6, p->vlan);
		keys[i][1] = mac_key(p->data, p->vlan);
		for (int side = 0; side < 2; side++) {
			hashes[i][side] = mac_hash(macs, keys[i][side]);
			mac_prefetch(macs, hashes[i][side]);
		}
	}
	struct recent recent = {0};
	for (unsigned i = 0; i < burst->count; i++)
		if (burst->packets[i].verdict == VERDICT_NONE)
			forward_one(pass, &burst->packets[i], keys[i], hashes[i], &recent);
}

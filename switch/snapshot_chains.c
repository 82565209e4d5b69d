// SPDX-License-Identifier: BSD-3-Clause
// The part of a snapshot that says which connections visit which network functions.
#include <stdlib.h>
#include <string.h>

#include "switch/nsh.h"
#include "switch/snapshot.h"

// What is compiled, from what.
struct source {
	struct snapshot *s;
	struct port *const *ports; // in the order of their names
	size_t nports;
	struct chain *const *chains;
	size_t nchains;
};

static struct port_view *view_of(const struct source *src, const char *name)
{
	return snapshot_view(src->s, src->ports, src->nports, name);
}

// --- network functions

// Network functions count it down along the path (RFC 8300, 2.3).
static uint8_t nsh_index(uint8_t place)
{
	return (uint8_t)(NSH_INDEX_MAX - (place >> 4));
}

// Its frames carry the tag, and those without are of its one VLAN; or they are in NSH.
static void add_mark(struct snapshot *s, struct port_view *v, uint16_t chain, uint8_t place,
	const struct config_hop *hop)
{
	// One-armed, it is both sides'.
	if (v->marks && v->marks->chain == chain)
		return;
	struct chain_mark *mark = &s->marks[s->nmarks++];
	*mark = (struct chain_mark){.value = hop->tag ? hop->tag : hop->path,
		.chain = chain,
		.index = nsh_index(place),
		.next = v->marks};
	v->marks = mark;
	if (hop->tag) {
		v->trunk = true;
		v->members[hop->tag / 64] |= UINT64_C(1) << (hop->tag % 64);
	} else if (!v->is_nsh) {
		v->is_nsh = true;
		v->mtu -= NSH_ROOM;
	}
}

// A network function's port has a table of places; until it gets one in a chain it has none in all.
static uint8_t *places_of(const struct source *src, struct port_view *v)
{
	uint8_t *places = src->s->places[v - src->s->all];
	if (!v->places)
		memset(places, CHAIN_NO_PLACE, sizeof(src->s->places[0]));
	v->places = places;
	return places;
}

static void compile_port(const struct source *src, const char *name, uint16_t chain, uint8_t place,
	const struct config_hop *hop)
{
	struct port_view *v = view_of(src, name);
	if (!v)
		return;
	places_of(src, v)[chain] = place;
	v->is_routed |= hop->mode == HOP_ROUTED;
	if (hop->tag || hop->path)
		add_mark(src->s, v, chain, place, hop);
}

static void compile_arm(struct chain_step *step, enum chain_side side)
{
	const struct port_view *view = step->view[side];
	step->port[side] = view->id;
	memcpy(step->mac[side], view->mac, sizeof(step->mac[side]));
}

// An instance whose ports are in two bridges serves none.
static void compile_step(const struct source *src, struct chain_view *chain, uint8_t place,
	struct nf *nf, const struct config_hop *hop)
{
	struct chain_step *step = &chain->steps[place];
	const struct port_view *left = view_of(src, nf->left), *right = view_of(src, nf->right);
	*step = (struct chain_step){
		.view = {left, right},
		.zone = UINT32_MAX,
		.nf = nf,
		.routed = hop->mode == HOP_ROUTED,
		.tag = hop->tag,
		.path = hop->path,
		.index = nsh_index(place),
	};
	step->told = step->tag || step->path;
	step->is_dressed = step->routed || step->told;
	if (left && right && left->zone == right->zone) {
		compile_arm(step, CHAIN_LEFT);
		compile_arm(step, CHAIN_RIGHT);
		step->zone = left->zone;
		if (step->told)
			step->zone = left->untagged_vlan == right->untagged_vlan
					     ? left->zone | left->untagged_vlan | CHAIN_TOLD
					     : UINT32_MAX;
	}
	chain->place[nf->number] = place;
	compile_port(src, nf->left, chain->number, place, hop);
	compile_port(src, nf->right, chain->number, place, hop);
}

// The VLAN in which frames pass both ports; VLAN_NONE: there is none. Without a tag, if one does.
static uint16_t common_vlan(const struct port_view *left, const struct port_view *right)
{
	uint16_t vlan = left->untagged_vlan;
	if (vlan != VLAN_NONE && view_is_member(right, vlan))
		return vlan;
	for (vlan = 0; vlan < VLAN_COUNT; vlan++)
		if (view_is_member(left, vlan) && view_is_member(right, vlan))
			return vlan;
	return VLAN_NONE;
}

// An instance that serves nobody is not probed.
static void compile_probe(const struct source *src, const struct chain_view *chain,
	const struct chain_step *step, const struct config_probe *config)
{
	if (step->zone == UINT32_MAX)
		return;
	const struct port_view *left = step->view[CHAIN_LEFT];
	uint16_t vlan = common_vlan(left, step->view[CHAIN_RIGHT]);
	if (vlan == VLAN_NONE)
		return;
	src->s->probes[src->s->nprobes++] = (struct probe_view){
		.step = step,
		.chain = chain->number,
		.worker = left->port->owner[0],
		.vlan = vlan,
		.config = *config,
	};
	view_of(src, step->nf->right)->gets_echoes |= step->routed;
}

// Behind an NF that changes addresses connections begin.
static void compile_behind(
	const struct source *src, uint16_t chain, const struct nf *nf, const struct config_hop *hop)
{
	struct port_view *right = view_of(src, nf->right);
	if (!right)
		return;
	right->is_host = true;
	right->behind = hop->recognise == RECOGNISE_PORT ? chain : 0;
	for (size_t i = 0; i < src->nports; i++)
		src->s->all[i].has_hosts |= src->ports[i]->bridge == right->bridge;
}

static void compile_vms(const struct source *src, struct chain_view *view, size_t hop,
	const struct config_hop *config)
{
	uint8_t h = view->nhops++;
	view->hops[h] = (struct chain_hop){
		.hop = view->chain->hops[hop],
		.ninstances = (uint8_t)config->ninstances,
		.closed = config->on_failure == HOP_CLOSED,
		.recognised = config->recognise != RECOGNISE_CONNECTION &&
			      config->mode == HOP_ROUTED,
	};
	view->has_routed |= config->mode == HOP_ROUTED;
	view->has_recognised |= view->hops[h].recognised;
	for (uint8_t i = 0; i < config->ninstances; i++) {
		struct nf *nf = view->chain->nfs[hop][i];
		compile_step(src, view, (uint8_t)(h << 4 | i), nf, config);
		if (view->hops[h].recognised)
			compile_behind(src, view->number, nf, config);
	}
	for (uint8_t i = 0; i < config->ninstances && config->probe.interval_ns; i++)
		compile_probe(src, view, &view->steps[h << 4 | i], &config->probe);
}

static void compile_inside(
	const struct source *src, struct chain_view *view, const struct config_hop *config)
{
	struct chain_inside *inside = &view->inside[view->ninside++];
	for (uint16_t i = 0; i < config->ngroups && src->s->rules; i++) {
		int number = rules_group_number(src->s->rules, config->groups[i]);
		if (number >= 0)
			inside->groups.of[inside->groups.count++] = (uint16_t)number;
	}
}

static void compile_hops(const struct source *src, struct chain_view *view)
{
	memset(view->place, CHAIN_NO_PLACE, sizeof(view->place));
	for (size_t h = 0; h < view->chain->config.nhops; h++) {
		const struct config_hop *config = &view->chain->config.hops[h];
		if (config->ngroups)
			compile_inside(src, view, config);
		else
			compile_vms(src, view, h, config);
	}
}

_Static_assert(HOP_INSTANCES_MAX == 1 << 4, "a place is hop << 4 | instance");

// --- what a chain takes

static void compile_end(
	const struct source *src, struct chain_end *end, const struct config_chain_end *config)
{
	*end = (struct chain_end){.kind = config->kind, .cidr = config->cidr, .is_there = true};
	if (config->kind == CHAIN_END_PORT) {
		const struct port_view *v = view_of(src, config->name);
		end->is_there = v;
		end->number = v ? v->id : 0;
	}
	if (config->kind == CHAIN_END_GROUP) {
		int number = src->s->rules ? rules_group_number(src->s->rules, config->name) : -1;
		end->is_there = number >= 0;
		end->number = (uint16_t)number;
	}
}

static void compile_chain(const struct source *src, struct chain_view *view, struct chain *chain)
{
	*view = (struct chain_view){
		.chain = chain,
		.bridge = chain->bridge,
		.number = chain->number,
		.protocol = chain->config.protocol,
		.ndports = chain->config.ndports,
	};
	memcpy(view->dports, chain->config.dports, sizeof(view->dports));
	compile_end(src, &view->from, &chain->config.from);
	compile_end(src, &view->to, &chain->config.to);
	compile_hops(src, view);
	src->s->chains[view->number] = view;
}

// --- which ones may take what begins at a port

// Also when its functions' ports are closed: what it takes does not go past it then.
static bool is_at_home(const struct chain *chain, const struct port *port)
{
	return !chain->bridge || chain->bridge == port->bridge;
}

static bool may_begin_at(const struct chain_view *chain, const struct port_view *v)
{
	return chain->from.is_there && chain->to.is_there &&
	       (chain->from.kind != CHAIN_END_PORT || chain->from.number == v->id);
}

static void compile_homes(const struct source *src)
{
	for (size_t c = 0; c < src->nchains; c++)
		for (size_t i = 0; i < src->nports; i++)
			src->s->all[i].is_chained |= is_at_home(src->chains[c], src->ports[i]);
}

static bool compile_candidates(const struct source *src)
{
	size_t n = 0;
	for (size_t i = 0; i < src->nports; i++)
		n += src->s->all[i].is_chained ? src->nchains : 0;
	src->s->candidates = calloc(n + 1, sizeof(*src->s->candidates));
	if (!src->s->candidates)
		return false;
	uint16_t *next = src->s->candidates;
	for (size_t i = 0; i < src->nports; i++) {
		struct port_view *v = &src->s->all[i];
		v->chains = next;
		for (size_t c = 0; c < src->nchains && v->is_chained && !v->places; c++)
			if (is_at_home(src->chains[c], src->ports[i]) &&
				may_begin_at(&src->s->all_chains[c], v))
				*next++ = src->s->all_chains[c].number;
		v->nchains = (uint16_t)(next - v->chains);
	}
	return true;
}

static bool has_nfs(const struct source *src)
{
	for (size_t i = 0; i < src->nports; i++)
		if (src->ports[i]->config.nf)
			return true;
	return false;
}

static size_t probed_instances(const struct source *src)
{
	size_t n = 0;
	for (size_t c = 0; c < src->nchains; c++) {
		const struct config_chain *config = &src->chains[c]->config;
		for (size_t h = 0; h < config->nhops; h++)
			n += config->hops[h].probe.interval_ns ? config->hops[h].ninstances : 0;
	}
	return n;
}

static size_t told_arms(const struct source *src)
{
	size_t n = 0;
	for (size_t c = 0; c < src->nchains; c++) {
		const struct config_chain *config = &src->chains[c]->config;
		for (size_t h = 0; h < config->nhops; h++)
			n += config->hops[h].tag || config->hops[h].path
				     ? 2 * config->hops[h].ninstances
				     : 0;
	}
	return n;
}

bool snapshot_chains(struct snapshot *s, struct port *const *ports, size_t nports,
	const struct snapshot_options *options)
{
	const struct source src = {
		.s = s,
		.ports = ports,
		.nports = nports,
		.chains = options->chains,
		.nchains = options->nchains,
	};
	if (!src.nchains && !has_nfs(&src))
		return true;
	s->all_chains = calloc(src.nchains + 1, sizeof(*s->all_chains));
	s->places = calloc(nports + 1, sizeof(*s->places));
	s->probes = calloc(probed_instances(&src) + 1, sizeof(*s->probes));
	s->marks = calloc(told_arms(&src) + 1, sizeof(*s->marks));
	if (!s->all_chains || !s->places || !s->probes || !s->marks)
		return false;
	for (size_t c = 0; c < src.nchains; c++)
		compile_chain(&src, &s->all_chains[c], src.chains[c]);
	for (size_t i = 0; i < nports; i++)
		if (ports[i]->config.nf)
			places_of(&src, &s->all[i]);
	compile_homes(&src);
	return compile_candidates(&src);
}

// SPDX-License-Identifier: BSD-3-Clause
// What the control plane asks of the connection table. Entries are read while workers write them:
// each field is a moment old, and fields may be of moments apart. No call looks at more entries
// than its caller allows, since it holds up the main thread's loop, and the lines that it reads are
// those that workers write.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "conntrack/table.h"
#include "switch/private.h"

enum {
	CHUNK = 64 // views taken at once
};

static int family_of(const struct conn_id *id)
{
	return conn_id_family(id) == CONN_IPV6 ? AF_INET6 : AF_INET;
}

static bool is_in(const struct config_prefix *prefix, int family, const uint8_t *address)
{
	if (prefix->family != family)
		return !prefix->family;
	unsigned whole = prefix->length / 8, rest = prefix->length % 8;
	if (memcmp(prefix->address, address, whole))
		return false;
	return !rest || !((prefix->address[whole] ^ address[whole]) >> (8 - rest));
}

static bool has_l4_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static bool is_port(int wanted, const struct conn_tuple *tuple, uint16_t port)
{
	return wanted < 0 || (has_l4_ports(tuple->protocol) && ntohs(port) == wanted);
}

static bool is_any_or(int wanted, int value)
{
	return wanted < 0 || wanted == value;
}

static bool matches(const struct connection_filter *filter, const struct conn_view *view,
	const struct conn_tuple *tuple)
{
	int family = family_of(&view->key.id);
	return is_any_or(filter->bridge, (int)(tuple->zone >> ZONE_VLAN_BITS)) &&
	       is_any_or(filter->vlan, (int)(tuple->zone & (VLAN_COUNT - 1))) &&
	       is_any_or(filter->protocol, tuple->protocol) &&
	       is_any_or(filter->state, (int)view->state) &&
	       (is_any_or(filter->port, view->ports[0]) ||
		       is_any_or(filter->port, view->ports[1])) &&
	       is_any_or(filter->chain, view->chain) &&
	       is_port(filter->sport, tuple, tuple->sport) &&
	       is_port(filter->dport, tuple, tuple->dport) &&
	       is_in(&filter->source, family, tuple->source) &&
	       is_in(&filter->destination, family, tuple->destination) &&
	       (is_in(&filter->address, family, tuple->source) ||
		       is_in(&filter->address, family, tuple->destination));
}

// The direction in which the first packet went.
static unsigned original(const struct conn_view *view)
{
	return view->flags & CONN_BEGAN_HIGH;
}

// Up to CHUNK connections of the filter's among at most `scan` entries, with their tuples.
static uint32_t walk(const struct weir_switch *sw, const struct connection_filter *filter,
	uint32_t *cursor, uint32_t scan, struct conn_view *views, struct conn_tuple *tuples,
	uint32_t max)
{
	uint32_t n = 0, got = conn_walk(sw->conns, cursor, scan, views, max);
	for (uint32_t i = 0; i < got; i++) {
		conn_key_tuple(&views[i].key, original(&views[i]), &tuples[n]);
		if (matches(filter, &views[i], &tuples[n]))
			views[n++] = views[i];
	}
	return n;
}

static const char *bridge_name(const struct weir_switch *sw, uint32_t number)
{
	for (size_t i = 0; i < sw->nbridges; i++)
		if (sw->bridges[i]->number == number)
			return sw->bridges[i]->config.name;
	return NULL;
}

static const char *port_name(const struct weir_switch *sw, uint16_t id)
{
	const struct port_view *view = id < PORT_IDS ? sw->published->views[id] : NULL;
	return view ? view->port->config.name : NULL;
}

static void describe_end(const struct weir_switch *sw, const struct conn_view *view, unsigned of,
	const uint8_t *address, uint16_t l4_port, struct connection_end *end)
{
	const struct conn_side *side = &view->sides[of];
	*end = (struct connection_end){
		.port = port_name(sw, view->ports[of]),
		.l4_port = ntohs(l4_port),
		.sent = {.packets = view->packets[of], .bytes = view->bytes[of]},
		.side = {side->end, side->limit, side->window, side->scale},
	};
	memcpy(end->address, address, sizeof(end->address));
}

static uint32_t since(uint32_t now_s, uint32_t then_s)
{
	return now_s > then_s ? now_s - then_s : 0;
}

static const struct config_instance *instance_of(
	const struct chain *chain, size_t hop, uint8_t number)
{
	const struct config_hop *config = &chain->config.hops[hop];
	for (size_t i = 0; number && i < config->ninstances; i++)
		if (chain->nfs[hop][i]->number == number)
			return &config->instances[i];
	return NULL;
}

// Entries count only those hops that are VMs.
static void describe_hops(
	const struct chain *chain, const struct conn_view *view, struct connection_info *info)
{
	unsigned vms = 0;
	for (size_t hop = 0; hop < chain->config.nhops; hop++)
		if (!chain->config.hops[hop].ngroups)
			info->instances[hop] = instance_of(chain, hop, view->instances[vms++]);
}

static void describe_chain(
	const struct weir_switch *sw, const struct conn_view *view, struct connection_info *info)
{
	for (size_t i = 0; view->chain && i < sw->nchains; i++) {
		const struct chain *chain = sw->chains[i];
		if (chain->number != view->chain)
			continue;
		info->chain = &chain->config;
		describe_hops(chain, view, info);
	}
}

static void describe(const struct weir_switch *sw, const struct conn_view *view,
	const struct conn_tuple *tuple, struct connection_info *info)
{
	unsigned from = original(view);
	uint32_t now_s = atomic_load_explicit(&sw->janitor.now_s, memory_order_relaxed);
	uint32_t timeout_s = sw->config.timeouts_s[view->state];
	*info = (struct connection_info){
		.number = view->index,
		.bridge = bridge_name(sw, tuple->zone >> ZONE_VLAN_BITS),
		.vlan = tuple->zone & (VLAN_COUNT - 1),
		.family = (uint8_t)family_of(&view->key.id),
		.protocol = tuple->protocol,
		.state = (int)view->state,
		.state_name = conn_state_name(view->state),
		.answered = view->flags & CONN_ANSWERED,
		.picked_up = view->flags & CONN_PICKED_UP,
		.owner = port_name(sw, conn_owner_port(view->owner)),
		.age_s = since(now_s, view->created_s),
		.idle_s = since(now_s, view->seen_s),
		.expires_s = since(view->seen_s + timeout_s, now_s),
		.rules = {view->rules[0], view->rules[1]},
	};
	describe_end(sw, view, from, tuple->source, tuple->sport, &info->ends[0]);
	describe_end(sw, view, !from, tuple->destination, tuple->dport, &info->ends[1]);
	describe_chain(sw, view, info);
}

uint32_t switch_connection_walk(struct weir_switch *sw, const struct connection_filter *filter,
	uint32_t *cursor, uint32_t scan, struct connection_info *infos, uint32_t max)
{
	uint32_t n = 0;
	if (!sw->conns)
		*cursor = 0;
	while (sw->conns && n < max && scan) {
		struct conn_view views[CHUNK];
		struct conn_tuple tuples[CHUNK];
		// No more entries than there is room for, so that none that was seen gets lost.
		uint32_t room = max - n < CHUNK ? max - n : CHUNK;
		if (room > scan)
			room = scan;
		uint32_t got = walk(sw, filter, cursor, room, views, tuples, room);
		for (uint32_t i = 0; i < got; i++)
			describe(sw, &views[i], &tuples[i], &infos[n++]);
		scan -= room;
		if (!*cursor)
			break;
	}
	return n;
}

uint32_t switch_connection_flush(struct weir_switch *sw, const struct connection_filter *filter,
	uint32_t *cursor, uint32_t scan)
{
	uint32_t n = 0;
	if (!sw->conns)
		*cursor = 0;
	while (sw->conns && scan) {
		struct conn_view views[CHUNK];
		struct conn_tuple tuples[CHUNK];
		uint32_t room = scan < CHUNK ? scan : CHUNK;
		uint32_t got = walk(sw, filter, cursor, room, views, tuples, room);
		for (uint32_t i = 0; i < got; i++)
			n += conn_remove(sw->conns, views[i].index, &views[i].key.id);
		scan -= room;
		if (!*cursor)
			break;
	}
	return n;
}

bool switch_connection_at(struct weir_switch *sw, uint32_t number, struct connection_info *info)
{
	struct conn_view view;
	struct conn_tuple tuple;
	if (!sw->conns || !conn_view_at(sw->conns, number, &view))
		return false;
	conn_key_tuple(&view.key, original(&view), &tuple);
	describe(sw, &view, &tuple, info);
	return true;
}

int switch_connection_state(const char *name)
{
	for (int state = CONN_FREE + 1; state < CONN_STATE_COUNT; state++)
		if (!strcmp(name, conn_state_name((enum conn_state)state)))
			return state;
	return -1;
}

bool switch_connection_stats(const struct weir_switch *sw, struct connection_stats *stats)
{
	struct conn_stats of;
	*stats = (struct connection_stats){0};
	if (!sw->conns)
		return false;
	conn_table_stats(sw->conns, &of);
	*stats = (struct connection_stats){
		.used = of.used,
		.max = of.capacity,
		.created = of.created,
		.expired = of.expired,
		.evicted = of.evicted,
		.removed = of.removed,
		.refused = of.full,
		.bytes = of.bytes,
		.hugepages = of.hugepages,
	};
	return true;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "switch/keys.h"

#include <string.h>

#include "base/likely.h"
#include "switch/fragments.h"

// Whether it goes between two ports without groups, as far as the MAC table knows, and no chain can
// concern it.
static bool is_nobodys(const struct pass *pass, const struct packet *p)
{
	if (pass->in->is_chained)
		return false;
	const struct mac_table *macs = pass->in->bridge->macs;
	uint64_t key = mac_key_destination(p->data, mac_key_tag(p->vlan));
	uint16_t port = (uint16_t)(mac_find(macs, key, mac_hash(macs, key)).target >> 16);
	const struct port_view *out = pass->snapshot->views[port];
	return !pass->in->groups && out && !out->groups;
}

// An error's key is that of what it quotes; one that quotes nothing that can be believed has none.
static bool make_errors_key(struct packet *p, uint32_t zone, struct conn_key *key)
{
	bool sound;
	if (!track_error_key(p, zone, key, &sound))
		return false;
	p->flags |= PACKET_ICMP_ERROR;
	return sound;
}

// An error that is cut is believed if its first fragment quotes enough.
static bool make_firsts_key(struct packet *p, uint32_t zone, struct conn_key *key)
{
	if (conn_key_of(key, p, zone))
		return true;
	if (packet_is_to_group(p) || !make_errors_key(p, zone, key))
		return false;
	key->flags = KEY_OF_ERROR;
	return true;
}

// Later fragments have the key of their first. False: it has none, or its verdict. Those that no
// rules concern are not held back for it.
static bool make_fragments_key(
	struct pass *pass, struct packet *p, uint32_t zone, struct conn_key *key)
{
	if (is_nobodys(pass, p))
		return false;
	if (p->flags & PACKET_LATER_FRAGMENT || !make_firsts_key(p, zone, key))
		*key = (struct conn_key){0};
	if (!fragment_key(pass, p, zone, key))
		return false;
	if (key->flags & KEY_OF_ERROR)
		p->flags |= PACKET_ICMP_ERROR;
	return true;
}

// Groups' traffic belongs to no connection: policy decides each packet of it. But in fragments it
// is held to the same rules, and the later ones have L4 ports by their key alone.
static void make_groups_key(struct pass *pass, struct packet *p, struct keyed *keyed)
{
	uint8_t place = (uint8_t)(BURST_MAX - 1 - keyed->to_groups);
	if (!make_fragments_key(pass, p, pass->in->zone | p->vlan, &pass->keys[place]))
		return;
	p->flags |= PACKET_KEYED;
	p->key = place;
	keyed->to_groups++;
}

static bool make_key(struct pass *pass, struct packet *p, struct conn_key *key)
{
	uint32_t zone = pass->in->zone | p->vlan;
	if (unlikely(packet_is_to_group(p)))
		return false;
	if (likely(conn_key_of_plain(key, p, zone)))
		return true;
	if (p->flags & PACKET_FRAGMENT)
		return make_fragments_key(pass, p, zone, key);
	return conn_key_of(key, p, zone) || make_errors_key(p, zone, key);
}

void keys_make(struct pass *pass, struct keyed *keyed)
{
	struct packet *end = &pass->burst.packets[pass->burst.count];
	keyed->count = keyed->to_groups = 0;
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		if (unlikely(!make_key(pass, p, &pass->keys[keyed->count]))) {
			p->flags |= PACKET_UNDECIDED;
			if (p->flags & PACKET_FRAGMENT && packet_is_to_group(p))
				make_groups_key(pass, p, keyed);
			continue;
		}
		p->flags |= PACKET_KEYED;
		p->key = (uint8_t)keyed->count;
		keyed->packets[keyed->count++] = p;
	}
}

void keys_find(struct pass *pass, const struct keyed *keyed, uint32_t found[BURST_MAX])
{
	pass->tracker = (struct tracker){
		.table = pass->snapshot->conns,
		.settings = &pass->snapshot->track,
		.now_s = pass->now_s,
	};
	conn_keys_hash(pass->tracker.table, pass->keys, keyed->count);
	conn_find_burst(pass->tracker.table, pass->keys, keyed->count, found);
	pass->lookups += keyed->count;
	pass->tracked += keyed->count;
}

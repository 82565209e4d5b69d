// SPDX-License-Identifier: BSD-3-Clause
#include "conntrack/key.h"

#include <netinet/in.h>

#include "base/likely.h"
#include "conntrack/wire.h"

// Over the other IP version they are protocols as any, without queries.
static bool is_icmp(uint8_t protocol, enum conn_family family)
{
	return protocol == (family == CONN_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

// Whether the source is the higher end: by address, then by L4 port. Where both are alike, who asks
// is the lower one.
static bool source_is_higher(const struct conn_tuple *tuple, unsigned len)
{
	int order = memcmp(tuple->source, tuple->destination, len);
	if (order)
		return order > 0;
	if (tuple->sport != tuple->dport)
		return ntohs(tuple->sport) > ntohs(tuple->dport);
	return tuple->reply;
}

void conn_key_make(struct conn_key *key, const struct conn_tuple *tuple)
{
	bool v6 = tuple->family == CONN_IPV6;
	unsigned source = source_is_higher(tuple, v6 ? 16 : 4);
	memset(key, 0, sizeof(*key));
	key->id.meta = conn_meta(tuple->zone, tuple->protocol, tuple->family);
	if (is_icmp(tuple->protocol, tuple->family))
		key->id.meta |= (source ^ tuple->reply) << 2;
	key->id.ports[source] = tuple->sport;
	key->id.ports[!source] = tuple->dport;
	key->direction = (uint8_t)source;
	if (v6) {
		memcpy(key->v6[source], tuple->source, 16);
		memcpy(key->v6[!source], tuple->destination, 16);
	} else {
		memcpy(&key->id.v4[source], tuple->source, 4);
		memcpy(&key->id.v4[!source], tuple->destination, 4);
	}
}

void conn_key_tuple(const struct conn_key *key, unsigned direction, struct conn_tuple *tuple)
{
	*tuple = (struct conn_tuple){.zone = conn_id_zone(&key->id),
		.protocol = conn_id_protocol(&key->id),
		.family = conn_id_family(&key->id),
		.sport = key->id.ports[direction],
		.dport = key->id.ports[!direction]};
	tuple->reply = is_icmp(tuple->protocol, tuple->family) &&
		       direction != conn_id_asker(&key->id);
	if (tuple->family == CONN_IPV6) {
		memcpy(tuple->source, key->v6[direction], 16);
		memcpy(tuple->destination, key->v6[!direction], 16);
	} else {
		memcpy(tuple->source, &key->id.v4[direction], 4);
		memcpy(tuple->destination, &key->id.v4[!direction], 4);
	}
}

// An IPv6 packet whose chain of extension headers goes on where it cannot be read.
static bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_AH;
}

bool conn_tuple_icmp(struct conn_tuple *tuple, const uint8_t *icmp)
{
	uint8_t request;
	if (!icmp_query(tuple->family == CONN_IPV6, icmp[0], &request, &tuple->reply))
		return false;
	uint16_t identifier;
	memcpy(&identifier, icmp + 4, 2);
	tuple->sport = tuple->reply ? htons(request) : identifier;
	tuple->dport = tuple->reply ? identifier : htons(request);
	return true;
}

static bool tuple_of_icmp(struct conn_tuple *tuple, const struct packet *p)
{
	return p->flags & PACKET_L4 && conn_tuple_icmp(tuple, p->data + p->l4_off);
}

// L4 ports, or what stands for them. False: the packet has no connection.
static bool tuple_of_l4(struct conn_tuple *tuple, const struct packet *p)
{
	bool v6 = tuple->family == CONN_IPV6;
	switch (p->l4_proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (!(p->flags & PACKET_L4))
			return false;
		memcpy(&tuple->sport, p->data + p->l4_off, 2);
		memcpy(&tuple->dport, p->data + p->l4_off + 2, 2);
		return true;
	case IPPROTO_ICMP:
		return v6 || tuple_of_icmp(tuple, p);
	case IPPROTO_ICMPV6:
		return !v6 || tuple_of_icmp(tuple, p);
	default:
		return !v6 || !is_extension(p->l4_proto);
	}
}

bool conn_key_of(struct conn_key *key, const struct packet *p, uint32_t zone)
{
	if (p->flags & PACKET_LATER_FRAGMENT)
		return false;
	if (conn_key_of_plain(key, p, zone))
		return true;
	if (!(p->flags & (PACKET_IPV4 | PACKET_IPV6)))
		return false;
	const uint8_t *l3 = p->data + p->l3_off;
	struct conn_tuple tuple = {.zone = zone, .protocol = p->l4_proto};
	if (p->flags & PACKET_IPV6) {
		tuple.family = CONN_IPV6;
		memcpy(tuple.source, l3 + 8, 16);
		memcpy(tuple.destination, l3 + 24, 16);
	} else {
		memcpy(tuple.source, l3 + 12, 4);
		memcpy(tuple.destination, l3 + 16, 4);
	}
	if (!tuple_of_l4(&tuple, p))
		return false;
	conn_key_make(key, &tuple);
	return true;
}

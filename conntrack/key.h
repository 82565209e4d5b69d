// SPDX-License-Identifier: BSD-3-Clause
// What names a connection: zone, protocol, addresses and L4 ports, in one form for both directions.
//
// The canonical form has the lower end first, so a packet and its reply have the same key and one
// lookup serves both. Which way a packet goes is told by `direction`: 0 from the lower end to the
// higher, 1 back. Two equal ends (a packet from an address to itself) are direction 0 always.
#ifndef WEIR_CONNTRACK_KEY_H
#define WEIR_CONNTRACK_KEY_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/packet.h"

enum {
	ZONE_BITS = 21, // a bridge's number and a VLAN
	ZONE_VLAN_BITS = 12,
};

// The zone of a bridge's number (up to 511) and a VLAN.
static inline uint32_t zone_of(uint16_t bridge, uint16_t vlan)
{
	return (uint32_t)bridge << ZONE_VLAN_BITS | vlan;
}

enum conn_family {
	CONN_IPV4,
	CONN_IPV6
};

// The 16 bytes that tell connections apart, as they stand in an entry's first line. Of IPv6 they
// are a digest only, and the addresses decide.
struct conn_id {
	uint32_t meta;     // zone << 11 | protocol << 3 | asker << 2 | family << 1 | 1: never 0
	uint16_t ports[2]; // of the lower end and of the higher, network order; of ICMP queries the
			   // identifier at who asks, and the request's type at who is asked
	union {
		uint32_t v4[2];  // network order
		uint64_t digest; // of both IPv6 addresses, keyed
	};
} __attribute__((aligned(16)));

enum conn_key_flag {
	KEY_OF_ERROR = 1 << 0, // an ICMP error: the connection is that of what it quotes
	KEY_FIN = 1 << 1,      // TCP: the segment has a FIN; of a later fragment: it is the last
};

struct conn_key {
	struct conn_id id;
	uint8_t v6[2][16]; // zeros for IPv4
	uint32_t hash;     // by conn_keys_hash, of those that are looked up
	// Of fragments of TCP: the sequence numbers of their segment and behind the last octet that
	// this one brings, a FIN's behind the last one's.
	uint32_t seq, end;
	uint8_t direction;
	uint8_t flags; // enum conn_key_flag; of fragments only
};

_Static_assert(sizeof(struct conn_key) == 64, "one line");

static inline uint32_t conn_meta(uint32_t zone, uint8_t protocol, enum conn_family family)
{
	return zone << 11 | (uint32_t)protocol << 3 | (uint32_t)family << 1 | 1;
}

static inline uint32_t conn_id_zone(const struct conn_id *id)
{
	return id->meta >> 11;
}

static inline uint8_t conn_id_protocol(const struct conn_id *id)
{
	return (uint8_t)(id->meta >> 3);
}

static inline enum conn_family conn_id_family(const struct conn_id *id)
{
	return (enum conn_family)(id->meta >> 1 & 1);
}

// Of ICMP queries the end that asks, 1 for the higher; of others 0. The ports do not tell it, for
// an identifier can look like a type.
static inline unsigned conn_id_asker(const struct conn_id *id)
{
	return id->meta >> 2 & 1;
}

// One way through a connection, not yet in canonical form. Network order; ports 0 where the
// protocol has none. Of ICMP queries who asks has the identifier for its port, and who is asked the
// type of the request (for a reply too), so that an echo and a timestamp with one identifier
// differ.
struct conn_tuple {
	uint32_t zone;
	uint8_t protocol;
	bool reply; // of ICMP queries: the destination has asked
	enum conn_family family;
	uint8_t source[16], destination[16]; // IPv4 has the first four bytes
	uint16_t sport, dport;
};

// All of the key but its hash and digest. Any thread.
void conn_key_make(struct conn_key *key, const struct conn_tuple *tuple);
// The tuple of one direction. Any thread.
void conn_key_tuple(const struct conn_key *key, unsigned direction, struct conn_tuple *tuple);
// Fills in both ports and `reply` from an ICMP header, of which 8 bytes are there. False: the
// message is neither request nor reply. Any thread.
bool conn_tuple_icmp(struct conn_tuple *tuple, const uint8_t *icmp);

// The key of what most packets are: whole IPv4 packets of TCP and UDP. False: it is none of these,
// and nothing is written. Worker.
static inline bool conn_key_of_plain(
	struct conn_key *key, const struct packet *packet, uint32_t zone)
{
	enum {
		PLAIN = PACKET_IPV4 | PACKET_L4
	};
	if ((packet->flags & (PLAIN | PACKET_FRAGMENT)) != PLAIN ||
		(packet->l4_proto != IPPROTO_TCP && packet->l4_proto != IPPROTO_UDP))
		return false;
	uint64_t addresses; // the source in the lower half, as they lie in memory
	uint32_t ports;
	memcpy(&addresses, packet->data + packet->l3_off + 12, sizeof(addresses));
	memcpy(&ports, packet->data + packet->l4_off, sizeof(ports));
	uint64_t source = (uint64_t)ntohl((uint32_t)addresses) << 16 | ntohs((uint16_t)ports);
	uint64_t destination = (uint64_t)ntohl((uint32_t)(addresses >> 32)) << 16 |
			       ntohs((uint16_t)(ports >> 16));
	// Which of the two is the higher end no CPU can predict, so it is no branch.
	unsigned turned = source > destination, half = turned * 32, quarter = turned * 16;
	addresses = addresses >> half | addresses << (-half & 63);
	ports = ports >> quarter | ports << (-quarter & 31);
	key->id.meta = conn_meta(zone, packet->l4_proto, CONN_IPV4);
	memcpy(key->id.ports, &ports, sizeof(ports));
	memcpy(key->id.v4, &addresses, sizeof(addresses));
	memset(key->v6, 0, sizeof(key->v6));
	key->direction = (uint8_t)turned;
	return true;
}

// The key of a parsed packet in a zone: what its connection is called. False: it has none, for it
// is not IP, its L4 header is not sound or not in the stash, it is a later fragment, or an ICMP
// message that is neither request nor reply: the policy decides each of those by itself (neighbour
// discovery, router advertisements, MLD, …), and an error's key is made by track_error_key. Worker.
bool conn_key_of(struct conn_key *key, const struct packet *packet, uint32_t zone);

#endif

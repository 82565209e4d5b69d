// SPDX-License-Identifier: BSD-3-Clause
// ICMP errors (RFC 792, 4443): they quote the packet that they speak of, and so name a connection.
// All that is read stands in the stash and inside the error's own packet.
#include <netinet/in.h>

#include "conntrack/track.h"
#include "conntrack/wire.h"

enum {
	ICMP_LEN = 8,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	PORTS_LEN = 4,
	EXTENSIONS_MAX = 8,
};

// A quoted packet, as far as it can be read.
struct quote {
	const uint8_t *at, *end;
};

static bool have(const struct quote *q, uint32_t n)
{
	return (uint32_t)(q->end - q->at) >= n;
}

// Redirects are among them: they quote a packet of whom they are sent to, and Linux treats them so.
static bool is_error(bool v6, uint8_t type)
{
	enum {
		UNREACHABLE = 3,
		SOURCE_QUENCH = 4,
		REDIRECT = 5,
		TIME_EXCEEDED = 11,
		PARAMETER_PROBLEM = 12,
		FIRST_INFORMATIONAL = 128, // RFC 4443 2.1
	};
	if (v6)
		return type < FIRST_INFORMATIONAL;
	return type == UNREACHABLE || type == SOURCE_QUENCH || type == REDIRECT ||
	       type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}

static bool quoted_ipv4(struct quote *q, struct conn_tuple *tuple)
{
	if (!have(q, IPV4_LEN) || q->at[0] >> 4 != 4)
		return false;
	uint32_t len = (q->at[0] & 0xf) * 4;
	if (len < IPV4_LEN || !have(q, len) || load16(q->at + 6) & 0x1fff)
		return false;
	tuple->protocol = q->at[9];
	memcpy(tuple->source, q->at + 12, 4);
	memcpy(tuple->destination, q->at + 16, 4);
	q->at += len;
	return true;
}

// Goes over one extension header. 1: done, 0: it was none, -1: it cannot be.
static int quoted_extension(struct quote *q, uint8_t *protocol)
{
	uint8_t type = *protocol;
	if (type != IPPROTO_HOPOPTS && type != IPPROTO_ROUTING && type != IPPROTO_DSTOPTS &&
		type != IPPROTO_FRAGMENT && type != IPPROTO_AH)
		return 0;
	if (!have(q, 8))
		return -1;
	uint32_t len = (q->at[1] + 1) * 8;
	if (type == IPPROTO_AH)
		len = (q->at[1] + 2) * 4;
	else if (type == IPPROTO_FRAGMENT)
		len = 8;
	if (!have(q, len) || (type == IPPROTO_FRAGMENT && load16(q->at + 2) & 0xfff8))
		return -1;
	*protocol = q->at[0];
	q->at += len;
	return 1;
}

static bool quoted_ipv6(struct quote *q, struct conn_tuple *tuple)
{
	if (!have(q, IPV6_LEN) || q->at[0] >> 4 != 6)
		return false;
	tuple->protocol = q->at[6];
	memcpy(tuple->source, q->at + 8, 16);
	memcpy(tuple->destination, q->at + 24, 16);
	q->at += IPV6_LEN;
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		int done = quoted_extension(q, &tuple->protocol);
		if (done <= 0)
			return !done;
	}
	return false;
}

// An error about an error is none, for nobody sends it.
static bool quoted_icmp(const struct quote *q, struct conn_tuple *tuple)
{
	return have(q, ICMP_LEN) && conn_tuple_icmp(tuple, q->at);
}

static bool quoted_l4(const struct quote *q, struct conn_tuple *tuple)
{
	bool v6 = tuple->family == CONN_IPV6;
	switch (tuple->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (!have(q, PORTS_LEN))
			return false;
		memcpy(&tuple->sport, q->at, 2);
		memcpy(&tuple->dport, q->at + 2, 2);
		return true;
	case IPPROTO_ICMP:
		return v6 || quoted_icmp(q, tuple);
	case IPPROTO_ICMPV6:
		return !v6 || quoted_icmp(q, tuple);
	default:
		return true;
	}
}

// That of a packet the other way.
static struct conn_tuple reversed(const struct conn_tuple *tuple)
{
	struct conn_tuple other = *tuple;
	memcpy(other.source, tuple->destination, sizeof(other.source));
	memcpy(other.destination, tuple->source, sizeof(other.destination));
	other.sport = tuple->dport;
	other.dport = tuple->sport;
	other.reply = !tuple->reply;
	return other;
}

bool track_error_key(const struct packet *p, uint32_t zone, struct conn_key *key, bool *sound)
{
	bool v6 = p->flags & PACKET_IPV6;
	if (!(p->flags & PACKET_L4) || p->l4_proto != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
		!is_error(v6, p->data[p->l4_off]))
		return false;
	uint32_t end = packet_l3_end(p), start = p->l4_off + ICMP_LEN;
	if (end > p->head_len)
		end = p->head_len;
	struct quote q = {p->data + start, p->data + (end < start ? start : end)};
	struct conn_tuple tuple = {.zone = zone, .family = v6 ? CONN_IPV6 : CONN_IPV4};
	*sound = (v6 ? quoted_ipv6(&q, &tuple) : quoted_ipv4(&q, &tuple)) && quoted_l4(&q, &tuple);
	// Errors go to whom the quoted packet came from (RFC 1122 3.2.2, RFC 4443 2.2).
	const uint8_t *to = p->data + p->l3_off + (v6 ? 24 : 16);
	*sound = *sound && !memcmp(to, tuple.source, v6 ? 16 : 4);
	// It goes the other way than what it quotes.
	tuple = reversed(&tuple);
	conn_key_make(key, &tuple);
	return true;
}

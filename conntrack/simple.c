// SPDX-License-Identifier: BSD-3-Clause
// Protocols with two states: nobody has answered yet, and answered. UDP, ICMP and ICMPv6 queries,
// and all others, by their pair of addresses. They take no lock: several workers may answer at
// once, and all of them write the same.
#include <string.h>

#include "conntrack/machine.h"
#include "conntrack/wire.h"

// By whether the packet is a reply.
static const enum conn_state next_udp[2] = {CONN_UDP_UNANSWERED, CONN_UDP_ANSWERED};
static const enum conn_state next_icmp[2] = {CONN_ICMP_UNANSWERED, CONN_ICMP_ANSWERED};
static const enum conn_state next_other[2] = {CONN_OTHER_UNANSWERED, CONN_OTHER_ANSWERED};

static inline enum drop_reason advance(const struct step *s, const enum conn_state next[2])
{
	if (__builtin_expect(step_is_reply(s), 0) && step_state(s) != next[1])
		step_to(s, next[1]);
	step_done(s);
	return DROP_NONE;
}

static enum drop_reason begin(const struct step *s, const enum conn_state next[2])
{
	step_to(s, next[0]);
	step_done(s);
	return DROP_NONE;
}

enum drop_reason udp_first(const struct step *s)
{
	return begin(s, next_udp);
}

enum drop_reason udp_next(const struct step *s)
{
	return advance(s, next_udp);
}

// Whether the message is what that direction sends: requests one way, replies the other. The key
// holds the request's type, so it is always the same pair.
static bool icmp_fits(const struct step *s)
{
	uint8_t request;
	bool reply;
	bool v6 = s->packet->flags & PACKET_IPV6;
	return icmp_query(v6, s->packet->data[s->packet->l4_off], &request, &reply) &&
	       reply == step_is_reply(s);
}

enum drop_reason icmp_first(const struct step *s)
{
	return icmp_fits(s) ? begin(s, next_icmp) : DROP_CONNECTION_INVALID;
}

enum drop_reason icmp_next(const struct step *s)
{
	return icmp_fits(s) ? advance(s, next_icmp) : DROP_CONNECTION_INVALID;
}

enum drop_reason other_first(const struct step *s)
{
	return begin(s, next_other);
}

enum drop_reason other_next(const struct step *s)
{
	return advance(s, next_other);
}

// SPDX-License-Identifier: BSD-3-Clause
// ICMP errors about packets that there were, or were not.
#include <netinet/in.h>
#include <string.h>

#include "tests/oracle/talk.h"

enum {
	ICMP_HEADER = 8,
	QUOTE_MAX = 520
};

static const struct {
	uint8_t type, code;
} types4[] = {{3, 0}, {3, 1}, {3, 3}, {3, 4}, {4, 0}, {11, 0}, {11, 1}, {12, 0}, {5, 1}},
  types6[] = {{1, 0}, {1, 4}, {2, 0}, {3, 0}, {3, 1}, {4, 0}};

// What is wrong with an error.
enum wrong {
	NOTHING,
	FROM_ROUTER,    // nothing is, it comes from a host in between
	OTHER_PORT,     // it quotes an L4 port that no packet had
	OTHER_ADDRESS,  // it quotes an address that no packet had
	WRONG_WAY,      // it goes to whom the quoted packet went to
	SHORT,          // its quote ends in the L4 header's first 8 bytes
	SHORTER,        // its quote ends in the IP header
	QUOTES_ERROR,   // it quotes an ICMP error
	OTHER_PROTOCOL, // it quotes another protocol
	REVERSED,       // it quotes the packet with its ends exchanged
	WRONGS
};

static const char *const labels[WRONGS] = {
	"an error",
	"an error from a router",
	"an error about an unknown L4 port",
	"an error about an unknown address",
	"an error to the wrong end",
	"an error with 4 bytes of L4",
	"an error with a piece of an IP header",
	"an error about an error",
	"an error about an unknown protocol",
	"an error about a packet with its ends exchanged",
};

struct quote {
	uint8_t bytes[ICMP_HEADER + QUOTE_MAX];
	size_t len;    // all
	size_t header; // of the quoted IP packet
};

static void exchange(uint8_t *a, uint8_t *b, size_t n)
{
	uint8_t kept[16];
	memcpy(kept, a, n);
	memcpy(a, b, n);
	memcpy(b, kept, n);
}

static void spoil(const struct talk *t, struct quote *q, enum wrong wrong)
{
	uint8_t *ip = q->bytes + ICMP_HEADER, *l4 = ip + q->header;
	switch (wrong) {
	case OTHER_PORT:
		put16(l4, (uint16_t)(get16(l4) + 7));
		put16(l4 + 4, (uint16_t)(get16(l4 + 4) + 7)); // ICMP: the identifier
		break;
	case OTHER_ADDRESS:
		ip[t->ipv6 ? 39 : 19] ^= 0x55;
		break;
	case SHORT:
		q->len = ICMP_HEADER + q->header + 4;
		break;
	case SHORTER:
		q->len = ICMP_HEADER + q->header - 6;
		break;
	case QUOTES_ERROR:
		ip[t->ipv6 ? 6 : 9] = t->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		memset(l4, 0, 8);
		l4[0] = t->ipv6 ? 1 : 3;
		break;
	case OTHER_PROTOCOL:
		ip[t->ipv6 ? 6 : 9] = 199;
		break;
	case REVERSED:
		exchange(ip + (t->ipv6 ? 8 : 12), ip + (t->ipv6 ? 24 : 16), t->ipv6 ? 16 : 4);
		exchange(l4, l4 + 2, 2);
		break;
	default:
		break;
	}
}

static void send_error(struct talk *t, unsigned side, struct quote *q, enum wrong wrong)
{
	bool router = wrong == FROM_ROUTER;
	uint8_t protocol = t->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint8_t *icmp = q->bytes;
	if (t->ipv6) {
		unsigned i = rng_below(&t->rng, sizeof(types6) / sizeof(types6[0]));
		icmp[0] = types6[i].type;
		icmp[1] = types6[i].code;
		put16(icmp + 6, icmp[0] == 2 ? 1400 : 0);
	} else {
		unsigned i = rng_below(&t->rng, sizeof(types4) / sizeof(types4[0]));
		icmp[0] = types4[i].type;
		icmp[1] = types4[i].code;
		put16(icmp + 6, 1400);
	}
	talk_checksum(t, side, protocol, icmp, q->len, 2, router);
	if (router)
		talk_add_from_router(t, side, protocol, icmp, q->len, labels[wrong]);
	else
		talk_add(t, side, protocol, icmp, q->len, labels[wrong]);
}

static const struct step *last_from(const struct talk *t, unsigned side)
{
	for (unsigned i = t->nsteps; i--;)
		if (t->steps[i].side == side && t->units[t->steps[i].unit].cover < 0 &&
			t->units[t->steps[i].unit].len >= 8)
			return &t->steps[i];
	return NULL;
}

void talk_add_error(struct talk *t, unsigned side)
{
	enum wrong wrong = rng_one_in(&t->rng, 2) ? NOTHING
						  : (enum wrong)rng_below(&t->rng, WRONGS);
	const struct step *s = last_from(t, wrong == WRONG_WAY ? side : !side);
	struct quote q = {.len = 0};
	if (!s || !talk_has_room(t))
		return;
	size_t quoted = s->len;
	q.header = t->units[s->unit].at - s->at;
	// The least that a router quotes of IPv4 is the header and 8 bytes more.
	if (!t->ipv6 && rng_one_in(&t->rng, 2))
		quoted = q.header + 8;
	if (quoted > QUOTE_MAX)
		quoted = QUOTE_MAX;
	memcpy(q.bytes + ICMP_HEADER, t->bytes + s->at, quoted);
	q.bytes[ICMP_HEADER + (t->ipv6 ? 7 : 8)]--; // its hop limit
	q.len = ICMP_HEADER + quoted;
	spoil(t, &q, wrong);
	send_error(t, side, &q, wrong);
}

// About conversations that nobody has had.
void stranger_errors_talk(struct talk *t)
{
	unsigned side = rng_below(&t->rng, 2);
	t->phase = "nothing seen";
	for (unsigned n = 1 + rng_below(&t->rng, 3); n; n--) {
		struct quote q = {.header = t->ipv6 ? 40 : 20};
		uint8_t *ip = q.bytes + ICMP_HEADER, *l4 = ip + q.header;
		ip[0] = t->ipv6 ? 0x60 : 0x45;
		put16(ip + (t->ipv6 ? 4 : 2), t->ipv6 ? 20 : 40);
		ip[t->ipv6 ? 6 : 9] = rng_one_in(&t->rng, 2) ? IPPROTO_TCP : IPPROTO_UDP;
		ip[t->ipv6 ? 7 : 8] = 63;
		memcpy(ip + (t->ipv6 ? 8 : 12), t->address[!side], t->ipv6 ? 16 : 4);
		memcpy(ip + (t->ipv6 ? 24 : 16), t->address[side], t->ipv6 ? 16 : 4);
		put16(l4, 80);
		put16(l4 + 2, (uint16_t)(1024 + (t->number >> 16)));
		l4[12] = 5 << 4;
		q.len = ICMP_HEADER + q.header + 20;
		send_error(t, side, &q, NOTHING);
	}
}

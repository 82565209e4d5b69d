// SPDX-License-Identifier: BSD-3-Clause
#include <netinet/in.h>
#include <stdio.h>

#include "tests/oracle/judge.h"
#include "tests/oracle/tcp.h"

static void print_tcp(const uint8_t *l4, size_t len)
{
	static const char letters[] = "FSRPAUEC";
	char flags[9] = "........";
	if (len < 20)
		return;
	for (unsigned i = 0; i < 8; i++)
		if (l4[13] >> i & 1)
			flags[i] = letters[i];
	size_t header = (l4[12] >> 4) * 4u;
	fprintf(stderr, " %s seq %u ack %u win %u len %zd", flags, get32(l4 + 4), get32(l4 + 8),
		get16(l4 + 14), (ssize_t)(len - header));
	for (size_t i = 20; i < header && i + 3 < len && l4[i] > 1; i += l4[i + 1])
		if (l4[i + 1] < 2)
			break;
	for (size_t i = 20; i < header && i < len; i++) {
		if (l4[i] > 1) {
			fprintf(stderr, " option %u", l4[i]);
			if (l4[i] == 3)
				fprintf(stderr, ":%u", l4[i + 2]);
			if (l4[i + 1] < 2)
				break;
			i += l4[i + 1] - 1u;
		}
	}
}

static void print_quote(const struct talk *t, const uint8_t *l4, size_t len)
{
	size_t header = t->ipv6 ? 40 : 20;
	if (len < 8 + header + 8)
		return;
	const uint8_t *ip = l4 + 8;
	for (size_t i = 0; i < len && i < 80; i++)
		fprintf(stderr, "%02x%s", l4[i], i % 4 == 3 ? " " : "");
	fprintf(stderr, " about protocol %u, L4 %u to %u", ip[t->ipv6 ? 6 : 9], get16(ip + header),
		get16(ip + header + 2));
}

void talk_print(const struct talk *t, unsigned last_unit)
{
	static const char *const verdicts[] = {"dropped", "passed"};
	fprintf(stderr, "    talk %llu, %s, L4 ports %u and %u\n", (unsigned long long)t->number,
		t->ipv6 ? "IPv6" : "IPv4", t->port[SIDE_A], t->port[SIDE_B]);
	for (unsigned i = 0; i < t->nsteps && t->steps[i].unit <= last_unit; i++) {
		const struct step *s = &t->steps[i];
		const struct unit *u = &t->units[s->unit];
		const uint8_t *l4 = t->bytes + u->at;
		fprintf(stderr, "    %c %-28s proto %u", 'A' + s->side, u->label, u->protocol);
		if (u->cover >= 0)
			fprintf(stderr, " fragment of %u at %u, mark %u, %u bytes, flags %x",
				u->len,
				t->ipv6 ? get16(t->bytes + s->at + 42) & 0xfff8u
					: get16(t->bytes + s->at + 6) * 8u & 0xffff,
				u->mark, s->len,
				t->bytes[s->at + (t->ipv6 ? 43 : 6)] >> (t->ipv6 ? 0 : 5));
		else if (u->protocol == IPPROTO_TCP)
			print_tcp(l4, u->len);
		else if (u->len >= 4)
			fprintf(stderr, " %02x%02x%02x%02x", l4[0], l4[1], l4[2], l4[3]);
		if (u->protocol == IPPROTO_SCTP && u->len >= 16)
			fprintf(stderr, " tag %08x chunk %u flags %u", get32(l4 + 4), l4[12],
				l4[13]);
		if (u->protocol == IPPROTO_ICMP || u->protocol == IPPROTO_ICMPV6)
			print_quote(t, l4, u->len);
		fprintf(stderr, ": Linux %s, Weir %s\n", verdicts[u->passed[BY_LINUX]],
			verdicts[u->passed[BY_WEIR]]);
	}
}

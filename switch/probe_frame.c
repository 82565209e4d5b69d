// SPDX-License-Identifier: BSD-3-Clause
#include "switch/probe_frame.h"

#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "switch/checksum.h"

enum {
	ETHER_LEN = 14,
	FRAME_LEN = 60,      // bytes: the shortest Ethernet frame
	PROBE_TYPE = 0x88b5, // IEEE 802, Local Experimental EtherType 1
	IPV4_TYPE = 0x0800,
	IPV6_TYPE = 0x86dd,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	HOPS = 64,
	ICMP_LEN = 8,
	ECHO_REQUEST = 8,
	ECHO_REQUEST_V6 = 128,
	// Always the same, so that an NF which tracks connections has one of it.
	IDENTIFIER = 'W' << 8 | 'e',
	// Behind the EtherType, or the ICMP header:
	CHAIN_AT = 12,
	INSTANCE_AT = 14,
	NUMBER_AT = 16,
	MARK_LEN = 24,
};

_Static_assert(ETHER_LEN + IPV6_LEN + ICMP_LEN + MARK_LEN <= PROBE_FRAME_MAX, "the longest one");

static const uint8_t word[10] = {'W', 'e', 'i', 'r', ' ', 'p', 'r', 'o', 'b', 'e'};

static void write_mark(uint8_t *at, const struct probe_mark *mark)
{
	memcpy(at, word, sizeof(word));
	memcpy(at + CHAIN_AT, &mark->chain, sizeof(mark->chain));
	at[INSTANCE_AT] = mark->instance;
	memcpy(at + NUMBER_AT, &mark->number, sizeof(mark->number));
}

static void write_ethernet(
	uint8_t *frame, const uint8_t destination[6], const uint8_t source[6], uint16_t type)
{
	memset(frame, 0, PROBE_FRAME_MAX);
	memcpy(frame, destination, 6);
	memcpy(frame + 6, source, 6);
	store16(frame + 12, type);
}

uint16_t probe_write_frame(uint8_t frame[PROBE_FRAME_MAX], const struct probe_mark *mark)
{
	// Locally administered.
	static const uint8_t destination[6] = {0x02, 'w', 'e', 'i', 'r', 2};
	static const uint8_t source[6] = {0x02, 'w', 'e', 'i', 'r', 1};
	write_ethernet(frame, destination, source, PROBE_TYPE);
	write_mark(frame + ETHER_LEN, mark);
	return FRAME_LEN;
}

static uint16_t write_ipv4(uint8_t *ip, const struct config_probe *probe)
{
	ip[0] = 0x45;
	store16(ip + 2, IPV4_LEN + ICMP_LEN + MARK_LEN);
	ip[6] = 0x40; // not to be cut
	ip[8] = HOPS;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, probe->from.address, 4);
	memcpy(ip + 16, probe->to.address, 4);
	checksum_ipv4_header(ip, IPV4_LEN);
	return IPV4_LEN;
}

static uint16_t write_ipv6(uint8_t *ip, const struct config_probe *probe)
{
	ip[0] = 0x60;
	store16(ip + 4, ICMP_LEN + MARK_LEN);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = HOPS;
	memcpy(ip + 8, probe->from.address, 16);
	memcpy(ip + 24, probe->to.address, 16);
	return IPV6_LEN;
}

uint16_t probe_write_echo(uint8_t frame[PROBE_FRAME_MAX], const uint8_t router[6],
	const uint8_t sender[6], const struct config_probe *probe, const struct probe_mark *mark)
{
	bool v6 = probe->to.family == AF_INET6;
	uint8_t *ip = frame + ETHER_LEN;
	write_ethernet(frame, router, sender, v6 ? IPV6_TYPE : IPV4_TYPE);
	uint16_t ip_len = v6 ? write_ipv6(ip, probe) : write_ipv4(ip, probe);
	uint8_t *icmp = ip + ip_len;
	icmp[0] = v6 ? ECHO_REQUEST_V6 : ECHO_REQUEST;
	store16(icmp + 4, IDENTIFIER);
	write_mark(icmp + ICMP_LEN, mark);
	uint64_t sum = checksum_sum32(icmp, ICMP_LEN + MARK_LEN);
	if (v6)
		sum += checksum_pseudo6(ip, IPPROTO_ICMPV6, ICMP_LEN + MARK_LEN);
	uint16_t check = (uint16_t)~checksum_fold(sum);
	memcpy(icmp + 2, &check, sizeof(check));
	return (uint16_t)(ETHER_LEN + ip_len + ICMP_LEN + MARK_LEN);
}

// Where the mark would stand; 0: it is neither kind of packet.
static unsigned mark_at(const struct packet *p)
{
	if (p->ether_type == PROBE_TYPE)
		return p->l3_off;
	if (!(p->flags & PACKET_L4))
		return 0;
	uint8_t type = p->data[p->l4_off];
	bool is_echo = p->flags & PACKET_IPV4
			       ? p->l4_proto == IPPROTO_ICMP && type == ECHO_REQUEST
			       : p->l4_proto == IPPROTO_ICMPV6 && type == ECHO_REQUEST_V6;
	return is_echo ? p->l4_off + ICMP_LEN : 0;
}

bool probe_read(const struct packet *p, struct probe_mark *mark)
{
	unsigned at = mark_at(p);
	if (!at || at + MARK_LEN > p->head_len || memcmp(p->data + at, word, sizeof(word)) != 0)
		return false;
	memcpy(&mark->chain, p->data + at + CHAIN_AT, sizeof(mark->chain));
	mark->instance = p->data[at + INSTANCE_AT];
	memcpy(&mark->number, p->data + at + NUMBER_AT, sizeof(mark->number));
	return true;
}

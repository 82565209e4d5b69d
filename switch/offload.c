// SPDX-License-Identifier: BSD-3-Clause
#include "switch/offload.h"

#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "switch/checksum.h"

// The offset of the checksum field in the L4 header, 0 if the claim of a partial one does not hold.
static uint16_t confirm_checksum(const struct packet *p, const struct walk *w)
{
	uint16_t at = 0;
	if ((p->flags & (PACKET_L4 | PACKET_FRAGMENT)) != PACKET_L4 || w->routed)
		return 0;
	if (p->l4_proto == IPPROTO_TCP)
		at = TCP_CSUM_OFFSET;
	// The checksum is over the UDP length, but is completed to the packet's end.
	else if (p->l4_proto == IPPROTO_UDP &&
		 load16(p->data + p->l4_off + 4) == w->end - p->l4_off)
		at = UDP_CSUM_OFFSET;
	return p->csum_start == p->l4_off && p->csum_offset == at ? at : 0;
}

static bool confirm_tso(struct packet *p, const struct walk *w, uint8_t kind)
{
	if (p->l4_proto != IPPROTO_TCP || p->gso_size < OFFLOAD_GSO_MIN ||
		kind != (p->flags & PACKET_IPV4 ? OFFLOAD_TSO4 : OFFLOAD_TSO6))
		return false;
	if (w->end - p->payload_off <= p->gso_size)
		return true; // nothing to segment
	p->offload |= kind;
	if (p->data[p->l4_off + TCP_FLAGS_OFFSET] & TCP_CWR)
		p->offload |= OFFLOAD_ECN;
	return true;
}

static enum drop_reason confirm_claim(struct packet *p, const struct walk *w, uint8_t claim)
{
	if (w->beyond)
		return DROP_HEADERS_TOO_LONG;
	if (claim & OFFLOAD_UNKNOWN_GSO || !(claim & OFFLOAD_CSUM_PARTIAL))
		return DROP_BAD_OFFLOAD;
	uint16_t at = confirm_checksum(p, w);
	if (!at)
		return DROP_BAD_OFFLOAD;
	if (claim & OFFLOAD_TSO && !confirm_tso(p, w, claim & OFFLOAD_TSO))
		return DROP_BAD_OFFLOAD;

	p->offload |= OFFLOAD_CSUM_PARTIAL;
	p->len = w->end;
	if (p->head_len > p->len)
		p->head_len = (uint16_t)p->len;
	uint16_t pseudo = checksum_pseudo(p, p->data, p->len - p->l4_off);
	memcpy(p->data + p->l4_off + at, &pseudo, sizeof(pseudo));
	return DROP_NONE;
}

void confirm_offload(struct packet *p, const struct walk *w)
{
	uint8_t claim = p->offload & (OFFLOAD_CSUM_PARTIAL | OFFLOAD_TSO | OFFLOAD_UNKNOWN_GSO);
	p->offload = p->offload & OFFLOAD_NIC_CHECKED ? OFFLOAD_CSUM_VALID : 0;
	if (!claim)
		return;
	enum drop_reason reason = confirm_claim(p, w, claim);
	if (reason != DROP_NONE)
		packet_drop(p, reason);
}

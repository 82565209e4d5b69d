// SPDX-License-Identifier: BSD-3-Clause
// From a NIC's receive queue to packets. The device has written a frame into buffers that no guest
// sees, so its headers stay where they are; what lies behind the first bytes is segments, as in a
// guest's memory.
#include "switch/nic.h"

#include "base/likely.h"

static void add_segment(struct burst *burst, struct packet *p, const uint8_t *base, uint32_t len)
{
	if (!len)
		return;
	burst->segments[burst->nsegments++] = (struct segment){.base = base, .len = len};
	p->nbody++;
}

// Some devices put headers into a short first buffer: those are gathered in the stash.
static void take_split(struct burst *burst, unsigned i, const struct rte_mbuf *m)
{
	struct packet *p = &burst->packets[i];
	uint32_t skip = p->head_len = m->pkt_len < STASH_HEADERS ? m->pkt_len : STASH_HEADERS;
	p->data = burst->stash[i] + STASH_HEADROOM;
	const void *head = rte_pktmbuf_read(m, 0, skip, p->data);
	if (head != p->data)
		memcpy(p->data, head, skip);
	for (; m; m = m->next) {
		uint32_t here = skip < m->data_len ? skip : m->data_len;
		add_segment(
			burst, p, rte_pktmbuf_mtod(m, const uint8_t *) + here, m->data_len - here);
		skip -= here;
	}
}

static bool is_checked(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

static void take_one(struct burst *burst, unsigned i, const struct rte_mbuf *m)
{
	struct packet *p = &burst->packets[i];
	*p = (struct packet){
		.data = rte_pktmbuf_mtod(m, uint8_t *),
		.head_len = m->data_len < STASH_HEADERS ? m->data_len : STASH_HEADERS,
		.body = &burst->segments[burst->nsegments],
		.len = m->pkt_len,
		.verdict = VERDICT_NONE,
		.offload = is_checked(m) ? OFFLOAD_NIC_CHECKED : 0,
	};
	if (unlikely(m->pkt_len < FRAME_MIN)) {
		packet_drop(p, DROP_FRAME_TOO_SHORT);
	} else if (unlikely(m->pkt_len > FRAME_MAX ||
			    burst->nsegments + m->nb_segs + 1u > BURST_SEGMENTS)) {
		packet_drop(p, DROP_FRAME_TOO_LONG);
	} else if (likely(m->data_len >= STASH_HEADERS || !m->next)) {
		add_segment(burst, p, p->data + p->head_len, m->data_len - p->head_len);
		while ((m = m->next))
			add_segment(burst, p, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	} else {
		take_split(burst, i, m);
	}
}

static void nudge(struct nic *nic)
{
	uint64_t now = rte_rdtsc();
	if (now - nic->nudged_at < nic->nudge_each)
		return;
	nic->nudged_at = now;
	nic_tx_lock(nic, 0);
	rte_eth_tx_burst(nic->ethdev, 0, NULL, 0);
	nic_tx_unlock(nic, 0);
}

unsigned nic_take(struct nic *nic, uint16_t queue, struct burst *burst, struct rte_mbuf **mbufs)
{
	if (unlikely(nic->nudge_each) && !queue)
		nudge(nic);
	unsigned n = rte_eth_rx_burst(nic->ethdev, queue, mbufs, BURST_MAX);
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], const void *));
	burst->count = (uint16_t)n;
	burst->nsegments = 0;
	for (unsigned i = 0; i < n; i++)
		take_one(burst, i, mbufs[i]);
	return n;
}

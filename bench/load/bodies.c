// SPDX-License-Identifier: BSD-3-Clause
// What is behind the head of a TSO frame: pieces that are the same in all of them.
#include "bench/load/load.h"

static void fill_body(struct rte_mempool *pool, void *opaque, void *object, unsigned index)
{
	struct rte_mbuf *m = object;
	(void)pool;
	(void)opaque;
	(void)index;
	pattern_fill((uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM, PATTERN_PERIOD, 0);
}

void bodies_fill(void)
{
	rte_mempool_obj_iter(load_ports.bodies, fill_body, NULL);
}

bool bodies_add(struct rte_mbuf *head)
{
	uint32_t left = FRAME_TSO - FRAME_HEAD;
	struct rte_mbuf *last = head;
	head->data_len = FRAME_HEAD;
	head->pkt_len = FRAME_TSO;
	head->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
	head->l2_len = 14;
	head->l3_len = 20;
	head->l4_len = 20;
	head->tso_segsz = FRAME_TSO_SEGMENT;
	while (left) {
		struct rte_mbuf *body = rte_pktmbuf_alloc(load_ports.bodies);
		if (!body)
			return false;
		uint32_t run = left < PATTERN_PERIOD ? left : PATTERN_PERIOD;
		body->data_len = (uint16_t)run;
		last->next = body;
		last = body;
		head->nb_segs++;
		left -= run;
	}
	return true;
}

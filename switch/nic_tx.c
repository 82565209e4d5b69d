// SPDX-License-Identifier: BSD-3-Clause
// From packets to a NIC's transmit queue. A packet that came from a NIC and leaves by one other
// moves in its buffer; any other is copied into buffers of the NIC, as one frame or as segments,
// with checksums completed where the device does not do it.
#include "switch/pipeline.h"

#include <netinet/in.h>
#include <string.h>

#include "base/likely.h"
#include "switch/nic.h"
#include "switch/parse.h"

// Frames on their way to one queue.
struct batch {
	struct pass *pass;
	const struct port_view *out;
	uint16_t queue;
	uint16_t count;
	bool full;         // at the last flush
	bool tagged;       // the device inserts the tag of the packet at hand:
	uint16_t vlan_tci; // this one
	struct rte_mbuf *mbufs[BURST_MAX];
	struct traffic sent;
};

// Counts mbufs from `first` on as lost, and frees them.
static void refuse(struct batch *b, unsigned first, unsigned n, enum drop_reason reason)
{
	const struct rte_mbuf *m = b->mbufs[first];
	pass_drop(b->pass, b->out->port, reason, n, rte_pktmbuf_mtod(m, const uint8_t *),
		m->data_len);
	rte_pktmbuf_free_bulk(b->mbufs + first, n);
}

// How many from `first` on the device would take. Some want the pseudo header's sum in a form of
// their own, and some look at what they are given.
static unsigned prepare(struct batch *b, unsigned first)
{
	const struct nic *nic = b->out->nic;
	uint16_t n = (uint16_t)(b->count - first);
	return nic->features ? rte_eth_tx_prepare(nic->ethdev, b->queue, b->mbufs + first, n) : n;
}

static uint32_t wire_len(const struct rte_mbuf *m)
{
	return m->pkt_len + (m->ol_flags & RTE_MBUF_F_TX_VLAN ? RTE_VLAN_HLEN : 0);
}

// The frames to the device; b->full tells whether it has taken all that it would.
static void flush(struct batch *b)
{
	const struct nic *nic = b->out->nic;
	b->full = false;
	for (unsigned first = 0; first < b->count && !b->full;) {
		unsigned ready = prepare(b, first);
		uint32_t lens[BURST_MAX];
		for (unsigned i = 0; i < ready; i++)
			lens[i] = wire_len(b->mbufs[first + i]);
		unsigned taken = rte_eth_tx_burst(
			nic->ethdev, b->queue, b->mbufs + first, (uint16_t)ready);
		b->sent.packets += taken;
		for (unsigned i = 0; i < taken; i++)
			b->sent.bytes += lens[i];
		first += taken;
		if (unlikely(taken < ready)) {
			b->full = true;
			refuse(b, first, b->count - first, DROP_TO_NIC_QUEUE_FULL);
		} else if (unlikely(first < b->count)) {
			refuse(b, first++, 1, DROP_TO_NIC_REFUSED);
		}
	}
	b->count = 0;
}

static inline void add(struct batch *b, struct rte_mbuf *m)
{
	if (b->tagged) {
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		m->vlan_tci = b->vlan_tci;
	}
	b->mbufs[b->count++] = m;
	if (b->count == BURST_MAX)
		flush(b);
}

// --- a packet that moves -------------------------------------------------------------------------

// The buffer of a packet whose headers lie in it and which goes to this port alone; it is taken
// from the pass. NULL: it has none, or not one that this device can send.
static struct rte_mbuf *take_mbuf(struct pass *pass, const struct nic *nic, const struct packet *p)
{
	unsigned i = (unsigned)(p - pass->burst.packets);
	struct rte_mbuf *m = pass->source ? NULL : pass->mbufs[i];
	if (!m || (m->nb_segs > 1 && !nic->multi_segs) || p->verdict != VERDICT_FORWARD ||
		p->data < (uint8_t *)m->buf_addr || p->data >= (uint8_t *)m->buf_addr + m->buf_len)
		return NULL;
	pass->mbufs[i] = NULL;
	return m;
}

// A tag was pushed or popped meanwhile.
static void fit_mbuf(struct rte_mbuf *m, const struct packet *p)
{
	uint16_t offset = (uint16_t)(p->data - (uint8_t *)m->buf_addr);
	int16_t grown = (int16_t)(m->data_off - offset);
	m->data_off = offset;
	m->data_len = (uint16_t)(m->data_len + grown);
	m->pkt_len = (uint32_t)((int32_t)m->pkt_len + grown);
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
}

// --- a packet that is copied ---------------------------------------------------------------------

static void ask_device(const struct nic *nic, struct rte_mbuf *m, const struct packet *p,
	const struct frame *frame)
{
	if (!(frame->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return;
	m->ol_flags |= p->flags & PACKET_IPV4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	m->ol_flags |= p->l4_proto == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM
						  : RTE_MBUF_F_TX_UDP_CKSUM;
	m->l2_len = p->l3_off;
	m->l3_len = p->l4_off - p->l3_off;
	if (frame->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (p->flags & PACKET_IPV4 && nic->ip_checksum)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	m->l4_len = p->payload_off - p->l4_off;
	m->tso_segsz = frame->vnet.gso_size;
}

// A chain of buffers for len bytes, whose memory is noted in pieces. NULL: none are free.
static struct rte_mbuf *chain_of(const struct nic *nic, uint32_t len, struct segment *pieces)
{
	struct rte_mbuf *mbufs[FRAME_MAX / 1024];
	unsigned n = (len + nic->room - 1) / nic->room;
	if (n > sizeof(mbufs) / sizeof(mbufs[0]) || rte_pktmbuf_alloc_bulk(nic->pool, mbufs, n))
		return NULL;
	mbufs[0]->nb_segs = (uint16_t)n;
	mbufs[0]->pkt_len = len;
	for (unsigned i = 0; i < n; i++) {
		mbufs[i]->next = i + 1 < n ? mbufs[i + 1] : NULL;
		mbufs[i]->data_len = (uint16_t)(len < nic->room ? len : nic->room);
		len -= mbufs[i]->data_len;
		pieces[i] = (struct segment){
			rte_pktmbuf_mtod(mbufs[i], uint8_t *), mbufs[i]->data_len};
	}
	return mbufs[0];
}

// What the device can do for this packet. Its driver may know IPv6 without extension headers only,
// and take small segments for an attack.
static uint64_t features_for(const struct nic *nic, const struct packet *p)
{
	enum {
		IPV6_LEN = 40,
		DEVICE_GSO_MIN = 256
	};
	if (p->flags & PACKET_IPV6 && p->l4_off - p->l3_off != IPV6_LEN)
		return 0;
	return p->gso_size < DEVICE_GSO_MIN ? nic->features & ~NIC_TSO : nic->features;
}

static struct rte_mbuf *copy_frame(
	struct pass *pass, const struct nic *nic, const struct frame *frame)
{
	enum {
		WIRE_MIN = 60 // shorter frames are a device's to lengthen, and some refuse them
	};
	uint32_t len = frame_len(frame);
	if (unlikely(len > nic->room)) {
		struct rte_mbuf *m = chain_of(nic, len, pass->layout.pieces);
		if (m)
			frame_pour(frame, pass->layout.pieces, 0);
		return m;
	}
	struct rte_mbuf *m = rte_pktmbuf_alloc(nic->pool);
	if (unlikely(!m))
		return NULL;
	uint8_t *dst = rte_pktmbuf_mtod(m, uint8_t *);
	frame_write(frame, dst);
	if (unlikely(len < WIRE_MIN)) {
		memset(dst + len, 0, WIRE_MIN - len);
		len = WIRE_MIN;
	}
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

static enum drop_reason copy_packet(struct batch *b, struct packet *p)
{
	struct segmenter *s = &b->pass->segmenter;
	const struct nic *nic = b->out->nic;
	enum drop_reason reason = segment_begin(s, p, features_for(nic, p), b->out->mtu);
	if (reason != DROP_NONE)
		return reason == DROP_TO_VM_MTU ? DROP_TO_NIC_MTU : reason;
	struct frame frame;
	b->full = false;
	// With a full queue the rest is not worth cutting.
	while (!b->full && segment_next(s, &frame)) {
		if (unlikely(frame_len(&frame) > nic->room && !nic->multi_segs))
			return DROP_TO_NIC_MTU;
		struct rte_mbuf *m = copy_frame(b->pass, nic, &frame);
		if (unlikely(!m))
			return DROP_TO_NIC_NO_BUFFER;
		ask_device(nic, m, p, &frame);
		add(b, m);
	}
	return DROP_NONE;
}

static enum drop_reason send_one(struct batch *b, struct packet *p)
{
	const struct nic *nic = b->out->nic;
	bool tagged = view_tags(b->out, p->vlan);
	b->tagged = tagged && nic->insert_tags && packet_leave_tag(p, &b->vlan_tci);
	if (!b->tagged)
		packet_tag_vlan(p, tagged);
	// It is looked at before its buffer is taken, since it is freed with the burst if it stays.
	bool fits = p->len - p->l3_off <= b->out->mtu;
	struct rte_mbuf *m = fits ? take_mbuf(b->pass, nic, p) : NULL;
	if (!m)
		return copy_packet(b, p);
	fit_mbuf(m, p);
	add(b, m);
	return DROP_NONE;
}

void nic_send(struct pass *pass, const struct port_view *out, struct packet *const *packets,
	unsigned count)
{
	struct nic *nic = out->nic;
	struct batch b = {.pass = pass, .out = out, .queue = pass->worker % nic->ntx};
	nic_tx_lock(nic, b.queue);
	for (unsigned i = 0; i < count; i++) {
		enum drop_reason reason = send_one(&b, packets[i]);
		if (unlikely(reason != DROP_NONE))
			pass_drop_packets(pass, out->port, reason, 1, packets[i]);
	}
	if (b.count)
		flush(&b);
	counter_add(&out->port->counters[b.queue].to_vm, b.sent.packets, b.sent.bytes);
	nic_tx_unlock(nic, b.queue);
}

// SPDX-License-Identifier: BSD-3-Clause
// A stream of frames between partners: numbered, stamped, checked. Each sender walks its flows in
// the same order; both directions of a connection so meet the switch at about the same time.
//
// No more frames are on their way than the receiver has buffers for, as with guests that speak TCP:
// a frame that a switch takes and drops would cost it less than one that it delivers.
#include <errno.h>
#include <stdio.h>

#include "bench/load/flows.h"
#include "bench/load/load.h"

enum {
	CONTENT_EVERY = 256, // frames, of which one is checked whole
	STAMP_EVERY = 16,    // frames, of which one's delay counts where no rate is given
};

struct sender {
	bool active;
	uint32_t flying; // sent and not received
	uint64_t heard;  // TSC of the last receipt, or of the last look at none
	uint32_t next;   // of the flows' order
	uint32_t sequence;
	unsigned mix;
	struct outbox box;
	struct frame_template templates[FRAME_SIZES];
};

struct receiver {
	uint32_t expected;
};

static struct stream {
	struct load_plan plan;
	struct flows flows;
	struct rte_mempool *heads;
	struct pace pace;
	unsigned nactive;
	uint32_t window; // frames of one sender on their way
	uint32_t stamp_mask;
	unsigned turn; // the sender that begins
	struct sender senders[PORTS_MAX];
	struct receiver receivers[PORTS_MAX];
} stream;

// --- sending -------------------------------------------------------------------------------------

// The same for a buffer all the time, and so nothing that would have to be stored.
static inline uint16_t seed_of(const struct rte_mbuf *m)
{
	return load_ports.tso ? 0 : (uint16_t)((uintptr_t)m >> 7);
}

static inline uint32_t *sums_of(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

static void fill_head(struct rte_mempool *pool, void *opaque, void *object, unsigned index)
{
	struct rte_mbuf *m = object;
	const struct load_plan *plan = opaque;
	(void)pool;
	(void)index;
	uint8_t *body = (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM + FRAME_HEAD;
	for (int i = FRAME_SIZES - 1; i >= 0; i--) { // the longest last would overwrite the tail
		uint32_t len = plan->frame ? plan->frame : imix_sizes[i];
		sums_of(m)[i] = pattern_fill(body, len - FRAME_HEAD, seed_of(m));
	}
	uint32_t longest = plan->frame ? plan->frame : imix_sizes[FRAME_SIZES - 1];
	pattern_fill(body, longest - FRAME_HEAD, seed_of(m));
}

static inline void build(struct sender *s, struct rte_mbuf *m, uint32_t stamp)
{
	unsigned size = 0;
	if (!stream.plan.frame) {
		size = imix_order[s->mix];
		s->mix = s->mix + 1 == IMIX_CYCLE ? 0 : s->mix + 1;
	}
	const struct frame_template *t = &s->templates[size];
	uint32_t flow = stream.flows.order[s->next];
	s->next = s->next + 1 == stream.flows.length ? 0 : s->next + 1;
	struct frame_tag tag = {.sequence = s->sequence++, .seed = seed_of(m), .stamp = stamp};
	uint32_t mac = stream.plan.macs == 1 ? 0 : flow % stream.plan.macs;
	frame_build(rte_pktmbuf_mtod(m, uint8_t *), t, flow, mac, tag,
		t->l4_sum ? sums_of(m)[size] : 0);
	m->data_len = (uint16_t)t->len;
	m->pkt_len = t->len;
}

// Up to n new frames into the empty outbox; a shortage of buffers makes it fewer.
static void fill_outbox(struct sender *s, unsigned n)
{
	struct outbox *box = &s->box;
	if (!n || rte_pktmbuf_alloc_bulk(stream.heads, box->frames, n))
		return;
	uint32_t stamp = (uint32_t)(rte_rdtsc() >> 4);
	for (unsigned i = 0; i < n; i++) {
		build(s, box->frames[i], stamp);
		if (stream.plan.frame != FRAME_TSO)
			continue;
		if (!bodies_add(box->frames[i])) {
			rte_pktmbuf_free_bulk(box->frames + i, n - i);
			s->sequence--;
			n = i;
		}
	}
	box->end = n;
}

// What could not be sent when due is not sent later.
static void refuse(struct sender *s)
{
	struct outbox *box = &s->box;
	unsigned waiting = box->end - box->first;
	rte_pktmbuf_free_bulk(box->frames + box->first, waiting);
	box->first = box->end = 0;
	s->sequence -= waiting;
	load_tally.refused += waiting;
}

// How many may go. Frames that do not arrive for a while are lost, and no longer on their way.
static unsigned window_open(struct sender *s)
{
	if (s->flying < stream.window)
		return stream.window - s->flying;
	uint64_t now = rte_rdtsc();
	if (now - s->heard < LOST_CYCLES)
		return 0;
	s->flying = 0;
	s->heard = now;
	return stream.window;
}

static unsigned send_from(unsigned port, unsigned due)
{
	struct sender *s = &stream.senders[port];
	unsigned max = due;
	if (!s->box.end) {
		unsigned open = window_open(s);
		max = open < due ? open : due;
		fill_outbox(s, max);
	}
	unsigned went = outbox_flush(&s->box, port);
	s->flying += went;
	if (stream.pace.per_cycle != 0) {
		load_tally.refused += due - max;
		refuse(s);
	}
	return went;
}

// Senders take turns to begin, so that what is due is spread over all.
static unsigned send_all(void)
{
	unsigned moved = 0;
	unsigned due = pace_due(&stream.pace, rte_rdtsc(), PORT_BURST * stream.nactive);
	stream.turn = (stream.turn + 1) % load_ports.count;
	unsigned open = stream.nactive;
	for (unsigned i = 0; i < load_ports.count; i++) {
		unsigned port = (stream.turn + i) % load_ports.count;
		if (!stream.senders[port].active)
			continue;
		unsigned share = (due + open - 1) / open;
		moved += send_from(port, share);
		due -= share;
		open--;
	}
	return moved;
}

// --- receiving -----------------------------------------------------------------------------------

static bool content_holds(const struct rte_mbuf *m, unsigned port)
{
	const uint8_t *head = rte_pktmbuf_mtod(m, const uint8_t *);
	if (m->data_len < FRAME_HEAD || !frame_head_holds(head, m->pkt_len, (uint8_t)port))
		return false;
	struct frame_tag tag;
	memcpy(&tag, head + frame_tag_at(head), sizeof(tag));
	uint32_t pos = 0, skip = FRAME_HEAD;
	for (; m; m = m->next) {
		uint32_t n = m->data_len - skip;
		if (!pattern_holds(rte_pktmbuf_mtod(m, const uint8_t *) + skip, n, pos, tag.seed))
			return false;
		pos += n;
		skip = 0;
	}
	return true;
}

static inline void check(const struct rte_mbuf *m, unsigned port, uint32_t now)
{
	struct receiver *r = &stream.receivers[port];
	const uint8_t *head = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t tag_at = frame_tag_at(head);
	load_tally.checked += (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
			      RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (!tag_at)
		return;
	struct frame_tag tag;
	memcpy(&tag, head + tag_at, sizeof(tag));
	load_tally.received++;
	load_tally.bytes += m->pkt_len;
	if (tag.sequence != r->expected && (int32_t)(tag.sequence - r->expected) < 0)
		load_tally.misordered++;
	else
		r->expected = tag.sequence + 1;
	if (!(tag.sequence & stream.stamp_mask))
		histogram_add(&load_tally.latency, now - tag.stamp);
	if (!(tag.sequence % CONTENT_EVERY) && !content_holds(m, port))
		load_tally.corrupt++;
}

static unsigned receive_at(unsigned port)
{
	struct rte_mbuf *frames[PORT_BURST];
	unsigned n = rte_eth_rx_burst(load_ports.ids[port], 0, frames, PORT_BURST);
	if (!n)
		return 0;
	uint64_t now = rte_rdtsc();
	struct sender *s = &stream.senders[partner(port)];
	s->flying -= s->flying < n ? s->flying : n;
	s->heard = now;
	load_tally.calls++;
	for (unsigned i = 0; i < n; i++)
		check(frames[i], port, (uint32_t)(now >> 4));
	rte_pktmbuf_free_bulk(frames, n);
	return n;
}

// --- the interface -------------------------------------------------------------------------------

static unsigned stream_round(bool sending)
{
	unsigned moved = 0;
	for (unsigned port = 0; port < load_ports.count; port++)
		moved += receive_at(port);
	return sending ? moved + send_all() : moved;
}

static void init_sender(struct sender *s, unsigned port, const struct load_plan *plan)
{
	*s = (struct sender){.active = plan->directions == 2 || !(port & 1), .heard = rte_rdtsc()};
	const struct frame_ends ends = {(uint8_t)port, (uint8_t)partner(port), port & 1};
	for (int i = 0; i < FRAME_SIZES; i++)
		frame_template_init(&s->templates[i], ends, plan->tcp,
			plan->frame ? plan->frame : imix_sizes[i]);
	stream.nactive += s->active;
}

// Replies come half a round behind: of many connections, none finds its entry in a cache because it
// was just looked at for the other direction.
static void set_apart(void)
{
	for (unsigned port = 1; port < load_ports.count; port += 2)
		stream.senders[port].next = stream.flows.length / 2;
}

static int stream_start(const struct load_plan *plan)
{
	if ((plan->frame == FRAME_TSO) != load_ports.tso) {
		fprintf(stderr, "weir-load: TSO frames need --tso, and others go without\n");
		return -EINVAL;
	}
	stream.plan = *plan;
	stream.heads = plan->frame <= SMALL_MAX || load_ports.tso ? load_ports.heads
								  : load_ports.jumbo;
	stream.nactive = 0;
	stream.window = load_window(plan->frame);
	stream.stamp_mask = plan->rate > 0 ? 0 : STAMP_EVERY - 1;
	int rc = flows_init(&stream.flows, plan->flows, plan->zipf);
	if (rc)
		return rc;
	for (unsigned port = 0; port < load_ports.count; port++) {
		init_sender(&stream.senders[port], port, plan);
		stream.receivers[port] = (struct receiver){0};
	}
	set_apart();
	if (load_ports.tso)
		bodies_fill();
	else
		rte_mempool_obj_iter(stream.heads, fill_head, &stream.plan);
	pace_init(&stream.pace, plan->rate);
	return 0;
}

static void stream_stop(void)
{
	for (unsigned port = 0; port < load_ports.count; port++)
		outbox_free(&stream.senders[port].box);
	flows_fini(&stream.flows);
}

const struct traffic_ops stream_traffic = {
	.start = stream_start, .round = stream_round, .stop = stream_stop};

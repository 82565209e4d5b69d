// SPDX-License-Identifier: BSD-3-Clause
// A stream is told by the seed in its frames' tag: its number, and a number of the run, so that
// frames of an earlier run, which a slow rate may have kept, are known. A frame's bytes are counted
// as the segments that it will be, each with a header of its own.
#include "bench/load/streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/load.h"

enum {
	TSO_HEADER = 14 + 40,
	SILENT_MS = 1500, // nothing has arrived for so long: what was on its way is lost
};

struct sender {
	struct stream_plan plan;
	uint32_t next;     // sequence number
	uint32_t expected; // behind the last one received
	uint32_t flow;
	unsigned mix;
	uint64_t heard; // TSC of the last receipt
	struct pace pace;
	struct outbox box;
	struct frame_template templates[FRAME_SIZES];
};

static struct {
	unsigned count;
	unsigned turn; // the stream that begins
	uint8_t run;
	uint64_t silent; // cycles
	struct sender senders[STREAMS_MAX];
} streams;

static struct streams_record record;

const struct streams_record *streams_recorded(void)
{
	return &record;
}

// --- sending -------------------------------------------------------------------------------------

static bool build(unsigned number, struct rte_mbuf *m, uint32_t stamp)
{
	struct sender *s = &streams.senders[number];
	unsigned size = s->plan.frame ? 0 : imix_order[s->mix++ % IMIX_CYCLE];
	const struct frame_template *t = &s->templates[size];
	struct frame_tag tag = {
		.sequence = s->next, .seed = (uint16_t)(streams.run << 8 | number), .stamp = stamp};
	uint32_t flow = number * STREAM_FLOWS + s->flow++ % s->plan.flows;
	frame_build(rte_pktmbuf_mtod(m, uint8_t *), t, flow, 0, tag, 0);
	m->data_len = (uint16_t)t->len;
	m->pkt_len = t->len;
	if (t->len == FRAME_TSO && !bodies_add(m))
		return false;
	s->next++;
	return true;
}

// Up to n new frames into the empty outbox; a shortage of buffers makes it fewer.
static void fill_outbox(unsigned number, unsigned n)
{
	struct outbox *box = &streams.senders[number].box;
	if (!n || rte_pktmbuf_alloc_bulk(load_ports.heads, box->frames, n))
		return;
	uint32_t stamp = (uint32_t)(rte_rdtsc() >> 4);
	for (unsigned i = 0; i < n; i++) {
		if (build(number, box->frames[i], stamp))
			continue;
		rte_pktmbuf_free_bulk(box->frames + i, n - i);
		n = i;
	}
	box->end = n;
}

static unsigned window_open(struct sender *s, uint64_t now)
{
	if (!s->plan.window)
		return PORT_BURST;
	uint32_t flying = s->next - s->expected;
	if (flying < s->plan.window)
		return s->plan.window - flying;
	if (now - s->heard < streams.silent)
		return 0;
	s->expected = s->next;
	s->heard = now;
	return s->plan.window;
}

// What could not be sent when due is not sent later.
static void refuse(struct sender *s, struct stream_record *r, unsigned unsent)
{
	unsigned waiting = s->box.end - s->box.first;
	outbox_free(&s->box);
	s->next -= waiting;
	r->refused += unsent + waiting;
	load_tally.refused += unsent + waiting;
}

static unsigned send_of(unsigned number, uint64_t now)
{
	struct sender *s = &streams.senders[number];
	struct stream_record *r = &record.streams[number];
	unsigned due = pace_due(&s->pace, now, PORT_BURST), n = due;
	if (!s->box.end) {
		unsigned open = window_open(s, now);
		n = open < due ? open : due;
		fill_outbox(number, n);
	}
	unsigned went = outbox_flush(&s->box, s->plan.from);
	r->sent += went;
	if (s->plan.rate > 0)
		refuse(s, r, due - n);
	return went;
}

static unsigned send_all(uint64_t now)
{
	unsigned moved = 0;
	streams.turn = (streams.turn + 1) % streams.count;
	for (unsigned i = 0; i < streams.count; i++) {
		unsigned number = (streams.turn + i) % streams.count;
		if (!streams.senders[number].plan.others)
			moved += send_of(number, now);
	}
	return moved;
}

// --- receiving -----------------------------------------------------------------------------------

static uint32_t counted_bytes(const struct rte_mbuf *m)
{
	if (m->pkt_len <= FRAME_LONGEST)
		return m->pkt_len;
	uint32_t segments = (m->pkt_len - TSO_HEADER + FRAME_TSO_SEGMENT - 1) / FRAME_TSO_SEGMENT;
	return m->pkt_len + (segments - 1) * TSO_HEADER;
}

static void take(const struct rte_mbuf *m, uint64_t now)
{
	const uint8_t *head = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t tag_at = frame_tag_at(head);
	struct frame_tag tag;
	if (!tag_at)
		return;
	memcpy(&tag, head + tag_at, sizeof(tag));
	unsigned number = tag.seed & 0xff;
	if (number >= streams.count)
		return;
	struct sender *s = &streams.senders[number];
	struct stream_record *r = &record.streams[number];
	if (!s->plan.others && tag.seed >> 8 != streams.run)
		return;
	uint32_t bytes = counted_bytes(m);
	r->received++;
	r->marked += (head[15] & 3) == 3;
	arrivals_add(&record.arrivals, r->buckets, bytes);
	if (s->plan.others)
		return;
	load_tally.received++;
	load_tally.bytes += bytes;
	s->heard = now;
	histogram_add(&r->latency, (uint32_t)(now >> 4) - tag.stamp);
	if ((int32_t)(tag.sequence - s->expected) < 0)
		r->misordered++;
	else
		s->expected = tag.sequence + 1;
}

static unsigned receive_at(unsigned port, uint64_t now)
{
	struct rte_mbuf *frames[PORT_BURST];
	unsigned n = rte_eth_rx_burst(load_ports.ids[port], 0, frames, PORT_BURST);
	if (!n)
		return 0;
	load_tally.calls++;
	for (unsigned i = 0; i < n; i++)
		take(frames[i], now);
	rte_pktmbuf_free_bulk(frames, n);
	return n;
}

// --- the interface -------------------------------------------------------------------------------

static unsigned streams_round(bool sending)
{
	unsigned moved = 0;
	uint64_t now = rte_rdtsc();
	arrivals_look(&record.arrivals, now);
	for (unsigned port = 0; port < load_ports.count; port++)
		moved += receive_at(port, now);
	return sending ? moved + send_all(rte_rdtsc()) : moved;
}

static void init_sender(struct sender *s, const struct stream_plan *plan)
{
	const struct frame_ends ends = {plan->from, plan->to, false};
	*s = (struct sender){.plan = *plan, .heard = rte_rdtsc()};
	for (int i = 0; i < FRAME_SIZES; i++) {
		uint32_t len = plan->frame ? plan->frame : imix_sizes[i];
		frame_template_init(&s->templates[i], ends, len == FRAME_TSO, len);
		frame_template_tos(&s->templates[i], plan->tos);
	}
	pace_init(&s->pace, plan->rate);
}

static void forget(void)
{
	for (unsigned i = 0; i < record.count; i++)
		free(record.streams[i].buckets);
	arrivals_fini(&record.arrivals);
	record.count = 0;
}

static bool may_be_sent(const struct streams_plan *plan)
{
	for (unsigned i = 0; i < plan->count; i++)
		if (!plan->streams[i].others &&
			(plan->streams[i].frame == FRAME_TSO) != load_ports.tso)
			return false;
	return true;
}

static int streams_start(const struct load_plan *load)
{
	const struct streams_plan *plan = &load->streams;
	if (!may_be_sent(plan)) {
		fprintf(stderr, "weir-load: TSO frames need --tso, and others go without\n");
		return -EINVAL;
	}
	forget();
	streams.count = plan->count;
	streams.run++;
	record.hz = load_hz();
	streams.silent = (uint64_t)(record.hz * SILENT_MS / 1000);
	for (unsigned i = 0; i < plan->count; i++) {
		init_sender(&streams.senders[i], &plan->streams[i]);
		record.streams[i] = (struct stream_record){
			.buckets = calloc(plan->buckets, sizeof(struct arrival_bucket))};
		record.count++;
		if (!record.streams[i].buckets)
			return -ENOMEM;
	}
	if (load_ports.tso)
		bodies_fill();
	uint64_t tsc;
	record.start_ns = load_clock_ns(CLOCK_MONOTONIC, &tsc);
	return arrivals_init(&record.arrivals, plan->buckets,
		(uint64_t)(record.hz * plan->bucket_us / 1e6), tsc);
}

static void streams_stop(void)
{
	for (unsigned i = 0; i < streams.count; i++)
		outbox_free(&streams.senders[i].box);
}

const struct traffic_ops streams_traffic = {
	.start = streams_start, .round = streams_round, .stop = streams_stop};

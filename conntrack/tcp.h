// SPDX-License-Identifier: BSD-3-Clause
// Inside of the TCP state machine: a segment as it is read, and what it says of the two ends.
// Worker, with the entry's lock held.
#ifndef WEIR_CONNTRACK_TCP_H
#define WEIR_CONNTRACK_TCP_H

#include "conntrack/machine.h"
#include "conntrack/wire.h"

enum {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
	TCP_URG = 32,
	// How far behind the newest a sequence number or an acknowledgement may be and still change
	// something: two packets of full length.
	TCP_BEHIND = 128 << 10,
};

enum side_flag {
	SIDE_SEEN = 1 << 0,      // `end` is known
	SIDE_SYN = 1 << 1,       // its SYN was seen; the entry has its sequence number
	SIDE_SCALES = 1 << 2,    // its SYN offered to scale windows
	SIDE_LIMIT = 1 << 3,     // `limit` is known
	SIDE_ACKED = 1 << 4,     // `acked` is known
	SIDE_FIN = 1 << 5,       // it has sent its FIN
	SIDE_FIN_ACKED = 1 << 6, // and the other side has acknowledged it
	SIDE_FIN_CUT =
		1 << 7, // the first fragment of its FIN was seen; the last one tells its number
};

struct tcp_segment {
	uint32_t seq, ack;
	uint32_t end; // behind its last octet; SYN and FIN count for one each
	uint16_t window;
	uint8_t flags;
	bool cut; // a first fragment: `end` is behind its own last octet, and its FIN is still to
		  // come
};

struct tcp_options {
	uint8_t scale;
	bool scales, timestamps;
};

// Whether a lies behind b in the circle of sequence numbers (RFC 9293 3.4).
static inline bool tcp_after(uint32_t a, uint32_t b)
{
	return (int32_t)(b - a) < 0;
}

static inline struct tcp_segment tcp_read(const struct packet *p)
{
	const uint8_t *tcp = p->data + p->l4_off;
	struct tcp_segment segment = {.seq = load32(tcp + 4),
		.ack = load32(tcp + 8),
		.window = load16(tcp + 14),
		.flags = tcp[13],
		.cut = p->flags & PACKET_FRAGMENT};
	segment.end = segment.seq + packet_l3_end(p) - p->payload_off +
		      !!(segment.flags & TCP_SYN) + (segment.cut ? 0 : segment.flags & TCP_FIN);
	return segment;
}

void tcp_read_options(const struct packet *packet, struct tcp_options *options);
// What the window rules say of a segment with ACK and without SYN or RST. DROP_TCP_WINDOW; or
// DROP_NONE, and *counts if it may change anything: old ones are only passed.
enum drop_reason tcp_judge(const struct step *s, const struct tcp_segment *segment, bool *counts);
// Takes over what a segment that counts says.
void tcp_learn(const struct step *s, const struct tcp_segment *segment);
// The state that the two ends' flags make.
enum conn_state tcp_state_of(const struct conn_side sides[2]);

#endif

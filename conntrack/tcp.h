// SPDX-License-Identifier: BSD-3-Clause
// Inside of the TCP state machine: a segment as it is read, and what it says of the two ends.
// Worker, with the entry's lock held.
#ifndef WEIR_CONNTRACK_TCP_H
#define WEIR_CONNTRACK_TCP_H

#include "conntrack/machine.h"

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
};

struct tcp_segment {
	uint32_t seq, ack;
	uint32_t end; // behind its last octet; SYN and FIN count for one each
	uint16_t window;
	uint8_t flags;
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

void tcp_read_options(const struct packet *packet, struct tcp_options *options);
// What the window rules say of a segment with ACK and without SYN or RST. DROP_TCP_WINDOW; or
// DROP_NONE, and *counts if it may change anything: old ones are only passed.
enum drop_reason tcp_judge(const struct step *s, const struct tcp_segment *segment, bool *counts);
// Takes over what a segment that counts says.
void tcp_learn(const struct step *s, const struct tcp_segment *segment);
// The state that the two ends' flags make.
enum conn_state tcp_state_of(const struct conn_side sides[2]);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Two ends that talk through one entry of a real table: packets are built, parsed, looked up and
// tracked as the switch does it. End 0 speaks first; it is the lower or the higher one.
#ifndef WEIR_TESTS_UNIT_KIT_TALK_H
#define WEIR_TESTS_UNIT_KIT_TALK_H

#include "conntrack/track.h"

enum {
	TALK_HEADERS = 400
};

struct talk {
	struct conn_table *table;
	struct track_settings settings;
	uint32_t now_s;
	bool high; // end 0 is the higher one
	bool v6;
	bool denies; // what would begin anew
	uint16_t ports[2];
};

// A packet of one end: its L4 header, and how long what follows says to be. The header's bytes
// stand in a heap block of exactly their size.
struct talk_packet {
	struct packet packet;
	uint8_t *block;
};

void talk_begin(struct talk *talk, bool high, bool v6);
void talk_end(struct talk *talk);
// The check in a talk of its own with either end as the lower one, over IPv4 and IPv6.
void talk_each_way(struct talk *talk, void (*check)(void));
// The IP packet of `from` around an L4 header; `payload` bytes follow that nobody reads.
void talk_build(const struct talk *talk, struct talk_packet *packet, unsigned from,
	uint8_t protocol, const uint8_t *l4, uint32_t len, uint32_t payload);
void talk_free(struct talk_packet *packet);
// Looks the packet up and tracks it; makes an entry where there is none. What begins anew may do
// so, for owner 1.
enum drop_reason talk_track(struct talk *talk, const struct packet *packet);
// Both, and the packet is freed.
enum drop_reason talk_say(struct talk *talk, unsigned from, uint8_t protocol, const uint8_t *l4,
	uint32_t len, uint32_t payload);
// The entry of the packet that was tracked last; NULL if there is none.
struct conn *talk_conn(const struct talk *talk);
enum conn_state talk_state(const struct talk *talk);

struct talk_tcp {
	const char *flags; // letters of FSRPAU; "" for none
	uint32_t seq, ack;
	uint16_t window;
	uint32_t len;
	int scale; // -1: not offered
	bool timestamps;
};
enum drop_reason talk_tcp(struct talk *talk, unsigned from, const struct talk_tcp *tcp);

#endif

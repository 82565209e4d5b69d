// SPDX-License-Identifier: BSD-3-Clause
// Frames with a number, a time stamp and a content that can be checked. What changes from frame to
// frame is patched into a template, since a generator that computes headers would be slower than
// what it measures.
//
// Each port is a VM side with MAC addresses 02:57:PORT:xx:xx:xx and IP addresses 10.PORT.x.x. A
// flow has a number: its low 16 bits are in both IP addresses, the others in the client's L4 port.
// Flow f from port a to b and flow f from b to a are the two directions of one connection.
#ifndef WEIR_BENCH_FRAMES_H
#define WEIR_BENCH_FRAMES_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	FRAME_HEAD = 64, // what a template covers, and the shortest frame
	FRAME_LONGEST = 9000 + 14,
	FRAME_TSO = 14 + 40 + 45 * 1448, // 45 segments at an MTU of 1500 with TCP time stamps
	FRAME_TSO_SEGMENT = 1448,
	PATTERN_PERIOD = 32768, // also the longest piece of a frame in one buffer
	FRAME_SIZES = 3,
	IMIX_CYCLE = 12,
	FRAME_CLIENT_PORT = 1024, // the first
	FRAME_SERVER_PORT = 80,
	ETHER_TYPE_TEACH = 0x88b5, // IEEE 802, local experimental
};

// Seven of 64, four of 576, one of 1500: the usual simple mix, well stirred.
extern const uint8_t imix_order[IMIX_CYCLE]; // indexes of imix_sizes
extern const uint32_t imix_sizes[FRAME_SIZES];

// Behind the L4 header of each frame.
struct frame_tag {
	uint32_t sequence; // of its sending port
	uint16_t seed;     // of its content
	uint32_t stamp;    // TSC / 16
} __attribute__((packed));

struct frame_template {
	alignas(64) uint8_t head[FRAME_HEAD];
	uint32_t len;
	uint16_t tag_at;
	uint16_t client_at; // the client's L4 port
	uint16_t tag_words; // of the tag, that the TCP checksum covers
	uint32_t ip_sum;    // of the header as in the template, less its checksum
	uint32_t l4_sum;    // TCP: pseudo header and head. UDP goes without a checksum.
};

struct frame_ends {
	uint8_t from;
	uint8_t to;
	bool reply; // `from` is the server's side of its flows
};

// A template for frames of len (FRAME_HEAD to FRAME_TSO) bytes.
void frame_template_init(struct frame_template *t, struct frame_ends ends, bool tcp, uint32_t len);

// Its DSCP and ECN bits (RFC 2474, RFC 3168).
void frame_template_tos(struct frame_template *t, uint8_t tos);

// What distinguishes the segments of one conversation.
struct frame_segment {
	uint8_t flags;
	uint32_t sequence;
	uint32_t acknowledgement;
	bool data; // the tag is its payload; else it stands behind the packet, as padding
};

// A template for a TCP segment in a frame of FRAME_HEAD bytes.
void frame_segment_init(
	struct frame_template *t, struct frame_ends ends, const struct frame_segment *segment);

void frame_mac(uint8_t mac[6], uint8_t port, uint32_t index);
// A broadcast that teaches a switch one MAC; FRAME_HEAD bytes.
void frame_teach(uint8_t *at, uint8_t port, uint32_t mac);
// Whether a received frame is one of those.
bool frame_teaches(const uint8_t *head);

// --- content: a pattern from the end of the head on, of period PATTERN_PERIOD --------------------

// The 16-bit word at an even position.
static inline uint16_t pattern_word(uint16_t seed, uint32_t pos)
{
	return (uint16_t)(seed + (pos % PATTERN_PERIOD / 2) * 0x9e37u);
}

// Fills n bytes at position 0. Returns their sum for the Internet checksum.
uint32_t pattern_fill(uint8_t *at, uint32_t n, uint16_t seed);
// Whether the n bytes at any position are the pattern.
bool pattern_holds(const uint8_t *at, uint32_t n, uint32_t pos, uint16_t seed);

// --- checksums, on words as loaded from memory ---------------------------------------------------

static inline uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint32_t sum_words(const uint8_t *at, uint32_t n);

// --- the fast half -------------------------------------------------------------------------------

static inline void put16(uint8_t *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

static inline uint16_t get16(const uint8_t *at)
{
	uint16_t v;
	memcpy(&v, at, sizeof(v));
	return v;
}

// Builds the head of a frame. body_sum: what pattern_fill returned for the rest, TCP only.
static inline void frame_build(uint8_t *at, const struct frame_template *t, uint32_t flow,
	uint32_t mac, struct frame_tag tag, uint32_t body_sum)
{
	uint16_t low = __builtin_bswap16((uint16_t)flow);
	uint16_t high = __builtin_bswap16((uint16_t)(FRAME_CLIENT_PORT + (flow >> 16)));
	uint8_t index[3] = {(uint8_t)(mac >> 16), (uint8_t)(mac >> 8), (uint8_t)mac};

	memcpy(at, t->head, FRAME_HEAD);
	memcpy(at + 3, index, 3);
	memcpy(at + 9, index, 3);
	put16(at + 28, low);
	put16(at + 32, low);
	put16(at + 24, (uint16_t)~sum_fold(t->ip_sum + 2u * low));
	put16(at + t->client_at, high);
	memcpy(at + t->tag_at, &tag, sizeof(tag));
	if (t->l4_sum) {
		uint16_t words[5];
		memcpy(words, &tag, sizeof(words));
		uint32_t sum = t->l4_sum + 2u * low + high + sum_fold(body_sum);
		for (int i = 0; i < t->tag_words; i++)
			sum += words[i];
		put16(at + 50, (uint16_t)~sum_fold(sum));
	}
}

// Where the tag of a received frame's head stands; 0: the frame is not of the load.
static inline uint16_t frame_tag_at(const uint8_t *head)
{
	if (get16(head + 12) != 0x0008)
		return 0;
	return head[23] == 6 ? 54 : 42;
}

// The flow that a received frame of the load belongs to. The server's L4 port is the destination of
// what a client sends.
static inline uint32_t frame_flow(const uint8_t *head)
{
	bool by_client = get16(head + 36) == __builtin_bswap16(FRAME_SERVER_PORT);
	uint16_t client = __builtin_bswap16(get16(head + (by_client ? 34 : 36)));
	return (uint32_t)(client - FRAME_CLIENT_PORT) << 16 | __builtin_bswap16(get16(head + 28));
}

// Whether the head of a received frame of len bytes is what `to` should get: addresses, lengths,
// checksum of the IP header, and of the whole where it is only the head.
bool frame_head_holds(const uint8_t *head, uint32_t len, uint8_t to);

#endif

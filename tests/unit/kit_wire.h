// SPDX-License-Identifier: BSD-3-Clause
// Builds frames layer by layer, hands them to the code under test as exact heap copies, so that
// ASan sees each byte read too many, and assembles what comes out. Checksums here are summed byte
// by byte and share nothing with the switch's own.
#ifndef WEIR_TESTS_KIT_WIRE_H
#define WEIR_TESTS_KIT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/packet.h"
#include "vhost/ring.h"

enum {
	WIRE_MAX = FRAME_MAX + 64
};

struct wire {
	uint8_t bytes[WIRE_MAX];
	uint32_t len;
	uint32_t type_at; // where the next layer's EtherType goes
	uint32_t next_at; // where the next layer's IP protocol goes
	uint16_t l3, l4, payload;
	uint8_t version; // 4 or 6
};

// Each appends one layer and names it in the layer below.
void wire_ethernet(struct wire *w);
void wire_tag(struct wire *w, uint16_t tpid, uint16_t tci);
void wire_type(struct wire *w, uint16_t ether_type);
void wire_ipv4(struct wire *w, uint32_t options);
void wire_ipv6(struct wire *w);
void wire_extension(struct wire *w, uint8_t type, uint32_t len);
void wire_tcp(struct wire *w, uint32_t options);
void wire_udp(struct wire *w);
void wire_l4(struct wire *w, uint8_t proto, uint32_t len); // zeros
void wire_payload(struct wire *w, uint32_t len);           // no two bytes alike nearby
// Sets lengths and all checksums.
void wire_finish(struct wire *w);

void wire_store16(uint8_t *at, uint16_t value);
uint16_t wire_load16(const uint8_t *at);
// The checksum to put into the packet (RFC 1071) over len bytes.
uint16_t wire_checksum(const uint8_t *at, uint32_t len, uint32_t sum);
// The sum of the pseudo header, to be given to wire_checksum.
uint32_t wire_pseudo(const uint8_t *l3, uint8_t proto, uint32_t l4_len);

// One frame as rx would hand it over.
struct parcel {
	struct packet packet;
	uint8_t *block; // headroom and head, nothing behind
	struct segment *segments;
};
// The first head_len bytes to the stash, the rest to pieces of at most `piece` bytes, each a heap
// block of its own. Freed by parcel_free.
void parcel_load(struct parcel *parcel, const uint8_t *bytes, uint32_t len, uint32_t head_len,
	uint32_t piece);
void parcel_free(struct parcel *parcel);

// A packet as a receiver would get it. Returns its length.
uint32_t packet_assemble(const struct packet *p, uint8_t *out);
// Copies a frame as ring.h says ring_put does, and completes its checksum. Returns its length.
uint32_t frame_assemble(const struct frame *frame, uint8_t *out);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Fragments for tests: cut by hand, so that they can break each rule.
#ifndef WEIR_TESTS_KIT_FRAGMENT_H
#define WEIR_TESTS_KIT_FRAGMENT_H

#include "conntrack/fragment.h"
#include "tests/unit/kit_wire.h"

// One fragment. The datagram's bytes depend on `identification` and their place alone.
struct cut {
	uint8_t version; // 4 or 6
	uint32_t identification;
	uint32_t start, len; // bytes; only multiples of 8 can be a start
	bool more;
	uint16_t port;
	uint32_t zone;
	uint8_t protocol; // 0: UDP
	uint8_t before;   // bytes of options, or of an IPv6 extension header before the fragment's
	bool unkeyed;     // a first one without a connection's key
};

// The frame of it.
void cut_frame(struct wire *wire, const struct cut *cut);
// What fragments_see says of it. Of a first one the key is cut_key's; `key` (or NULL) and `drop`
// (or NULL) are what came out. piece: bytes in each segment of the body, 0: one.
enum fragment_verdict cut_see(struct fragments *f, const struct cut *cut, uint32_t piece,
	uint64_t now, struct conn_key *key, struct fragment_drop *drop);
// A key that no other datagram has.
struct conn_key cut_key(const struct cut *cut);

#endif

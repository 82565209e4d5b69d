// SPDX-License-Identifier: BSD-3-Clause
// The keyed hash of connection keys. Guests choose what is hashed, so nobody who does not know the
// secret may be able to make keys that fall together.
//
// Two kinds. Where the CPU has AES: CBC-MAC over blocks of 16 bytes with four rounds of AES each,
// for of four rounds no differential is known that is likelier than 2^-113 (25 active S-boxes at
// least), and nobody outside sees a hash. Elsewhere SipHash-1-3. An IPv4 key is one block, its id;
// an IPv6 key is the id without its digest, and both addresses, and other bits of the same result
// are the digest.
#ifndef WEIR_CONNTRACK_HASH_H
#define WEIR_CONNTRACK_HASH_H

#include <stdint.h>

#include "conntrack/key.h"

enum conn_hash_kind {
	CONN_HASH_AES = 1,
	CONN_HASH_SIPHASH = 2, // 1-3
};

// As it stands in the table's mapping: another process hashes alike, if its CPU can.
struct conn_hash {
	uint32_t kind; // enum conn_hash_kind
	uint32_t spare[3];
	uint8_t secret[32];
} __attribute__((aligned(16)));

// The better kind that this CPU has. Any thread.
enum conn_hash_kind conn_hash_best(void);

// Fills hash, and of IPv6 the digest, of n keys. Any thread.
void conn_hash_keys(const struct conn_hash *hash, struct conn_key *keys, unsigned n);

#endif

// SPDX-License-Identifier: BSD-3-Clause
#include "conntrack/hash.h"

#include <stddef.h>
#include <string.h>
#include <wmmintrin.h>

enum conn_hash_kind conn_hash_best(void)
{
	return __builtin_cpu_supports("aes") ? CONN_HASH_AES : CONN_HASH_SIPHASH;
}

// The keys of a burst do not depend on each other, so the CPU has several of them under way.

__attribute__((target("aes"))) static inline __m128i aes_block(
	__m128i state, __m128i block, __m128i k0, __m128i k1)
{
	state = _mm_xor_si128(state, block);
	state = _mm_aesenc_si128(state, k0);
	state = _mm_aesenc_si128(state, k1);
	state = _mm_aesenc_si128(state, k0);
	return _mm_aesenc_si128(state, k1);
}

__attribute__((target("aes"))) static void aes_keys(
	const struct conn_hash *hash, struct conn_key *keys, unsigned n)
{
	__m128i k0 = _mm_load_si128((const __m128i *)(const void *)hash->secret);
	__m128i k1 = _mm_load_si128((const __m128i *)(const void *)(hash->secret + 16));
	for (unsigned i = 0; i < n; i++) {
		struct conn_key *key = &keys[i];
		__m128i id = _mm_load_si128((const __m128i *)(const void *)&key->id);
		if (conn_id_family(&key->id) == CONN_IPV4) {
			__m128i state = aes_block(k1, id, k0, k1);
			key->hash = (uint32_t)_mm_cvtsi128_si32(state);
			continue;
		}
		__m128i low = _mm_loadu_si128((const __m128i *)(const void *)key->v6[0]);
		__m128i high = _mm_loadu_si128((const __m128i *)(const void *)key->v6[1]);
		__m128i state = aes_block(k1, _mm_move_epi64(id), k0, k1);
		state = aes_block(state, low, k0, k1);
		state = aes_block(state, high, k0, k1);
		key->hash = (uint32_t)_mm_cvtsi128_si32(state);
		key->id.digest = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(state, state));
	}
}

// SipHash (Aumasson and Bernstein, 2012).
struct sip {
	uint64_t v[4];
};

static inline uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
	uint64_t *v = s->v;
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static inline void sip_start(struct sip *s, const uint8_t *secret)
{
	uint64_t k[2];
	memcpy(k, secret, sizeof(k));
	s->v[0] = k[0] ^ 0x736f6d6570736575;
	s->v[1] = k[1] ^ 0x646f72616e646f6d;
	s->v[2] = k[0] ^ 0x6c7967656e657261;
	s->v[3] = k[1] ^ 0x7465646279746573;
}

static inline void sip_words(struct sip *s, const void *from, unsigned nwords)
{
	for (unsigned i = 0; i < nwords; i++) {
		uint64_t word;
		memcpy(&word, (const uint8_t *)from + sizeof(word) * i, sizeof(word));
		s->v[3] ^= word;
		sip_round(s);
		s->v[0] ^= word;
	}
}

static inline uint64_t sip_result(struct sip *s)
{
	for (int i = 0; i < 3; i++)
		sip_round(s);
	return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

// What was hashed so far is nbytes long, a multiple of eight.
static inline uint64_t sip_finish(struct sip *s, unsigned nbytes)
{
	uint64_t last = (uint64_t)nbytes << 56;
	sip_words(s, &last, 1);
	s->v[2] ^= 0xff;
	return sip_result(s);
}

static void sip_keys(const struct conn_hash *hash, struct conn_key *keys, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct conn_key *key = &keys[i];
		struct sip s;
		sip_start(&s, hash->secret);
		if (conn_id_family(&key->id) == CONN_IPV4) {
			sip_words(&s, &key->id, 2);
			key->hash = (uint32_t)sip_finish(&s, 16);
			continue;
		}
		sip_words(&s, &key->id, 1);
		sip_words(&s, key->v6, 4);
		key->hash = (uint32_t)sip_finish(&s, 40);
		// As the longer result of SipHash goes on.
		s.v[1] ^= 0xdd;
		key->id.digest = sip_result(&s);
	}
}

void conn_hash_keys(const struct conn_hash *hash, struct conn_key *keys, unsigned n)
{
	if (hash->kind == CONN_HASH_AES)
		aes_keys(hash, keys, n);
	else
		sip_keys(hash, keys, n);
}

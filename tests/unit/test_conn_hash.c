// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>

#include "tests/unit/kit_conn.h"

static struct conn_hash hash_of_kind(enum conn_hash_kind kind, uint64_t seed)
{
	struct conn_hash hash = {.kind = kind};
	struct conn_table_options options = kit_table_options(1, 1, seed);
	memcpy(hash.secret, options.secret, sizeof(hash.secret));
	return hash;
}

// Results of CPython's SipHash-1-3 with a secret of zeros.
Test(conn_hash, siphash_gives_what_others_give)
{
	const struct conn_hash hash = {.kind = CONN_HASH_SIPHASH};
	struct conn_key key = {0};
	for (unsigned i = 0; i < 16; i++)
		((uint8_t *)&key.id)[i] = (uint8_t)(i + 1);
	conn_hash_keys(&hash, &key, 1);
	cr_assert_eq(key.hash, 0xa4b2d063);
	((uint8_t *)&key.id)[0] = 3;
	for (unsigned i = 0; i < 32; i++)
		key.v6[i / 16][i % 16] = (uint8_t)(i + 100);
	conn_hash_keys(&hash, &key, 1);
	cr_assert_eq(key.hash, (uint32_t)0x83db7584a386e76d);
}

static bool hashes_alike(const struct conn_hash *hash, struct conn_key a, struct conn_key b)
{
	conn_hash_keys(hash, &a, 1);
	conn_hash_keys(hash, &b, 1);
	bool v6 = conn_id_family(&a.id) == CONN_IPV6;
	return a.hash == b.hash || (v6 && a.id.digest == b.id.digest);
}

static void each_bit_counts(const struct conn_hash *hash)
{
	for (unsigned bit = 0; bit < 128; bit++) {
		struct conn_key key = kit_key4(77), other = key;
		((uint8_t *)&other.id)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (conn_id_family(&other.id) == CONN_IPV4)
			cr_assert_not(hashes_alike(hash, key, other), "bit %u of an id", bit);
	}
	for (unsigned bit = 0; bit < 256; bit++) {
		struct conn_key key = kit_key6(77), other = key;
		other.v6[bit / 128][bit / 8 % 16] ^= (uint8_t)(1 << bit % 8);
		cr_assert_not(hashes_alike(hash, key, other), "bit %u of addresses", bit);
	}
	struct conn_key key = kit_key6(77), other = key;
	other.id.ports[1] ^= 1;
	cr_assert_not(hashes_alike(hash, key, other));
	other = key;
	other.id.digest = 1;
	cr_assert(hashes_alike(hash, key, other), "what was in the digest before is nothing");
}

Test(conn_hash, each_bit_of_a_key_counts)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct conn_hash sip = hash_of_kind(CONN_HASH_SIPHASH, seed);
		struct conn_hash best = hash_of_kind(conn_hash_best(), seed);
		each_bit_counts(&sip);
		each_bit_counts(&best);
	}
}

static void each_bit_of_the_secret_counts(enum conn_hash_kind kind, unsigned nbytes)
{
	const struct conn_hash hash = hash_of_kind(kind, 1);
	for (unsigned bit = 0; bit < 8 * nbytes; bit++) {
		struct conn_hash other = hash;
		other.secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct conn_key key = kit_key6(77), same = key;
		conn_hash_keys(&hash, &key, 1);
		conn_hash_keys(&other, &same, 1);
		cr_assert_neq(key.hash, same.hash, "bit %u", bit);
		cr_assert_neq(key.id.digest, same.id.digest, "bit %u", bit);
	}
}

Test(conn_hash, each_bit_of_the_secret_counts)
{
	each_bit_of_the_secret_counts(CONN_HASH_SIPHASH, 16);
	each_bit_of_the_secret_counts(
		conn_hash_best(), conn_hash_best() == CONN_HASH_AES ? 32 : 16);
}

// Keys that count upwards fall into 4096 classes by any 12 bits as random ones do: of 65,536 the
// sum of squares is about 17 * 65,536; its standard deviation is some 370.
static void scatters(const struct conn_hash *hash, bool v6, unsigned shift)
{
	static uint32_t in[4096];
	memset(in, 0, sizeof(in));
	for (uint32_t n = 0; n < 65536; n++) {
		struct conn_key key = v6 ? kit_key6(n) : kit_key4(n);
		conn_hash_keys(hash, &key, 1);
		in[key.hash >> shift & 4095]++;
	}
	uint64_t sum = 0;
	for (unsigned i = 0; i < 4096; i++)
		sum += (uint64_t)in[i] * in[i];
	const uint64_t expected = 65536 * 17;
	cr_assert(sum > expected - 12000 && sum < expected + 12000,
		"kind %u, bits from %u: %lu, not %lu", hash->kind, shift, sum, expected);
}

Test(conn_hash, scatters_what_counts_upwards)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		for (unsigned shift = 0; shift <= 20; shift += 4) {
			struct conn_hash sip = hash_of_kind(CONN_HASH_SIPHASH, seed);
			struct conn_hash best = hash_of_kind(conn_hash_best(), seed);
			scatters(&sip, false, shift);
			scatters(&sip, true, shift);
			scatters(&best, false, shift);
			scatters(&best, true, shift);
		}
	}
}

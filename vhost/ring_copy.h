// SPDX-License-Identifier: BSD-3-Clause
// Copies between guest memory and the stash, and from guest to guest, with and without the
// Internet checksum. They are exact: not a byte behind the given length is written, because what
// stands there in the source is not the receiver's to see.
#ifndef WEIR_VHOST_RING_COPY_H
#define WEIR_VHOST_RING_COPY_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Above it the C library's copy, which picks the widest unit of the CPU, is faster.
enum {
	COPY_INLINE_MAX = 256
};

static inline __m128i load_16(const uint8_t *src)
{
	return _mm_loadu_si128((const __m128i *)src);
}

static inline void store_16(uint8_t *dst, __m128i v)
{
	_mm_storeu_si128((__m128i *)dst, v);
}

static inline void copy_64(uint8_t *dst, const uint8_t *src)
{
	__m128i a = load_16(src);
	__m128i b = load_16(src + 16);
	__m128i c = load_16(src + 32);
	__m128i d = load_16(src + 48);
	store_16(dst, a);
	store_16(dst + 16, b);
	store_16(dst + 32, c);
	store_16(dst + 48, d);
}

// Fewer than 16 bytes, by two overlapping words.
static inline void copy_tiny(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n >= 8) {
		uint64_t a, b;
		memcpy(&a, src, 8);
		memcpy(&b, src + n - 8, 8);
		memcpy(dst, &a, 8);
		memcpy(dst + n - 8, &b, 8);
	} else if (n >= 4) {
		uint32_t a, b;
		memcpy(&a, src, 4);
		memcpy(&b, src + n - 4, 4);
		memcpy(dst, &a, 4);
		memcpy(dst + n - 4, &b, 4);
	} else {
		for (size_t i = 0; i < n; i++)
			dst[i] = src[i];
	}
}

// Blocks of 64 bytes and an overlapping last one; shorter ones by overlapping units. So frames of
// about the same length take the same branches.
static inline void copy_bytes(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n > COPY_INLINE_MAX) {
		memcpy(dst, src, n);
	} else if (n > 64) {
		size_t last = n - 64;
		for (size_t i = 0; i < last; i += 64)
			copy_64(dst + i, src + i);
		copy_64(dst + last, src + last);
	} else if (n > 32) {
		__m128i a = load_16(src), b = load_16(src + 16);
		__m128i c = load_16(src + n - 32), d = load_16(src + n - 16);
		store_16(dst, a);
		store_16(dst + 16, b);
		store_16(dst + n - 32, c);
		store_16(dst + n - 16, d);
	} else if (n >= 16) {
		__m128i a = load_16(src), b = load_16(src + n - 16);
		store_16(dst, a);
		store_16(dst + n - 16, b);
	} else {
		copy_tiny(dst, src, n);
	}
}

// --- the Internet checksum (RFC 1071) ------------------------------------------------------------

// A sum in the making. Words are added as loaded; a piece that begins at an odd distance from the
// start has its sum's bytes swapped, which is the same as shifting the piece by one byte.
struct csum {
	uint64_t sum;
	bool odd;
};

static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)((sum >> 16) + (sum & 0xffff));
}

// Adds the 16-bit words of v in pairs to 32-bit lanes. The multiply-add takes signed words: each
// word goes in less CSUM_BIAS, so a lane is short of 2 × CSUM_BIAS per call.
enum {
	CSUM_BIAS = 0x8000
};

static inline __m128i csum_lanes(__m128i sum, __m128i v)
{
	v = _mm_xor_si128(v, _mm_set1_epi16((short)CSUM_BIAS));
	return _mm_add_epi32(sum, _mm_madd_epi16(v, _mm_set1_epi16(1)));
}

// Copies 16 bytes to dst unless dst is NULL, and adds them up.
static inline __m128i csum_copy_16(uint8_t *dst, const uint8_t *src, __m128i sum)
{
	__m128i v = load_16(src);
	// Opaque: the compiler may not load it a second time.
	__asm__("" : "+x"(v));
	if (dst)
		store_16(dst, v);
	return csum_lanes(sum, v);
}

// The sum of n (≤ 256 KiB: no lane overflows) bytes, unfolded, and their copy to dst unless dst is
// NULL. Each byte of src is read once: what is summed is what is written, whatever the sender does
// meanwhile.
static inline uint64_t csum_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
	__m128i sum[4] = {
		_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
	size_t i = 0;
	for (; i + 64 <= n; i += 64) {
		for (unsigned k = 0; k < 4; k++)
			sum[k] = csum_copy_16(
				dst ? dst + i + 16 * k : NULL, src + i + 16 * k, sum[k]);
	}
	for (; i + 16 <= n; i += 16)
		sum[0] = csum_copy_16(dst ? dst + i : NULL, src + i, sum[0]);
	if (i < n) {
		uint8_t tail[16] = {0};
		for (size_t k = 0; k < n - i; k++)
			tail[k] = ((const volatile uint8_t *)src)[i + k];
		if (dst)
			copy_tiny(dst + i, tail, n - i);
		sum[1] = csum_lanes(sum[1], load_16(tail));
	}
	sum[0] = _mm_add_epi32(_mm_add_epi32(sum[0], sum[1]), _mm_add_epi32(sum[2], sum[3]));
	uint32_t calls = (uint32_t)((n + 15) / 16);
	sum[0] = _mm_add_epi32(sum[0], _mm_set1_epi32((int)(calls * 2 * CSUM_BIAS)));
	uint32_t lanes[4];
	store_16((uint8_t *)lanes, sum[0]);
	return (uint64_t)lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

static inline void csum_add(struct csum *csum, uint8_t *dst, const uint8_t *src, size_t n)
{
	uint16_t part = csum_fold(csum_copy(dst, src, n));
	csum->sum += csum->odd ? __builtin_bswap16(part) : part;
	csum->odd ^= n & 1;
}

#endif

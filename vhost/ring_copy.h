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

static inline void copy_bytes(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n > COPY_INLINE_MAX) {
		memcpy(dst, src, n);
		return;
	}
	if (n < 16) {
		copy_tiny(dst, src, n);
		return;
	}
	__m128i last = load_16(src + n - 16);
	uint8_t *end = dst + n - 16;
	for (; dst < end; dst += 16, src += 16)
		store_16(dst, load_16(src));
	store_16(end, last);
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

// Adds the 16-bit words of v into 32-bit lanes: room for 32768 of them.
static inline __m128i csum_lanes(__m128i sum, __m128i v)
{
	const __m128i low = _mm_set1_epi32(0xffff);
	sum = _mm_add_epi32(sum, _mm_and_si128(v, low));
	return _mm_add_epi32(sum, _mm_srli_epi32(v, 16));
}

// The sum of n (≤ 256 KiB) bytes, unfolded, and their copy to dst unless dst is NULL. Each byte of
// src is read once: what is summed is what is written, whatever the sender does meanwhile.
static inline uint64_t csum_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
	__m128i sum = _mm_setzero_si128();
	uint8_t tail[16] = {0};
	for (; n >= 16; n -= 16, src += 16) {
		__m128i v = load_16(src);
		// Opaque: the compiler may not load it a second time.
		__asm__ volatile("" : "+x"(v));
		sum = csum_lanes(sum, v);
		if (dst) {
			store_16(dst, v);
			dst += 16;
		}
	}
	if (n) {
		for (size_t i = 0; i < n; i++)
			tail[i] = *(const volatile uint8_t *)(src + i);
		if (dst)
			copy_tiny(dst, tail, n);
		sum = csum_lanes(sum, load_16(tail));
	}
	uint32_t lanes[4];
	store_16((uint8_t *)lanes, sum);
	return (uint64_t)lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

static inline void csum_add(struct csum *csum, uint8_t *dst, const uint8_t *src, size_t n)
{
	uint16_t part = csum_fold(csum_copy(dst, src, n));
	csum->sum += csum->odd ? __builtin_bswap16(part) : part;
	csum->odd ^= n & 1;
}

#endif

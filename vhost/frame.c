// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/frame.h"

#include "base/likely.h"
#include "vhost/ring_copy.h"

// Where the next byte comes from or goes to.
struct cursor {
	const struct segment *at;
	uint32_t off; // into *at
};

static inline void cursor_skip(struct cursor *c, uint32_t n)
{
	n += c->off;
	while (n && n >= c->at->len)
		n -= c->at++->len;
	c->off = n;
}

static inline uint32_t cursor_run(const struct cursor *c, uint32_t n)
{
	uint32_t run = c->at->len - c->off;
	return run < n ? run : n;
}

static inline void cursor_advance(struct cursor *c, uint32_t n)
{
	c->off += n;
	if (c->off == c->at->len) {
		c->at++;
		c->off = 0;
	}
}

static inline void copy_or_sum(uint8_t *dst, const uint8_t *src, uint32_t n, struct csum *csum)
{
	if (csum)
		csum_add(csum, dst, src, n);
	else
		copy_bytes(dst, src, n);
}

// --- the checksum --------------------------------------------------------------------------------

static bool csum_wanted(const struct frame *frame)
{
	return frame->csum_at && frame->csum_at + 2U <= frame->head_len &&
	       frame->csum_start <= frame->csum_at;
}

// The field counts as zero: its word, as it stands, is taken out again. (Writing a zero first would
// make the vector load behind it wait for the store.)
static struct csum csum_of_head(const struct frame *frame)
{
	uint32_t n = frame->head_len - frame->csum_start;
	uint64_t sum = csum_copy(NULL, frame->head + frame->csum_start, n);
	uint16_t field;
	memcpy(&field, frame->head + frame->csum_at, sizeof(field));
	bool odd = (frame->csum_at - frame->csum_start) & 1;
	sum -= odd ? __builtin_bswap16(field) : field;
	return (struct csum){.sum = sum + frame->csum_init, .odd = n & 1};
}

static uint16_t csum_finish(const struct frame *frame, struct csum csum)
{
	uint16_t value = (uint16_t)~csum_fold(csum.sum);
	return !value && frame->csum_udp ? 0xffff : value;
}

// --- in one piece --------------------------------------------------------------------------------

static inline void put_body_flat(uint8_t *dst, const struct frame *frame, struct csum *csum)
{
	uint32_t left = frame->body_len;
	struct cursor src = {.at = frame->body};
	if (frame->body_off)
		cursor_skip(&src, frame->body_off);
	while (left) {
		uint32_t run = cursor_run(&src, left);
		copy_or_sum(dst, src.at->base + src.off, run, csum);
		src.at++;
		src.off = 0;
		dst += run;
		left -= run;
	}
}

void frame_write(const struct frame *frame, uint8_t *dst)
{
	uint8_t *body = dst + frame->head_len;
	if (unlikely(csum_wanted(frame))) {
		struct csum csum = csum_of_head(frame);
		put_body_flat(body, frame, &csum);
		uint16_t value = csum_finish(frame, csum);
		copy_bytes(dst, frame->head, frame->head_len);
		memcpy(dst + frame->csum_at, &value, sizeof(value));
	} else {
		if (frame->body_len)
			put_body_flat(body, frame, NULL);
		copy_bytes(dst, frame->head, frame->head_len);
	}
}

// --- over several pieces -------------------------------------------------------------------------

static void pour(struct cursor *dst, const uint8_t *src, uint32_t n, struct csum *csum)
{
	while (n) {
		uint32_t run = cursor_run(dst, n);
		// A piece is guest memory that its descriptor lets us write.
		copy_or_sum((uint8_t *)(uintptr_t)dst->at->base + dst->off, src, run, csum);
		cursor_advance(dst, run);
		src += run;
		n -= run;
	}
}

static void pour_body(struct cursor *dst, const struct frame *frame, struct csum *csum)
{
	uint32_t left = frame->body_len;
	struct cursor src = {.at = frame->body};
	if (left)
		cursor_skip(&src, frame->body_off);
	while (left) {
		uint32_t run = cursor_run(&src, left);
		pour(dst, src.at->base + src.off, run, csum);
		cursor_advance(&src, run);
		left -= run;
	}
}

void frame_pour(const struct frame *frame, const struct segment *pieces, uint32_t offset)
{
	struct cursor start = {.at = pieces};
	cursor_skip(&start, offset);
	struct cursor dst = start;
	cursor_skip(&dst, frame->head_len);
	if (csum_wanted(frame)) {
		struct csum csum = csum_of_head(frame);
		pour_body(&dst, frame, &csum);
		uint16_t value = csum_finish(frame, csum);
		memcpy(frame->head + frame->csum_at, &value, sizeof(value));
	} else {
		pour_body(&dst, frame, NULL);
	}
	pour(&start, frame->head, frame->head_len, NULL);
}

void frame_pour_bytes(const struct segment *pieces, uint32_t offset, const uint8_t *src, uint32_t n)
{
	struct cursor dst = {.at = pieces};
	cursor_skip(&dst, offset);
	pour(&dst, src, n, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
// Any frame as one of NSH: what is taken off, and what is put on, on exact heap copies. The checks
// here: what is none stays as it was, what is inside is parsed as if it had come alone, and what is
// put on comes off again.
//
// Input: one byte, of how many of the frame's bytes the stash has (0: all it can), then the frame.
#include <stdlib.h>
#include <string.h>

#include "switch/nsh.h"
#include "switch/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

// Frames are no longer than the stash: NSH has nothing to do with what is behind it. NULL: it
// cannot be parsed.
static uint8_t *load(struct packet *p, const uint8_t *frame, uint32_t len, uint32_t all)
{
	uint8_t *block = malloc(STASH_HEADROOM + len);
	memcpy(block + STASH_HEADROOM, frame, len);
	*p = (struct packet){.data = block + STASH_HEADROOM, .len = all, .head_len = (uint16_t)len};
	parse_packet(p);
	if (p->verdict == VERDICT_NONE)
		return block;
	free(block);
	return NULL;
}

static void check_push(struct packet *p, struct nsh nsh)
{
	static const uint8_t to[6] = {2, 1}, from[6] = {2, 2};
	struct nsh again;
	bool tagged = p->flags & PACKET_TAGGED;
	packet_set_tag(p, 0, 0);
	struct packet before = *p;
	nsh_push(p, to, from, nsh);
	check(p->len == before.len + NSH_ROOM && p->l4_off == before.l4_off + NSH_ROOM);
	nsh_off(p);
	check(!memcmp(p, &before, sizeof(before)));
	nsh_on(p);
	check(nsh_pull(p, &again) && again.path == nsh.path && again.index == nsh.index);
	check(p->len == before.len && p->data == before.data);
	// A third tag was no tag to the parser, until the first was taken off.
	check(tagged || (p->verdict == before.verdict && p->l3_off == before.l3_off &&
				p->l4_off == before.l4_off));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet p, before, inner;
	struct nsh nsh = {0};
	if (size < 1 + FRAME_MIN)
		return 0;
	uint32_t len = (uint32_t)size - 1, all = len;
	uint32_t most = data[0] >= FRAME_MIN && data[0] < STASH_HEADERS ? data[0] : STASH_HEADERS;
	len = len < most ? len : most;
	uint8_t *block = load(&p, data + 1, len, all);
	if (!block)
		return 0;
	before = p;
	if (nsh_pull(&p, &nsh)) {
		check(!(before.flags & (PACKET_TAGGED | PACKET_L4)) && nsh.path < 1 << 24);
		check(p.len == before.len - NSH_ROOM && p.head_len == before.head_len - NSH_ROOM);
		uint8_t *alone = load(&inner, p.data, p.head_len, p.len);
		check(!alone == (p.verdict != VERDICT_NONE));
		check(!alone || (inner.flags == p.flags && inner.l4_off == p.l4_off));
		free(alone);
	} else {
		check(!memcmp(&p, &before, sizeof(p)));
		nsh = (struct nsh){.path = 1 + size, .index = data[0]};
	}
	if (p.verdict == VERDICT_NONE)
		check_push(&p, nsh);
	free(block);
	return 0;
}

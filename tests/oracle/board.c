// SPDX-License-Identifier: BSD-3-Clause
#include "tests/oracle/board.h"

#include <netinet/in.h>
#include <string.h>

#include "tests/hostile/peer.h"

enum {
	MARKS = 1 << 16,
	MORE = 1
};

static struct {
	struct talk *talk;
	unsigned unit;
} marks[MARKS];
static unsigned last_mark;
static struct board_counts counts;

// A packet that arrived, as far as it is IP and from our hosts.
struct arrival {
	const uint8_t *packet, *payload;
	size_t header, len; // len: of the payload
	uint16_t mark;
	uint16_t offset;
	bool fragment, more;
};

uint16_t board_mark(struct talk *t, unsigned unit)
{
	for (unsigned i = 0; i < MARKS; i++) {
		last_mark = (last_mark + 1) % MARKS;
		if (last_mark && !marks[last_mark].talk) {
			marks[last_mark].talk = t;
			marks[last_mark].unit = unit;
			return (uint16_t)last_mark;
		}
	}
	fail("no mark is free");
}

void board_release(struct talk *t)
{
	for (unsigned i = 0; i < t->nunits; i++)
		marks[t->units[i].mark].talk = NULL;
}

const struct board_counts *board_counts(void)
{
	return &counts;
}

static bool read_ipv4(struct arrival *a, size_t len)
{
	const uint8_t *p = a->packet;
	if (len < 20 || p[12] != 10 || (p[13] != 1 && p[13] != 2))
		return false;
	a->header = (p[0] & 15) * 4u;
	size_t total = get16(p + 2);
	if (a->header < 20 || total < a->header || total > len)
		return false;
	a->mark = get16(p + 4);
	a->payload = p + a->header;
	a->len = total - a->header;
	uint16_t fragment = get16(p + 6);
	a->offset = (uint16_t)(fragment << 3);
	a->more = fragment & 0x2000;
	a->fragment = fragment & 0x3fff;
	return true;
}

static bool read_ipv6(struct arrival *a, size_t len)
{
	const uint8_t *p = a->packet;
	if (len < 40 || p[8] != 0xfd || (p[9] != 1 && p[9] != 2) || 40u + get16(p + 4) > len)
		return false;
	a->mark = get16(p + 2);
	a->header = 40;
	a->payload = p + 40;
	a->len = get16(p + 4);
	if (p[6] == IPPROTO_FRAGMENT && a->len >= 8) {
		uint16_t fragment = get16(a->payload + 2);
		a->offset = fragment & 0xfff8;
		a->more = fragment & MORE;
		a->fragment = true;
		a->payload += 8;
		a->len -= 8;
	}
	return true;
}

// A router counts the hop limit down; nothing else may have changed.
static bool is_step(const struct talk *t, const struct step *s, const struct arrival *a)
{
	const uint8_t *sent = t->bytes + s->at;
	size_t len = a->header + a->len;
	if (len != s->len)
		return false;
	if (t->ipv6)
		return !memcmp(sent, a->packet, 7) && !memcmp(sent + 8, a->packet + 8, len - 8);
	return !memcmp(sent, a->packet, 8) && sent[9] == a->packet[9] &&
	       !memcmp(sent + 12, a->packet + 12, len - 12);
}

static bool all_there(const struct unit *u, const uint8_t *blocks)
{
	return !memchr(blocks, 0, (u->len + 7u) / 8);
}

// One of its fragments, whichever way it was cut, or the whole.
static bool cover(struct talk *t, struct unit *u, unsigned way, const struct arrival *a)
{
	uint8_t *blocks = t->covers[u->cover].blocks[way];
	if (a->offset + a->len > u->len || (!a->more && a->offset + a->len != u->len) ||
		memcmp(t->bytes + u->at + a->offset, a->payload, a->len))
		return false;
	memset(blocks + a->offset / 8, 1, (a->len + 7) / 8);
	u->passed[way] = all_there(u, blocks);
	return true;
}

void board_arrived(unsigned way, unsigned side, const uint8_t *packet, size_t len)
{
	struct arrival a = {.packet = packet};
	bool ipv6 = len && packet[0] >> 4 == 6;
	if (!len || !(ipv6 ? read_ipv6(&a, len) : read_ipv4(&a, len)))
		return; // the router's own
	struct talk *t = marks[a.mark].talk;
	struct unit *u = t ? &t->units[marks[a.mark].unit] : NULL;
	if (!t || u->side == side || t->ipv6 != ipv6) {
		counts.strays[way]++;
		return;
	}
	bool right = u->cover >= 0 ? cover(t, u, way, &a) : is_step(t, &t->steps[u->step], &a);
	if (!right)
		counts.changed[way]++;
	else if (u->cover < 0)
		u->passed[way] = true;
}

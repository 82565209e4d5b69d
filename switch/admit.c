// SPDX-License-Identifier: BSD-3-Clause
// Whether a frame may enter, and the VLAN it belongs to (IEEE 802.1Q, 6.9 and 8.6.3).
#include "switch/pipeline.h"

#include <string.h>

#include "base/likely.h"

// Addresses are looked at in words as they lie in memory: x86 has the first byte lowest. The
// destination is the lower six bytes of the frame's first eight; the source, the upper six of the
// eight from byte 4 on.
static uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

// 01-80-C2-00-00-00 to -0F: spanning tree, pause, LLDP and their like end at the next device.
static bool is_link_local(const uint8_t *frame)
{
	return (word_at(frame) & 0xf0ffffffffff) == 0xc28001;
}

// A group's address, or none at all.
static bool is_no_source(const uint8_t *frame)
{
	uint64_t source = word_at(frame + 4) >> 16;
	return source & 1 || !source;
}

// The VLAN of a frame with a tag, or VLAN_NONE where it has no place on this port. A priority tag
// (VID 0) names no VLAN: the frame counts as untagged. It must not hide another tag, which would be
// the outer one wherever the first is taken off.
static uint16_t classify(const struct port_view *in, const struct packet *p)
{
	enum {
		ONE_TAG_END = 14 + 4
	};
	uint16_t vid = p->vlan_tci & 0xfff;
	if (!vid)
		return p->l3_off > ONE_TAG_END ? VLAN_NONE : in->untagged_vlan;
	return in->trunk && view_is_member(in, vid) ? vid : VLAN_NONE;
}

void admit_addresses(struct packet *p)
{
	if (unlikely(is_link_local(p->data)))
		packet_drop(p, DROP_LINK_LOCAL);
	else if (unlikely(is_no_source(p->data)))
		packet_drop(p, DROP_SOURCE_MULTICAST);
}

void stage_admit(struct pass *pass)
{
	const struct port_view *in = pass->in;
	const uint16_t untagged_vlan = in->untagged_vlan;
	struct packet *end = &pass->burst.packets[pass->burst.count];
	for (struct packet *p = pass->burst.packets; p < end; p++) {
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		admit_addresses(p);
		if (unlikely(p->verdict != VERDICT_NONE))
			continue;
		p->vlan = likely(!p->vlan_tpid) ? untagged_vlan : classify(in, p);
		if (unlikely(p->vlan == VLAN_NONE))
			packet_drop(p, DROP_VLAN_NOT_MEMBER);
	}
}

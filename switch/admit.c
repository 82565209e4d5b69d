// SPDX-License-Identifier: BSD-3-Clause
// Whether a frame may enter, and the VLAN it belongs to (IEEE 802.1Q, 6.9 and 8.6.3).
#include "switch/pipeline.h"

#include <string.h>

// 01-80-C2-00-00-00 to -0F: spanning tree, pause, LLDP and their like end at the next device.
static bool is_link_local(const uint8_t *mac)
{
	static const uint8_t prefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};
	return !memcmp(mac, prefix, sizeof(prefix)) && mac[5] < 0x10;
}

static bool is_no_source(const uint8_t *mac)
{
	static const uint8_t zero[6];
	return (mac[0] & 1) || !memcmp(mac, zero, sizeof(zero));
}

// The frame's VLAN, or VLAN_NONE where it has no place on this port. A priority tag (VID 0) names
// no VLAN: the frame counts as untagged.
static uint16_t classify(const struct port_view *in, const struct packet *p)
{
	uint16_t vid = p->vlan_tpid ? p->vlan_tci & 0xfff : 0;
	if (!vid)
		return in->untagged_vlan;
	return in->trunk && view_is_member(in, vid) ? vid : VLAN_NONE;
}

void stage_admit(struct pass *pass)
{
	struct burst *burst = &pass->burst;
	for (unsigned i = 0; i < burst->count; i++) {
		struct packet *p = &burst->packets[i];
		if (p->verdict != VERDICT_NONE)
			continue;
		if (is_link_local(p->data)) {
			packet_drop(p, DROP_LINK_LOCAL);
			continue;
		}
		if (is_no_source(p->data + 6)) {
			packet_drop(p, DROP_SOURCE_MULTICAST);
			continue;
		}
		p->vlan = classify(pass->in, p);
		if (p->vlan == VLAN_NONE)
			packet_drop(p, DROP_VLAN_NOT_MEMBER);
	}
}

// SPDX-License-Identifier: BSD-3-Clause
// What the policy stage has for others.
#ifndef WEIR_SWITCH_POLICY_H
#define WEIR_SWITCH_POLICY_H

#include "switch/pipeline.h"

// Drops the packet, counted at the port with this id, which is there. Worker.
void policy_drop(const struct pass *pass, struct packet *p, enum drop_reason reason, uint16_t port);

// Whether policy allows the connection of this packet, wherever that goes: asks again if it was
// resolved under another one. False: the packet is dropped. Worker.
bool policy_still_allows(
	struct pass *pass, struct packet *p, const struct conn_key *key, struct conn *conn);

// Whether a flooded packet may go to `out`, a port with groups. If not, that is a drop for the
// packet's reason at its out_port, if it has one, else DROP_GROUP_DENY at `out`. Worker, in tx.
bool policy_admits_flooded(
	struct pass *pass, const struct port_view *out, const struct packet *packet);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// Who has an address in which zone. The same address in another bridge or VLAN is somebody else's.
#ifndef WEIR_SWITCH_ZONES_H
#define WEIR_SWITCH_ZONES_H

#include "switch/rules.h"

struct port;
struct zones;

// Of the ports that are in groups and have addresses; made anew with each snapshot. NULL: no
// memory. Main thread.
struct zones *zones_new(const struct rules *rules, struct port *const *ports, size_t nports);
// NULL is allowed. Main thread.
void zones_free(struct zones *zones);
// The groups of whoever has the address in the zone, by an access VLAN or a trunk: of the ports
// with the longest network that it is in; count 0: nobody. Worker.
void zones_find(const struct zones *zones, uint32_t zone, enum conn_family family,
	const uint8_t *address, struct group_list *list);

#endif

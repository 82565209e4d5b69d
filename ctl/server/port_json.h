// SPDX-License-Identifier: BSD-3-Clause
// A port's state as JSON and as libvirt's XML. No state of their own.
#ifndef WEIR_CTL_SERVER_PORT_JSON_H
#define WEIR_CTL_SERVER_PORT_JSON_H

#include <jansson.h>

#include "switch/switch.h"

// An item of port.list; with `detail` also what port.show adds.
json_t *port_json(const struct port_info *info, bool detail);
const char *port_kind_name(enum config_port_kind kind);
const char *port_state_name(enum port_state state);
json_t *port_state_names(void);

// The <memoryBacking> and <interface> that plug a domain into the port. Allocated; NULL: no memory.
char *port_libvirt_xml(const struct port_info *info);

// What a NIC counts, by the names of its driver.
json_t *port_statistics_json(const struct port_statistic *statistics, size_t count);

#endif

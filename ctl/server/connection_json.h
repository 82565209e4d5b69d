// SPDX-License-Identifier: BSD-3-Clause
// Connections, rules and what chains match as JSON. No state of their own.
#ifndef WEIR_CTL_SERVER_CONNECTION_JSON_H
#define WEIR_CTL_SERVER_CONNECTION_JSON_H

#include <jansson.h>

#include "switch/switch.h"

enum {
	PROTOCOL_TEXT_SIZE = 12,
	RULE_TEXT_SIZE = 512
};

// "tcp", or the number in digits where it has no name here.
void protocol_text(uint8_t protocol, char text[PROTOCOL_TEXT_SIZE]);
// The number of what that writes; -1: nothing of the kind.
int protocol_number(const char *text);

// An item of conn.list.
json_t *connection_json(const struct connection_info *info);
// The same with what conn.show adds.
json_t *connection_detail_json(const struct weir_switch *sw, const struct connection_info *info);

// A rule as it stands in a configuration, in one line: "{allow: tcp, dport: [80, 443]}". Of a
// built-in rule, its name.
void rule_text(const struct rule_state *state, char text[RULE_TEXT_SIZE]);
// Likewise what a chain matches: "{from: {port: vm1}, proto: tcp}".
void match_text(const struct config_chain *chain, char text[RULE_TEXT_SIZE]);
const char *rule_direction_name(const struct rule_state *state);

// What `status` says; null: there is no table. `lookups` and `tracked` are the workers'.
json_t *connection_stats_json(const struct weir_switch *sw, uint64_t lookups, uint64_t tracked);

#endif

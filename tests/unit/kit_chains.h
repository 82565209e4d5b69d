// SPDX-License-Identifier: BSD-3-Clause
// Documents of chains, for tests of their schema.
#ifndef WEIR_TESTS_UNIT_KIT_CHAINS_H
#define WEIR_TESTS_UNIT_KIT_CHAINS_H

#include "tests/unit/kit_schema.h"

#define VM(name) "  " name ": {vhost-user: {socket: " name "}}\n"
// 13 lines; what is added begins in the 14th.
#define TOWN \
	"groups:\n" \
	"  web: {to-vm: [{allow: any}]}\n" \
	"ports:\n" \
	"  client: {vhost-user: {socket: c}, groups: web}\n" \
	"  server: {vhost-user: {socket: s}}\n" \
	"  uplink: {dpdk: {device: net_null0}}\n" VM("a") VM("b") VM("c1") VM("c2") VM("d") \
		VM("e") "chains:\n"
#define ONE            "  x:\n    match: {}\n    hops:\n"
#define NF_A           "      - {nf: f, instances: [{port: a}]}\n"
#define HOP(text)      TOWN ONE "      - {nf: f, " text "}\n"
#define INSTANCE(text) HOP("instances: [" text "]")

#endif

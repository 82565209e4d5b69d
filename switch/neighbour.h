// SPDX-License-Identifier: BSD-3-Clause
// Answers in place of a neighbour: a host that routes asks by which MAC address the next one is
// reached. Reads and writes the packet's stash and nothing else. No DPDK here.
#ifndef WEIR_SWITCH_NEIGHBOUR_H
#define WEIR_SWITCH_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

// Whether it is a packet by which hosts find each other: ARP, RARP, by which a VMM tells that its
// VM has come, or a neighbour solicitation or advertisement. p is parsed.
bool neighbour_is(const struct packet *p);

// Makes of an ARP request (RFC 826) or of an IPv6 neighbour solicitation (RFC 4861, 4.3) the answer
// that the address it asks for, whichever that is, has this MAC address: for who has asked, in the
// same VLAN, without a tag. p is parsed and has no verdict; it stands in a stash of its own.
// Worker.
//
// False, and nothing is written: it is neither, or it is one that wants no answer, since it asks
// for the asker's own address: to tell it (sender and target are the same), or to find out whether
// another one has it (RFC 5227, RFC 4862: from nowhere).
bool neighbour_answer(struct packet *p, const uint8_t mac[6]);

#endif

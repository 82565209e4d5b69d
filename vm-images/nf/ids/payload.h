// SPDX-License-Identifier: BSD-3-Clause
// Where in a frame the signatures are looked for. Pure; any thread.
#ifndef WEIR_NF_IDS_PAYLOAD_H
#define WEIR_NF_IDS_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

// The offset behind Ethernet, VLAN tags, IPv4 or IPv6 and TCP or UDP. A header that is cut off or
// makes no sense, and what lies in a fragment that is not the first, is payload: nothing goes by
// unseen for want of being understood. At most `length`.
size_t payload_offset(const uint8_t *frame, size_t length);

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The Network Service Header (RFC 8300) as a service function has to handle it: which frames have
// one, what is inside, and in what form they go on. Pure; any thread.
#ifndef WEIR_NF_IDS_NSH_H
#define WEIR_NF_IDS_NSH_H

#include <stddef.h>
#include <stdint.h>

enum nsh_kind {
	NSH_NONE,  // a frame as any: no NSH, or a VLAN tag before it
	NSH_SOUND, // a frame of Ethernet is inside
	// These are to be dropped.
	NSH_LENGTH,   // cut off, or not as long as its MD type wants it
	NSH_VERSION,  // not 0
	NSH_OAM,      // about the path itself, of which this function knows nothing
	NSH_MD_TYPE,  // neither 1 nor 2
	NSH_PROTOCOL, // inside is something else
	NSH_INDEX,    // a service index of 0: it has been through all of its path
	NSH_KINDS
};

// What the frame is. `inside`: where the one inside begins if it is sound, else 0.
enum nsh_kind nsh_read(const uint8_t *frame, size_t length, size_t *inside);
// Makes it, which is sound, what the function hands on: from `own` address to whoever it came from,
// with the service index one less.
void nsh_hand_on(uint8_t *frame, const uint8_t own[6]);

#endif

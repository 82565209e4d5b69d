// SPDX-License-Identifier: BSD-3-Clause
#include "vm-images/nf/ids/nsh.h"

#include <net/ethernet.h>
#include <string.h>

#include "base/bytes.h"

enum {
	ETHER_TYPE_AT = 2 * ETHER_ADDR_LEN,
	ETHERTYPE_NSH = 0x894f,
	// From the NSH on, RFC 8300, 2.2 and 2.3: the base header, and the service path header.
	MD_TYPE_AT = 2,
	PROTOCOL_AT = 3,
	INDEX_AT = 7,
	WORD = 4,
	WORDS_MIN = 2,
	WORDS_OF_TYPE_1 = 6,
	VERSION_MASK = 0xc000,
	OAM_BIT = 0x2000,
	WORDS_MASK = 0x3f,
	MD_TYPE_MASK = 0xf,
	ETHERNET = 3,
};

// Of base headers that are sound in all else: whether they say a length that the type has. Metadata
// is not looked into.
static int has_length(unsigned type, unsigned words)
{
	return type == 1 ? words == WORDS_OF_TYPE_1 : words >= WORDS_MIN;
}

enum nsh_kind nsh_read(const uint8_t *frame, size_t length, size_t *inside)
{
	*inside = 0;
	if (length < ETHER_HDR_LEN || load16(frame + ETHER_TYPE_AT) != ETHERTYPE_NSH)
		return NSH_NONE;
	if (length < ETHER_HDR_LEN + WORDS_MIN * WORD)
		return NSH_LENGTH;
	const uint8_t *nsh = frame + ETHER_HDR_LEN;
	unsigned base = load16(nsh), words = base & WORDS_MASK;
	unsigned type = nsh[MD_TYPE_AT] & MD_TYPE_MASK;
	if (base & VERSION_MASK)
		return NSH_VERSION;
	if (base & OAM_BIT)
		return NSH_OAM;
	if (type != 1 && type != 2)
		return NSH_MD_TYPE;
	if (nsh[PROTOCOL_AT] != ETHERNET)
		return NSH_PROTOCOL;
	size_t behind = ETHER_HDR_LEN + (size_t)words * WORD;
	if (!has_length(type, words) || length < behind + ETHER_HDR_LEN)
		return NSH_LENGTH;
	if (!nsh[INDEX_AT])
		return NSH_INDEX;
	*inside = behind;
	return NSH_SOUND;
}

void nsh_hand_on(uint8_t *frame, const uint8_t own[6])
{
	memcpy(frame, frame + ETHER_ADDR_LEN, ETHER_ADDR_LEN);
	memcpy(frame + ETHER_ADDR_LEN, own, ETHER_ADDR_LEN);
	frame[ETHER_HDR_LEN + INDEX_AT]--;
}

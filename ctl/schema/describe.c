// SPDX-License-Identifier: BSD-3-Clause
// What may stand at a key, in words: for errors, for completion and for the reference.
#include <inttypes.h>
#include <stdio.h>

#include "ctl/schema/key.h"

void key_range(const struct key *key, char *buf, size_t size)
{
	char min[32];
	char max[32];
	if (type_is_quantity(key->type)) {
		quantity_print(key->type, key->min, min, sizeof(min));
		quantity_print(key->type, key->max, max, sizeof(max));
		snprintf(buf, size, "from %s to %s", min, max);
		return;
	}
	snprintf(buf, size, "from %" PRIu64 " to %" PRIu64, key->min, key->max);
}

static void words_print(
	const struct key *key, const char *comma, const char *last, char *buf, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; key->words[i] && used < size; i++) {
		const char *sep = !i ? "" : key->words[i + 1] ? comma : last;
		used += snprintf(buf + used, size - used, "%s%s", sep, key->words[i]);
	}
}

void key_expect(const struct key *key, char *buf, size_t size)
{
	char range[80];
	switch (key->type) {
	case TYPE_INT:
		key_range(key, range, sizeof(range));
		snprintf(buf, size, "an integer %s", range);
		return;
	case TYPE_ENUM:
		words_print(key, ", ", " or ", buf, size);
		return;
	case TYPE_NAME:
		snprintf(buf, size, "a name of at most %d letters, digits, _ and -", NAME_SIZE - 1);
		return;
	case TYPE_USER:
		snprintf(buf, size, "the name of a user or group");
		return;
	case TYPE_DEVICE:
		snprintf(buf, size,
			"a device of DPDK such as 0000:03:00.0 or net_tap0,iface=weir0, at most "
			"%d bytes",
			DEVICE_SIZE - 1);
		return;
	case TYPE_DEVICES:
		snprintf(buf, size, "a list of 1 to %u devices of DPDK", key->count);
		return;
	case TYPE_SOCKET:
		snprintf(buf, size,
			"the path of a socket, absolute or below RUN_DIR/vm, at most %d bytes",
			SOCKET_PATH_SIZE - 1);
		return;
	case TYPE_ADDRESS:
		snprintf(buf, size, "an IP address that is routed, such as 10.0.0.1 or fd00::1");
		return;
	case TYPE_MODE:
		snprintf(buf, size, "permission bits in octal such as 0660");
		return;
	case TYPE_MAC:
		snprintf(buf, size, "a MAC address of one device such as 52:54:00:00:00:01");
		return;
	case TYPE_PREFIXES:
		snprintf(buf, size, "a list of 1 to %u IP addresses or networks", key->count);
		return;
	case TYPE_PROTOCOL:
		snprintf(buf, size,
			"any, tcp, udp, icmp, icmpv6, sctp or a protocol number from 0 to 255");
		return;
	case TYPE_PEER:
		snprintf(buf, size, "any, an IP address, a network or {group: NAME}");
		return;
	case TYPE_END:
		snprintf(buf, size, "any, {port: NAME}, {group: NAME} or {cidr: NETWORK}");
		return;
	case TYPE_PORTS:
		snprintf(buf, size,
			"an L4 port, a range such as 1000-2000, or a list of 1 to %u of them",
			key->count);
		return;
	case TYPE_WORDS:
		words_print(key, ", ", " and ", range, sizeof(range));
		snprintf(buf, size, "a list of some of %s", range);
		return;
	case TYPE_NAMES:
		snprintf(buf, size, "a name or a list of 1 to %u names", key->count);
		return;
	case TYPE_NUMBERS:
		key_range(key, range, sizeof(range));
		snprintf(buf, size, "a map of 1 to %u names, each with an integer %s", key->count,
			range);
		return;
	case TYPE_MAP:
		snprintf(buf, size, "a map of keys");
		return;
	case TYPE_MAPS:
		snprintf(buf, size, "a list of maps");
		return;
	case TYPE_INTS:
		key_range(key, range, sizeof(range));
		snprintf(buf, size, "%s%sa list of 1 to %u integers %s",
			key->words ? key->words[0] : "", key->words ? " or " : "", key->count,
			range);
		return;
	default:
		snprintf(buf, size, "a %s such as %s", quantity_noun(key->type),
			key->fallback ? key->fallback : quantity_example(key->type));
	}
}

void key_describe(const struct key *key, char *buf, size_t size)
{
	char range[80];
	key_range(key, range, sizeof(range));
	if (key->type == TYPE_ENUM)
		words_print(key, " | ", " | ", buf, size);
	else if (key->type == TYPE_LATER)
		snprintf(buf, size, "not supported yet");
	else if (key->type == TYPE_MAP)
		snprintf(buf, size, "map");
	else if (key->type == TYPE_MAPS)
		snprintf(buf, size, "a list of at most %u maps", key->count);
	else if (key->type == TYPE_NAMED)
		snprintf(buf, size, "map of at most %u names", key->count);
	else if (type_is_quantity(key->type))
		snprintf(buf, size, "%s %s", quantity_noun(key->type), range);
	else
		key_expect(key, buf, size);
}

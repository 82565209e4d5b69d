// SPDX-License-Identifier: BSD-3-Clause
// MAC addresses, IP addresses and networks as they are written.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

static bool is_hex(char c)
{
	return c && strchr("0123456789abcdefABCDEF", c);
}

bool mac_parse(const char *text, uint64_t *out)
{
	uint64_t mac = 0;
	for (unsigned i = 0; i < 6; i++, text += 3) {
		if (!is_hex(text[0]) || !is_hex(text[1]) || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac |= strtoull((char[]){text[0], text[1], 0}, NULL, 16) << 8 * i;
	}
	*out = mac;
	return mac && !(mac & 1);
}

// Whether all bits behind the first `length` are 0.
static bool ends_at(const uint8_t *address, unsigned length, unsigned bits)
{
	for (unsigned i = length; i < bits; i++) {
		if (address[i / 8] & 0x80 >> i % 8)
			return false;
	}
	return true;
}

bool prefix_parse(const char *text, struct config_prefix *out)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	struct config_prefix prefix = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	unsigned bits = prefix.family == AF_INET6 ? 128 : 32;
	uint64_t length = bits;
	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(prefix.family, address, prefix.address) != 1)
		return false;
	if (text[len]) {
		struct node number = {.type = NODE_SCALAR, .text = (char *)text + len + 1};
		if (!node_integer(&number, &length) || length > bits)
			return false;
	}
	prefix.length = (uint8_t)length;
	*out = prefix;
	return ends_at(prefix.address, prefix.length, bits);
}

bool address_parse(const char *text, struct config_prefix *out)
{
	static const uint8_t none[10], mapped[2] = {0xff, 0xff};
	if (strchr(text, '/') || !prefix_parse(text, out))
		return false;
	const uint8_t *at = out->address;
	if (out->family == AF_INET)
		return at[0] != 0 && at[0] != 127 && at[0] < 224;
	bool is_local = at[0] == 0xfe && (at[1] & 0xc0) == 0x80;
	// IPv4's, mapped or compatible, and the two that a host has for itself.
	bool is_ipv4s = !memcmp(at, none, 10) &&
			(!memcmp(at + 10, none, 2) || !memcmp(at + 10, mapped, 2));
	return at[0] != 0xff && !is_local && !is_ipv4s;
}

bool prefixes_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	struct config_prefix seen[ADDRESSES_MAX];
	if (node->type != NODE_LIST || !node->count || node->count > key->count ||
		node->count > ADDRESSES_MAX)
		return false;
	for (size_t i = 0; i < node->count; i++) {
		const struct node *item = *culprit = node->items[i];
		snprintf(expected, EXPECTED_SIZE,
			"an IP address or a network such as 10.0.0.1, 10.0.0.0/24 or fd00::1");
		if (item->type != NODE_SCALAR || !prefix_parse(item->text, &seen[i]))
			return false;
		snprintf(expected, EXPECTED_SIZE, "each address once");
		for (size_t k = 0; k < i; k++) {
			if (!memcmp(&seen[k], &seen[i], sizeof(seen[i])))
				return false;
		}
	}
	return true;
}

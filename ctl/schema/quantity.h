// SPDX-License-Identifier: BSD-3-Clause
// The types of values, and numbers with units as the configuration writes them: `300s`, `1.5Gbit`.
// The functions take the types TYPE_DURATION to TYPE_CONNS. weirctl shows what it tells of rates
// with the same units.
#ifndef WEIR_CTL_SCHEMA_QUANTITY_H
#define WEIR_CTL_SCHEMA_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_type {
	TYPE_LATER,    // no issue has built it yet; its insides are unknown
	TYPE_INT,      // bounds, lands in an unsigned field
	TYPE_ENUM,     // one of words, lands as the word's index
	TYPE_NAME,     // of a port or bridge
	TYPE_USER,     // of a Unix user or group, or its number
	TYPE_DEVICE,   // of DPDK, with its arguments
	TYPE_SOCKET,   // path of a Unix socket
	TYPE_MODE,     // permission bits in octal
	TYPE_MAC,      // of one device; lands as six bytes
	TYPE_ADDRESS,  // of IP, one host's, that routers forward
	TYPE_DURATION, // bounds in nanoseconds, lands in units
	TYPE_SIZE,     // in bytes
	TYPE_BITS,     // bits per second
	TYPE_PACKETS,  // packets per second
	TYPE_CONNS,    // connections per second
	TYPE_PROTOCOL, // of IP, by name or number, or any; lands as RULE_ANY_PROTOCOL then
	TYPE_PEER,     // any, an address, a network or a group; lands by land
	TYPE_END,      // any, {port: …}, {group: …} or {cidr: …}; lands by land
	TYPE_PORTS,    // up to count L4 ports and ranges of them, or one; lands by land
	TYPE_WORDS,    // some of words, none twice; lands as their bits
	TYPE_INTS,     // up to count integers, none twice, or words[0]; lands by land
	TYPE_NAMES,    // up to count names, none twice, or one; lands by land
	TYPE_DEVICES,  // a list of up to count devices; lands by land
	TYPE_PREFIXES, // up to count IP addresses and networks, none twice; lands by land
	TYPE_NUMBERS,  // up to count integers under names of the user's choice
	TYPE_MAP,      // keys
	TYPE_MAPS,     // a list of up to count maps of keys
	TYPE_NAMED,    // up to count maps of keys under names of the user's choice
};

// false: no such quantity, or not a whole number of the smallest unit.
bool quantity_parse(enum key_type type, const char *text, uint64_t *out);
// In the largest unit that gives a whole number: "1500Mbit". Parsing it gives the value back.
void quantity_print(enum key_type type, uint64_t value, char *buf, size_t size);
// For people, in the unit that keeps it short, rounded to so many digits, 4 to 15: "199.8Mbit".
void quantity_round(enum key_type type, uint64_t value, int digits, char *buf, size_t size);
const char *quantity_noun(enum key_type type);                          // "duration"
const char *quantity_example(enum key_type type);                       // "300s"
const char *quantity_units(enum key_type type, char *buf, size_t size); // "ns, us, ms, …"

#endif

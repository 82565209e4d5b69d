// SPDX-License-Identifier: BSD-3-Clause
// Whether a packet speaks only for the addresses that its port may use. Reads the parsed packet's
// stash and nothing else, so tests and fuzzers call it on exact heap copies. No DPDK here.
#ifndef WEIR_SWITCH_GUARD_CHECK_H
#define WEIR_SWITCH_GUARD_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/config.h"
#include "base/drop.h"
#include "base/likely.h"
#include "base/packet.h"

// A port's `addresses`, compiled; all of them as they lie in memory. A plain packet touches the
// first line.
struct guard {
	uint64_t mac;      // in the low 48 bits
	uint64_t mac_mask; // 0: not enforced
	bool ips;          // enforced
	bool link_local_listed;
	uint16_t nv4, nv6;
	uint32_t client_port; // of DHCP, which nothing may go to; no port at all if not enforced
	// The first matches all where IP addresses are not enforced, and nothing where IPv6 alone
	// is.
	struct {
		uint32_t network, mask;
	} v4[ADDRESSES_MAX];
	struct {
		uint64_t network[2], mask[2];
	} v6[ADDRESSES_MAX];
} __attribute__((aligned(64)));

// Whether there is anything to enforce; if not, a port has no guard.
bool guard_wanted(const struct config_addresses *addresses);
// Main thread.
void guard_compile(struct guard *guard, const struct config_addresses *addresses);

// DROP_NONE, or why the packet must not go on. p is parsed and not dropped. Worker.
//
// With a MAC address given it must be: the frame's source, or DROP_SPOOFED_MAC; ARP's and RARP's
// sender address (RFC 826, 903), or DROP_SPOOFED_ARP; each source or target link-layer address
// option of IPv6 neighbour discovery (RFC 4861, 4.6.1), or DROP_SPOOFED_ND.
//
// With IP addresses given one of them must be:
// - the source of IPv4 and IPv6, or DROP_SPOOFED_IP. 0.0.0.0 may ask a DHCP server (RFC 2131, 4.1)
//   and report groups (RFC 3376, 4.2.13); `::` may look for routers and for its own address's
//   double (RFC 4861, 4862), and report groups (RFC 3590).
// - ARP's sender, or DROP_SPOOFED_ARP. 0.0.0.0 may probe for an address of the port's (RFC 5227).
// - the target of a neighbour advertisement, and of a solicitation from `::`, or DROP_SPOOFED_ND.
//   So nobody answers for a neighbour, and nobody keeps it from taking its address.
// For IPv6, fe80::/10 is among them, any of it: what systems make of their MAC address there is
// their own choice (RFC 4291's EUI-64, RFC 7217, RFC 8981), so a rule of one form would cut most of
// them off. Where the list has link-local addresses, only those.
// What only others send is refused: to a DHCP client's port DROP_DHCP_SERVER (RFC 2131, 8415:
// whatever port it comes from), router advertisements DROP_ROUTER_ADVERTISEMENT, redirects
// DROP_SPOOFED_ND.
//
// What could get past that by its form is DROP_ADDRESSES_HIDDEN: headers and neighbour discovery
// options that are not whole in the packet and the stash, more tags or extension headers than are
// parsed, ARP over another hardware than Ethernet, and SNAP, behind which some systems look for
// IP. Neighbour discovery in fragments is DROP_SPOOFED_ND (RFC 6980). Other protocols than IP and
// ARP name no addresses and pass, and so do the insides of tunnels.
static inline enum drop_reason guard_check(const struct guard *guard, const struct packet *p);

// The same for what is not plain.
enum drop_reason guard_check_any(const struct guard *guard, const struct packet *p);

// Plain is a whole IPv4 packet with its L4 header from the first address, and not to a port that
// may be a DHCP client's, whatever the protocol.
static inline enum drop_reason guard_check(const struct guard *g, const struct packet *p)
{
	enum {
		PLAIN = PACKET_IPV4 | PACKET_L4
	};
	if (likely((p->flags & (PLAIN | PACKET_FRAGMENT)) == PLAIN)) {
		uint64_t mac;
		uint32_t source;
		uint16_t dport;
		memcpy(&mac, p->data + 4, sizeof(mac));
		memcpy(&source, p->data + p->l3_off + 12, sizeof(source));
		memcpy(&dport, p->data + p->l4_off + 2, sizeof(dport));
		if (likely((mac >> 16 & g->mac_mask) == g->mac) &&
			likely((source & g->v4[0].mask) == g->v4[0].network) &&
			likely(dport != g->client_port))
			return DROP_NONE;
	}
	return guard_check_any(g, p);
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
// The one table of all keys. A key's type, default, bounds, effect and documentation stand here and
// nowhere else; docs/weir.yaml.md is made from it.
#include "conntrack/state.h"
#include "ctl/schema/key.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ITEMS(parent, type, member, number) \
	.offset = offsetof(parent, member), .count_offset = offsetof(parent, number), \
	.item_size = sizeof(type)

#define SECOND 1000000000ull
#define MS     1000000ull
#define KIB    (1ull << 10)
#define MIB    (1ull << 20)
#define TIB    (1ull << 40)
// Of frames per second; more than any port can send, and few enough for exact budgets.
#define BUDGET_MAX      100000000ull
#define CONNECTIONS_MAX (16ull << 20)
#define RATE_BITS_MIN   1000ull
#define RATE_BITS_MAX   400000000000ull

// In the order of the enums in base/config.h.
static const char *const poll_words[] = {"adaptive", "busy", NULL};
static const char *const hugepages_words[] = {"auto", "off", "required", NULL};
static const char *const listens_words[] = {"vmm", "switch", NULL};
static const char *const trunk_words[] = {"all", NULL};
static const char *const built_in_words[] = {"arp", "nd", "ra", "dhcp", "dhcpv6", NULL};
static const char *const layer_words[] = {"l2", "wire", NULL};
static const char *const scheduler_words[] = {"fifo", "prio", "drr", "fq-codel", NULL};
static const char *const truth_words[] = {"false", "true", NULL};
static const char *const failure_words[] = {"open", "closed", NULL};
static const char *const mode_words[] = {"transparent", "routed", NULL};
static const char *const recognise_words[] = {"connection", "port", "vlan", "nsh", NULL};
static const char *const pickup_words[] = {"no", "yes", NULL};

// One key, one block.
// clang-format off
static const struct key timeout_keys[] = {
#define X(id, state, timeout_s, class) \
	{state, TYPE_DURATION, .fallback = #timeout_s "s", .min = SECOND, .max = 1000000 * SECOND, \
		.unit = SECOND, .offset = offsetof(struct config_switch, timeouts_s[CONN_##id]), \
		.size = sizeof(uint32_t), .effect = EFFECT_LIVE, \
		.about = "Of connections in the state " state "."},
	CONN_STATES(X)
#undef X
	{0},
};

static const struct key switch_keys[] = {
	{"workers", TYPE_INTS, .fallback = "[1]", .max = 1023, .count = WORKERS_MAX,
		.land = land_workers, .effect = EFFECT_RESTART,
		.about = "The CPUs that switch packets: one worker thread each."},
	{"poll", TYPE_ENUM, .fallback = "adaptive", .words = poll_words,
		FIELD(struct config_switch, poll), .effect = EFFECT_LIVE,
		.about = "Whether a worker without traffic sleeps (`adaptive`) or looks at its queues "
			"all the time (`busy`), which wakes no one late and costs its whole CPU."},
	{"memory", TYPE_SIZE, .fallback = "256MiB", .min = 32 * MIB, .max = TIB,
		FIELD(struct config_switch, memory_bytes), .effect = EFFECT_RESTART,
		.about = "Memory for packet buffers and compiled rules; never more is taken."},
	{"hugepages", TYPE_ENUM, .fallback = "auto", .words = hugepages_words,
		FIELD(struct config_switch, hugepages), .effect = EFFECT_RESTART,
		.about = "Whether that memory comes from huge pages: where there are some (`auto`), "
			"never (`off`), or no start without them (`required`)."},
	{"connections", TYPE_INT, .fallback = "262144", .min = 1024, .max = CONNECTIONS_MAX,
		FIELD(struct config_switch, connections), .effect = EFFECT_RESTART,
		.about = "How many connections the table holds, those of all ports with groups."},
	{"built-in-rules", TYPE_WORDS, .fallback = "[arp, nd, ra, dhcp, dhcpv6]",
		.words = built_in_words, FIELD(struct config_switch, built_in),
		.effect = EFFECT_LIVE,
		.about = "What every port with groups may send and receive, before its groups are "
			"asked: ARP; IPv6 neighbour discovery and multicast membership (`nd`); router "
			"advertisements and redirects to it (`ra`); a client's exchanges with DHCP and DHCPv6 "
			"servers. An empty list: nothing."},
	{"tcp-pickup", TYPE_ENUM, .fallback = "no", .words = pickup_words,
		FIELD(struct config_switch, tcp_pickup), .effect = EFFECT_LIVE,
		.about = "Whether a TCP conversation may be tracked from its middle on (`yes`), as "
			"after a restart of the switch; else it must begin with a SYN."},
	{"timeouts", TYPE_MAP, .keys = timeout_keys, .effect = EFFECT_LIVE,
		.about = "After this time without a packet a connection is forgotten."},
	{0},
};

static const struct key bridge_keys[] = {
	{"ageing", TYPE_DURATION, .fallback = "300s", .max = 1000000 * SECOND, .unit = SECOND,
		FIELD(struct config_bridge, ageing_s), .effect = EFFECT_LIVE,
		.about = "After this time without a frame from it a MAC address is forgotten; "
			"`0s`: never."},
	{0},
};

static const struct key vhost_user_keys[] = {
	{"socket", TYPE_SOCKET, .required = true, FIELD(struct config_vhost_user, socket),
		.effect = EFFECT_PORT,
		.about = "The Unix socket between VMM and switch: absolute, or relative to RUN_DIR/vm."},
	{"listens", TYPE_ENUM, .fallback = "vmm", .words = listens_words,
		FIELD(struct config_vhost_user, listens), .effect = EFFECT_PORT,
		.about = "Who listens on the socket: the VMM (the switch connects, and again after "
			"either side was restarted), or the switch."},
	{"owner", TYPE_USER, FIELD(struct config_vhost_user, owner), .effect = EFFECT_PORT,
		.about = "The user who owns the socket where the switch listens; left out, the "
			"switch's own."},
	{"group", TYPE_USER, FIELD(struct config_vhost_user, group), .effect = EFFECT_PORT,
		.about = "The group of the socket where the switch listens; left out, the switch's own."},
	{"mode", TYPE_MODE, .fallback = "0660", FIELD(struct config_vhost_user, mode),
		.effect = EFFECT_PORT,
		.about = "The permission bits of the socket where the switch listens."},
	{"queues", TYPE_INT, .fallback = "1", .min = 1, .max = QUEUE_PAIRS_MAX,
		FIELD(struct config_vhost_user, queues), .effect = EFFECT_PORT,
		.about = "The most queue pairs that the VM may use."},
	{0},
};

static const struct key dpdk_keys[] = {
	{"device", TYPE_DEVICE, .required = true, FIELD(struct config_dpdk, device),
		.effect = EFFECT_PORT,
		.about = "The device as DPDK names it: a PCI address that is bound to vfio-pci, or a "
			"virtual device with its arguments, `net_af_packet0,iface=eth1`."},
	{"queues", TYPE_INT, .fallback = "1", .min = 1, .max = QUEUE_PAIRS_MAX,
		FIELD(struct config_dpdk, queues), .effect = EFFECT_PORT,
		.about = "The most receive queues, over which the device spreads packets (RSS); fewer "
			"where it has no more."},
	{"members", TYPE_DEVICES, .count = DEVICE_MEMBERS, .land = land_members,
		.effect = EFFECT_PORT,
		.about = "Devices that are made before it: those which a `net_bonding` names as "
			"`slave=`."},
	{0},
};

static const struct key vlan_keys[] = {
	{"access", TYPE_INT, .min = 1, .max = 4094, FIELD(struct config_vlan, access),
		.effect = EFFECT_LIVE,
		.about = "The one VLAN of the port, whose frames carry no tag there."},
	{"trunk", TYPE_INTS, .min = 1, .max = 4094, .count = 4094, .words = trunk_words,
		.land = land_trunk, .effect = EFFECT_LIVE,
		.about = "The VLANs whose frames pass with their tags."},
	{"native", TYPE_INT, .min = 1, .max = 4094, FIELD(struct config_vlan, native),
		.effect = EFFECT_LIVE,
		.about = "Beside `trunk`: the VLAN of frames without a tag; left out, they are dropped."},
	{0},
};

static const struct key limits_keys[] = {
	{"macs", TYPE_INT, .fallback = "1024", .max = 1048576, FIELD(struct config_limits, macs),
		.effect = EFFECT_LIVE,
		.about = "The most MAC addresses learned behind the port; 0: no limit of its own."},
	{"connections", TYPE_INT, .fallback = "0", .max = CONNECTIONS_MAX,
		FIELD(struct config_limits, connections), .effect = EFFECT_LIVE,
		.about = "The most connections at a time that begin at the port, and apart from them as "
			 "many that come to it from ports without groups; 0: a quarter of the table."},
	{"new-connections", TYPE_CONNS, .min = 1, .max = BUDGET_MAX,
		FIELD(struct config_limits, new_connections_cps), .effect = EFFECT_LIVE,
		.about = "The most connections per second that the port may begin, and apart from them "
			 "that may come to it from ports without groups; left out: no limit."},
	{"broadcast", TYPE_PACKETS, .min = 1, .max = BUDGET_MAX,
		FIELD(struct config_limits, broadcast_pps), .effect = EFFECT_LIVE,
		.about = "The most broadcast frames from the port, those of 100 ms at once; left out: "
			"no limit."},
	{"multicast", TYPE_PACKETS, .min = 1, .max = BUDGET_MAX,
		FIELD(struct config_limits, multicast_pps), .effect = EFFECT_LIVE,
		.about = "The same for multicast frames, without which IPv6 finds no neighbours."},
	{"unknown", TYPE_PACKETS, .min = 1, .max = BUDGET_MAX,
		FIELD(struct config_limits, unknown_pps), .effect = EFFECT_LIVE,
		.about = "The same for frames to MAC addresses that are not known, which go to all."},
	{0},
};

static const struct key addresses_keys[] = {
	{"mac", TYPE_MAC, FIELD(struct config_addresses, mac), .effect = EFFECT_LIVE,
		.about = "The one MAC address that the VM may use: as a frame's source, and where ARP "
			"and IPv6 neighbour discovery name the sender's."},
	{"ip", TYPE_PREFIXES, .count = ADDRESSES_MAX, .land = land_ips, .effect = EFFECT_LIVE,
		.about = "The IP addresses that the VM may use: as a packet's source, and where ARP and "
			"IPv6 neighbour discovery speak for one. Always allowed: `::` and 0.0.0.0 "
			"while it looks for its address, and link-local addresses, unless the list "
			"has some: then only those. Refused: what only DHCP servers and IPv6 routers "
			"send."},
	{0},
};

// Of a port's direction and of a shared rate alike.
#define RATE_KEYS(type, path) \
	{"bits", TYPE_BITS, .min = RATE_BITS_MIN, .max = RATE_BITS_MAX, FIELD(type, path bits), \
		.effect = EFFECT_LIVE, .about = "Bits per second; left out: no limit."}, \
	{"packets", TYPE_PACKETS, .min = 1, .max = BUDGET_MAX, FIELD(type, path packets), \
		.effect = EFFECT_LIVE, \
		.about = "Packets per second, a TSO frame counted as the packets that it " \
			"becomes; left out: no limit. Beside `bits` both hold."}, \
	{"burst", TYPE_SIZE, .min = KIB, .max = 256 * MIB, FIELD(type, path burst_bytes), \
		.effect = EFFECT_LIVE, \
		.about = "How much may go at once after a pause, but no less than what comes due " \
			"in 0.5 ms, or 128 KiB where it is policed; left out: chosen from the " \
			"rate."}, \
	{"layer", TYPE_ENUM, .fallback = "l2", .words = layer_words, FIELD(type, path layer), \
		.effect = EFFECT_LIVE, \
		.about = "Whether a frame counts as it is (`l2`) or with what it takes on a wire " \
			"(`wire`): preamble, gap and check sequence, 24 bytes a packet."}

static const struct key rate_from_vm_keys[] = {
	RATE_KEYS(struct config_rate, ),
	{"police", TYPE_ENUM, .fallback = "false", .words = truth_words,
		FIELD(struct config_rate, police), .effect = EFFECT_LIVE,
		.about = "Whether what is beyond the rate is dropped (`rate-police`) instead of waiting "
			"in the VM's own queue. Then `bits` must be given and `packets` may not."},
	{0},
};

static const struct key rate_to_vm_keys[] = {
	RATE_KEYS(struct config_rate, ),
	{"scheduler", TYPE_ENUM, .fallback = "fifo", .words = scheduler_words,
		FIELD(struct config_rate, scheduler), .effect = EFFECT_LIVE,
		.about = "Which of the waiting packets goes next: the oldest (`fifo`); one of the "
			"highest class, by DSCP (`prio`); each flow in turn, by bytes (`drr`); the "
			"same, and flows that make others wait are marked or dropped (`fq-codel`, "
			"RFC 8290)."},
	{"queue", TYPE_SIZE, .min = 4 * KIB, .max = 1024 * MIB,
		FIELD(struct config_rate, queue_bytes), .effect = EFFECT_LIVE,
		.about = "The most bytes that wait; left out: chosen from the rate."},
	{"target", TYPE_DURATION, .fallback = "5ms", .min = MS / 100, .max = SECOND,
		FIELD(struct config_rate, target_ns), .effect = EFFECT_LIVE,
		.about = "`fq-codel`: the wait that may last."},
	{"interval", TYPE_DURATION, .fallback = "100ms", .min = MS, .max = 10 * SECOND,
		FIELD(struct config_rate, interval_ns), .effect = EFFECT_LIVE,
		.about = "`fq-codel`: for how long a longer wait is suffered."},
	{"ecn", TYPE_ENUM, .fallback = "true", .words = truth_words,
		FIELD(struct config_rate, ecn), .effect = EFFECT_LIVE,
		.about = "`fq-codel`: whether packets of flows that know ECN are marked instead of "
			"dropped."},
	{0},
};

static const struct key rate_keys[] = {
	{"from-vm", TYPE_MAP, .optional = true, .keys = rate_from_vm_keys,
		FIELD(struct config_port, from_vm), .finish = finish_rate, .effect = EFFECT_LIVE,
		.about = "How fast the VM may send, over all its queues. What is not due stays in the "
			"VM's own queue: nothing is dropped and the VM feels it as a slow link. "
			"`bits`, `packets` or both."},
	{"to-vm", TYPE_MAP, .optional = true, .keys = rate_to_vm_keys,
		FIELD(struct config_port, to_vm), .finish = finish_rate, .effect = EFFECT_LIVE,
		.about = "How fast the VM receives. What is not due waits in a queue of the switch; "
			"what finds no room there is dropped. `bits`, `packets` or both."},
	{0},
};

_Static_assert(PORT_SHARED_MAX == 4, "what `ports` says below");
static const struct key shared_keys[] = {
	RATE_KEYS(struct config_shared, rate.),
	{"ports", TYPE_NUMBERS, .required = true, .min = 1, .max = WEIGHT_MAX, .count = PORTS_MAX,
		ITEMS(struct config_shared, struct config_shared_member, members, nmembers),
		.number_offset = offsetof(struct config_shared_member, weight),
		.size = sizeof(uint16_t), .effect = EFFECT_LIVE,
		.about = "The VMs' ports that share it, each with its weight: `{vm1: 1, vm2: 2}`. "
			"While all have something to send, each gets its weight's share; what one "
			"leaves, the others get. A port may share up to 4 rates."},
	{0},
};

static const struct key port_keys[] = {
	{"vhost-user", TYPE_MAP, .keys = vhost_user_keys, FIELD(struct config_port, vhost_user),
		.effect = EFFECT_PORT, .about = "The port is a VM's network card."},
	{"dpdk", TYPE_MAP, .keys = dpdk_keys, FIELD(struct config_port, dpdk),
		.effect = EFFECT_PORT,
		.about = "The port is a NIC, or any other Ethernet device of DPDK."},
	{"bridge", TYPE_NAME, .fallback = "default", FIELD(struct config_port, bridge),
		.effect = EFFECT_PORT,
		.about = "The bridge that the port belongs to."},
	{"mtu", TYPE_INT, .fallback = "1500", .min = 68, .max = 9216,
		FIELD(struct config_port, mtu), .effect = EFFECT_LIVE,
		.about = "The largest packet in bytes, without Ethernet header and VLAN tag."},
	{"vlan", TYPE_MAP, .keys = vlan_keys, FIELD(struct config_port, vlan),
		.finish = finish_vlan, .effect = EFFECT_LIVE,
		.about = "The VLANs of the port: `access`, or `trunk` with or without `native`. Left "
			"out: frames without a tag only."},
	{"addresses", TYPE_MAP, .keys = addresses_keys, FIELD(struct config_port, addresses),
		.effect = EFFECT_LIVE,
		.about = "The addresses that the VM may use: what is given is enforced, what is left "
			"out is not."},
	{"groups", TYPE_NAMES, .count = PORT_GROUPS_MAX, .land = land_port_groups,
		.effect = EFFECT_LIVE,
		.about = "The security groups of the port, in the order in which they are asked; "
			"the first rule that matches decides. Left out: its packets are not tracked, "
			"and all are allowed."},
	{"rate", TYPE_MAP, .keys = rate_keys, .effect = EFFECT_LIVE,
		.about = "How fast the VM may send and receive; left out: as it can."},
	{"limits", TYPE_MAP, .keys = limits_keys, FIELD(struct config_port, limits),
		.effect = EFFECT_LIVE, .about = "What the port may use up."},
	{"nf", TYPE_ENUM, .fallback = "false", .words = truth_words, FIELD(struct config_port, nf),
		.effect = EFFECT_LIVE,
		.about = "`true`: a network function is plugged in, so the port is apart from its "
			"bridge, gets no floods and teaches no addresses, also before a chain names it "
			"and when none does any more. Else it is so only while one does, and then a "
			"member of the bridge as any: an NF that is a bridge closes a loop there."},
	{0},
};

// The same but for the other end's name.
#define RULE_KEYS(peer, about_peer) \
	{"allow", TYPE_PROTOCOL, FIELD(struct config_rule, protocol), .effect = EFFECT_LIVE, \
		.about = "Lets packets of this protocol pass."}, \
	{"deny", TYPE_PROTOCOL, FIELD(struct config_rule, protocol), .effect = EFFECT_LIVE, \
		.about = "Drops them. A rule has either `allow` or `deny`."}, \
	{"sport", TYPE_PORTS, .count = RULE_RANGES_MAX, .land = land_sports, \
		.effect = EFFECT_LIVE, \
		.about = "TCP, UDP, SCTP: the source's L4 ports; left out: all."}, \
	{"dport", TYPE_PORTS, .count = RULE_RANGES_MAX, .land = land_dports, \
		.effect = EFFECT_LIVE, \
		.about = "TCP, UDP, SCTP: the destination's L4 ports; left out: all."}, \
	{"type", TYPE_INT, .max = 255, FIELD(struct config_rule, icmp_type), \
		.effect = EFFECT_LIVE, .about = "ICMP, ICMPv6: the type; left out: all."}, \
	{"code", TYPE_INT, .max = 255, FIELD(struct config_rule, icmp_code), \
		.effect = EFFECT_LIVE, \
		.about = "Beside `type`: the code; left out: all."}, \
	{peer, TYPE_PEER, .fallback = "any", .land = land_peer, .effect = EFFECT_LIVE, \
		.about = about_peer}, \
	{0}

static const struct key to_vm_keys[] = {
	RULE_KEYS("from", "Who sends; of a group: all that are in it."),
};

static const struct key from_vm_keys[] = {
	RULE_KEYS("to", "Who receives; of a group: all that are in it."),
};

static const struct key group_keys[] = {
	{"to-vm", TYPE_MAPS, .keys = to_vm_keys, .count = RULES_MAX,
		ITEMS(struct config_group, struct config_rule, to_vm, nto_vm),
		.finish = finish_rule, .effect = EFFECT_LIVE,
		.about = "Rules for connections to the VM: the first that matches decides; where "
			"none of the port's groups has one, they are denied."},
	{"from-vm", TYPE_MAPS, .keys = from_vm_keys, .count = RULES_MAX,
		ITEMS(struct config_group, struct config_rule, from_vm, nfrom_vm),
		.finish = finish_rule, .effect = EFFECT_LIVE,
		.about = "The same for connections from the VM; where no rule matches, they are "
			"allowed."},
	{0},
};

static const struct key match_keys[] = {
	{"from", TYPE_END, .fallback = "any", .land = land_from, .effect = EFFECT_LIVE,
		.about = "Who begins the connection: behind a port, in a group, or with an address of "
			"a network."},
	{"to", TYPE_END, .fallback = "any", .land = land_to, .effect = EFFECT_LIVE,
		.about = "Likewise to whom. The port must be known by then: what is flooded goes to "
			"none."},
	{"proto", TYPE_PROTOCOL, .fallback = "any", FIELD(struct config_chain, protocol),
		.effect = EFFECT_LIVE, .about = "The protocol."},
	{"dport", TYPE_PORTS, .count = RULE_RANGES_MAX, .land = land_chain_dports,
		.effect = EFFECT_LIVE,
		.about = "TCP, UDP, SCTP: the destination's L4 ports; left out: all."},
	{0},
};

static const struct key instance_keys[] = {
	{"port", TYPE_NAME, FIELD(struct config_instance, left), .effect = EFFECT_LIVE,
		.about = "A one-armed NF: the port where packets go in and come out again."},
	{"left", TYPE_NAME, FIELD(struct config_instance, left), .effect = EFFECT_LIVE,
		.about = "A two-armed NF: the port towards who begins the connection. Those packets "
			"go in here, and replies come out."},
	{"right", TYPE_NAME, FIELD(struct config_instance, right), .effect = EFFECT_LIVE,
		.about = "Its other port, where they come out, and replies go in."},
	{0},
};

_Static_assert(PROBE_FAILURES_MAX == 16, "what `failures` may be");
static const struct key probe_keys[] = {
	{"interval", TYPE_DURATION, .fallback = "200ms", .min = 100 * MS, .max = 10 * SECOND,
		FIELD(struct config_probe, interval_ns), .effect = EFFECT_LIVE,
		.about = "The time from one to the next."},
	{"failures", TYPE_INT, .fallback = "3", .min = 1, .max = PROBE_FAILURES_MAX,
		FIELD(struct config_probe, failures), .effect = EFFECT_LIVE,
		.about = "So many in a row without an answer: out of service."},
	{"from", TYPE_ADDRESS, FIELD(struct config_probe, from), .effect = EFFECT_LIVE,
		.about = "`mode: routed`, and needed there: the sender of the echo requests that the "
			"NF is to forward, as one of those that begin its connections."},
	{"to", TYPE_ADDRESS, FIELD(struct config_probe, to), .effect = EFFECT_LIVE,
		.about = "Likewise their receiver, which the NF reaches by its right side. It gets "
			"none of them; behind an NF that is `recognise-by: port` it has to be there, since "
			"it is asked for its MAC address."},
	{0},
};

static const struct key hop_keys[] = {
	{"nf", TYPE_NAME, .required = true, FIELD(struct config_hop, nf), .effect = EFFECT_LIVE,
		.about = "What the NF is called; `weir-firewall` is Weir's own."},
	{"instances", TYPE_MAPS, .keys = instance_keys, .count = HOP_INSTANCES_MAX,
		ITEMS(struct config_hop, struct config_instance, instances, ninstances),
		.finish = finish_instance, .effect = EFFECT_LIVE,
		.about = "The VMs that host it: `port`, or `left` and `right`. Each connection keeps "
			"to one of those in service. Their ports belong to the chain: they have no groups, "
			"and get and send nothing else. They are in the bridge, and members of the VLANs, of "
			"what they are to see; all of a chain are in one bridge."},
	{"groups", TYPE_NAMES, .count = PORT_GROUPS_MAX, .land = land_hop_groups,
		.effect = EFFECT_LIVE,
		.about = "`weir-firewall`, instead of `instances`: the groups whose rules are asked, "
			"inside the switch, once for each connection, as if they were a VM's there."},
	{"on-failure", TYPE_ENUM, .fallback = "closed", .words = failure_words,
		FIELD(struct config_hop, on_failure), .effect = EFFECT_LIVE,
		.about = "Without an instance in service the hop is skipped (`open`), or packets are "
			"dropped (`closed`)."},
	{"probe", TYPE_MAP, .optional = true, .keys = probe_keys, FIELD(struct config_hop, probe),
		.effect = EFFECT_LIVE,
		.about = "Frames of the switch's own that each instance has to forward, in at the left "
			"and out at the right, or back by its one port (EtherType 0x88b5; `mode: routed`: "
			"echo requests). Who does not is out of service until it does again. Left out: none "
			"are sent. `{}`: with the defaults."},
	{"mode", TYPE_ENUM, .fallback = "transparent", .words = mode_words,
		FIELD(struct config_hop, mode), .effect = EFFECT_LIVE,
		.about = "Whether frames keep their MAC addresses, for an NF that is as a bridge "
			"(`transparent`), or go to the NF's own, for one that routes (`routed`): its ports' "
			"`addresses.mac`. Towards it the whole network is at Weir's, 02:57:65:69:72:00, "
			"which answers its ARP and neighbour solicitations."},
	{"recognise-by", TYPE_ENUM, .fallback = "connection", .words = recognise_words,
		FIELD(struct config_hop, recognise), .effect = EFFECT_LIVE,
		.about = "By what it is known which chain a packet from the NF belongs to: the "
			"`connection`, for its addresses and L4 ports are as they were; or, for an NF that "
			"changes them (NAT, a load balancer, a proxy), the `port` where it comes out, which "
			"then serves in this one hop alone like that, or a `vlan` tag that frames carry to "
			"the NF and back, or the service path of the `nsh` (RFC 8300) that they are in, so "
			"that several chains share its ports, which are no trunks. "
			"Towards its right side an NF that changes addresses, `mode: routed`, is a host of "
			"the bridge."},
	{"tag", TYPE_INT, .min = 1, .max = 4094, FIELD(struct config_hop, tag),
		.effect = EFFECT_LIVE,
		.about = "Beside `recognise-by: vlan`: the tag, at each port another one for each chain."},
	{"path", TYPE_INT, .min = 1, .max = 16777215, FIELD(struct config_hop, path),
		.effect = EFFECT_LIVE,
		.about = "Beside `recognise-by: nsh`: the service path identifier, at each port another "
			"one for each chain. The ports have `addresses.mac`, and an `mtu` with room for 22 "
			"bytes more than frames have."},
	{0},
};

static const struct key chain_keys[] = {
	{"match", TYPE_MAP, .required = true, .optional = true, .keys = match_keys,
		.finish = finish_match, .effect = EFFECT_LIVE,
		.about = "The connections that visit the chain: all that is given must hold. Replies "
			"walk it backwards. `{}`: all."},
	{"hops", TYPE_MAPS, .required = true, .keys = hop_keys, .count = CHAIN_HOPS_MAX,
		ITEMS(struct config_chain, struct config_hop, hops, nhops), .finish = finish_hop,
		.effect = EFFECT_LIVE,
		.about = "The NFs in the order in which they are visited. A port may stand in one hop "
			"of a chain only."},
	{0},
};

static const struct key root_keys[] = {
	{"switch", TYPE_MAP, .keys = switch_keys, FIELD(struct config, sw),
		.about = "The switch as a whole."},
	{"bridges", TYPE_NAMED, .keys = bridge_keys, .count = BRIDGES_MAX, .always = "default",
		ITEMS(struct config, struct config_bridge, bridges, nbridges),
		.about = "MAC tables by name. The bridge `default` exists even if it is not listed."},
	{"ports", TYPE_NAMED, .keys = port_keys, .count = PORTS_MAX,
		.finish = finish_port, ITEMS(struct config, struct config_port, ports, nports),
		.about = "The attachments of the switch by name."},
	{"groups", TYPE_NAMED, .keys = group_keys, .count = GROUPS_MAX,
		ITEMS(struct config, struct config_group, groups, ngroups),
		.about = "Security groups by name: what the ports in them may receive and send. "
			"Replies, and errors that belong to a connection, need no rule."},
	{"gateways", TYPE_LATER, .about = "Addresses of the switch in a VLAN, and routes."},
	{"nat", TYPE_LATER, .about = "Address translation."},
	{"chains", TYPE_NAMED, .keys = chain_keys, .count = CHAINS_MAX, .ordered = true,
		.finish = finish_chain, ITEMS(struct config, struct config_chain, chains, nchains),
		.about = "Network functions (NFs) in VMs that chosen connections visit, one after the "
			"other, by name. A connection that several chains match takes the first of them, in "
			"the order of the document."},
	{"rates", TYPE_NAMED, .keys = shared_keys, .count = SHARED_MAX, .finish = finish_shared,
		ITEMS(struct config, struct config_shared, shared, nshared),
		.about = "Rates that several ports share, by name: what their VMs send together, above "
			"each one's own `rate.from-vm`. `bits`, `packets` or both."},
	{0},
};
// clang-format on

const struct key schema_root = {"", TYPE_MAP, .keys = root_keys, .finish = finish_config,
	.about = "What may stand at the top of the document."};

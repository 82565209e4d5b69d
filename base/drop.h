// SPDX-License-Identifier: BSD-3-Clause
// Every drop has a name: one x-macro gives the enum, the stable name and the sentence that
// `weirctl drops` shows. A packet is counted once per output it was lost for, at the port that the
// reason speaks of: `from-vm` reasons at the port it came from, `to-vm` reasons at its receiver.
#ifndef WEIR_BASE_DROP_H
#define WEIR_BASE_DROP_H

#define DROP_REASONS(X) \
	X(FRAME_TOO_SHORT, "frame-too-short", "shorter than an Ethernet header") \
	X(FRAME_TOO_LONG, "frame-too-long", "longer than 64 KiB and its headers") \
	X(HEADERS_TOO_LONG, "headers-too-long", "headers do not fit the 192 bytes that are read") \
	X(BAD_HEADER, "bad-header", "a length or version in the packet contradicts its size") \
	X(BAD_OFFLOAD, "bad-offload", "the virtio-net header contradicts the packet") \
	X(LINK_LOCAL, "link-local", \
		"a link control frame, 01-80-C2-00-00-0X, that no bridge forwards") \
	X(SOURCE_MULTICAST, "source-multicast", "the source address is a group address or zero") \
	X(VLAN_NOT_MEMBER, "vlan-not-member", "its VLAN is not one of the port's") \
	X(SPOOFED_MAC, "spoofed-mac", "its source MAC address is not the port's own") \
	X(SPOOFED_IP, "spoofed-ip", "its source IP address is none of the port's") \
	X(SPOOFED_ARP, "spoofed-arp", "an ARP packet that speaks for an address not the port's") \
	X(SPOOFED_ND, "spoofed-nd", \
		"an IPv6 neighbour message that speaks for an address not the port's") \
	X(ROUTER_ADVERTISEMENT, "router-advertisement", \
		"an IPv6 router's announcement from a port with IP addresses of its own") \
	X(DHCP_SERVER, "dhcp-server", \
		"a DHCP server's message from a port with IP addresses of its own") \
	X(ADDRESSES_HIDDEN, "addresses-hidden", \
		"addresses to be checked stand where they cannot be read") \
	X(RATE_POLICE, "rate-police", "beyond the port's rate.from-vm, which is policed") \
	X(CONNECTION_INVALID, "connection-invalid", \
		"it belongs to no connection and cannot begin one, or no state allows it") \
	X(TCP_WINDOW, "tcp-out-of-window", \
		"a TCP segment outside of the window that its receiver has offered") \
	X(GROUP_DENY, "group-deny", "no rule of the port's groups allows it, or one denies it") \
	X(CONNECTION_LIMIT, "connection-limit", \
		"it would begin one more connection than limits.connections") \
	X(CONNECTION_RATE, "connection-rate", \
		"it would begin connections faster than limits.new-connections") \
	X(CONNECTION_TABLE_FULL, "connection-table-full", \
		"it would begin a connection, and the table has no entry free") \
	X(FRAGMENT_LIMIT, "fragment-limit", \
		"a fragment whose first is missing, beyond what is held for a port") \
	X(FRAGMENT_INCOMPLETE, "fragment-incomplete", \
		"a fragment that was held, and its first did not come in time") \
	X(FRAGMENT_INVALID, "fragment-invalid", \
		"a fragment that overlaps another, or is too short or too long") \
	X(CHAIN_STRAY, "chain-stray", \
		"from or to a network function, and part of no connection whose chain leads " \
		"there") \
	X(CHAIN_BYPASS, "chain-bypass", \
		"for one IP address in a frame to a group of MAC addresses, where a chain could " \
		"take it") \
	X(CHAIN_CLOSED, "chain-closed", \
		"a hop of its chain has no instance in service, and is `on-failure: closed`") \
	X(SAME_PORT, "same-port", "its destination is behind the port it came from") \
	X(BROADCAST_LIMIT, "broadcast-limit", "beyond the port's budget of broadcast frames") \
	X(MULTICAST_LIMIT, "multicast-limit", "beyond the port's budget of multicast frames") \
	X(UNKNOWN_LIMIT, "unknown-limit", \
		"beyond the port's budget of frames to unknown MAC addresses") \
	X(NO_RECEIVER, "no-receiver", "flooded, and no other port of its VLAN can receive") \
	X(QUEUE_DISABLED, "queue-disabled", "taken from a queue that the guest has disabled") \
	X(TO_VM_NOT_UP, "to-vm-not-up", "the receiving port is not up") \
	X(TO_VM_RING_FULL, "to-vm-ring-full", "the receiver has no free buffers") \
	X(TO_VM_QUEUE_FULL, "to-vm-queue-full", \
		"beyond what may wait for the receiver's rate.to-vm") \
	X(TO_VM_QUEUE_DROP, "to-vm-queue-drop", \
		"lost by fq-codel, for its flow has made packets wait too long") \
	X(TO_VM_NO_BUFFER, "to-vm-no-buffer", \
		"no packet buffer is free for what waits for rate.to-vm") \
	X(TO_VM_BUFFER_TOO_SMALL, "to-vm-buffer-too-small", \
		"the receiver's buffers cannot hold it") \
	X(TO_VM_MTU, "to-vm-mtu", "longer than the receiving port's MTU, and not segmentable") \
	X(TO_VM_FAULTED, "to-vm-faulted", "the receiver's ring is malformed") \
	X(TO_NIC_NOT_UP, "to-nic-not-up", "the NIC is not there, or its link is down") \
	X(TO_NIC_QUEUE_FULL, "to-nic-queue-full", "the NIC's transmit queue is full") \
	X(TO_NIC_NO_BUFFER, "to-nic-no-buffer", "no packet buffer is free for the NIC") \
	X(TO_NIC_REFUSED, "to-nic-refused", "the NIC's driver does not send such a frame") \
	X(TO_NIC_MTU, "to-nic-mtu", "longer than the NIC's MTU, and not segmentable") \
	X(SEGMENT_FAILED, "segment-failed", "it cannot be segmented for a receiver without TSO")

enum drop_reason {
	DROP_NONE,
#define X(id, name, about) DROP_##id,
	DROP_REASONS(X)
#undef X
	DROP_REASON_COUNT
};

// The stable name, as in `weirctl drops -o json`. Static storage; any thread.
const char *drop_name(enum drop_reason reason);
// One sentence for people. Static storage; any thread.
const char *drop_about(enum drop_reason reason);

#endif

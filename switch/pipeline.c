// SPDX-License-Identifier: BSD-3-Clause
// Open this file first: a packet's way through Weir, stage after stage. Each stage is the file of
// its name; every packet leaves with a verdict, and a drop has a name (base/drop.h).
#include "switch/pipeline.h"

#include "base/likely.h"

unsigned pipeline_run(struct pass *pass, const struct queue_ref *queue)
{
	// rx: up to 32 frames. From a guest's ring their first bytes go into the stash, the rest
	// stays; from a NIC all of it stays in the device's buffers.
	unsigned taken = stage_rx(pass, queue);
	if (!taken)
		return 0;

	// The last burst's signals: its writes have left the CPU while this one was taken.
	ring_signals_send(&pass->signals);

	// parse: Ethernet, VLAN, ARP, IPv4, IPv6, L4, all bounded; the sender's offload claims
	// checked.
	stage_parse(pass);

	// shape: how many of them are due by the port's rates. The others stay in the guest's ring.
	taken = stage_shape(pass);
	if (!taken)
		return 0;

	// police: what is beyond the rate of a port that is not to wait is dropped.
	stage_police(pass);

	// admit: which VLAN it belongs to, and whether it may enter at all.
	stage_admit(pass);

	if (unlikely(pass->in->places)) {
		// return: what comes back from a network function goes on along its chain, or is
		// lost (switch/chain.h).
		stage_return(pass);
	} else {
		// guard: whether it speaks only for the addresses of its port, before anybody
		// learns from it.
		stage_guard(pass);

		// connect: the connections that packets belong to, by one lookup each. A known one
		// goes where its entry says; what policy has to decide goes on.
		stage_connect(pass);
	}

	// A network function's port is no member of its bridge, unless the function changes
	// addresses: then it is a host there, as a VM.
	if (likely(!pass->in->places) || pass->in->is_host) {
		// forward: learn the source, look up the destination; one port, a flood, or a drop.
		stage_forward(pass);

		// policy: what connect could not decide alone. Rules of sender and receiver;
		// connections begin here.
		stage_policy(pass);

		// storm: what goes to all is held to the port's budgets.
		stage_storm(pass);

		// steer: connections that visit network functions go to the first of them instead.
		stage_steer(pass);
	}

	// tx: one copy, straight into the receivers' buffers, and from NIC to NIC none; segments
	// and checksums where they lack the offload. What a receiver's rate does not let go yet is
	// held (switch/queue.h). Drops are counted here, each under its name.
	stage_tx(pass);

	// The sender gets its buffers back when nobody needs their bytes any more.
	stage_release(pass);
	return taken;
}

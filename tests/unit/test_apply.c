// SPDX-License-Identifier: BSD-3-Clause
// What becomes of a configuration that cannot be published at once for want of memory.

#include <criterion/criterion.h>

#include "switch/private.h"
#include "tests/unit/kit_schema.h"
#include "tests/unit/kit_switch.h"

static bool no_memory;

struct snapshot *__real_snapshot_compile(
	struct port *const *ports, size_t nports, const struct snapshot_options *options);
struct snapshot *__wrap_snapshot_compile(
	struct port *const *ports, size_t nports, const struct snapshot_options *options);

struct snapshot *__wrap_snapshot_compile(
	struct port *const *ports, size_t nports, const struct snapshot_options *options)
{
	return no_memory ? NULL : __real_snapshot_compile(ports, nports, options);
}

TestSuite(apply, .init = kit_switch_begin, .fini = kit_switch_end);

#define VM "switch: {workers: [0]}\n" PORT

// As a worker does that has a packet from the port.
static void learn(const struct port *port)
{
	struct mac_table *macs = port->bridge->macs;
	static const uint8_t frame[12] = {[6] = 0x52, [11] = 1};
	uint64_t key = mac_key_source(frame, mac_key_tag(0));
	mac_learn(macs, key, mac_hash(macs, key), port->id, 16, 1);
	cr_assert_eq(mac_count_of(macs, port->id), 1);
}

Test(apply, what_was_learned_by_old_addresses_goes_when_the_new_ones_are_published)
{
	kit_switch_apply(VM "    addresses: {ip: [10.0.0.1]}");
	struct port *port = switch_port_by_name(sw, "vm1");
	learn(port);
	kit_switch_apply(VM "    addresses: {ip: [10.0.0.2]}");
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 0);
	learn(port);
	kit_switch_apply(VM "    addresses: {ip: [10.0.0.2]}\n    mtu: 9000");
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 1, "nothing of it has changed");

	// The old snapshot goes on, and workers learn by it, until there is memory for another.
	no_memory = true;
	kit_switch_apply(VM "    addresses: {ip: [10.0.0.3]}");
	learn(port);
	switch_poll(sw);
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 1);
	no_memory = false;
	switch_poll(sw);
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 0, "learned by the old addresses");
	learn(port);
	switch_poll(sw);
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 1, "and once is enough");
}

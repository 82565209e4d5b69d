// SPDX-License-Identifier: BSD-3-Clause
// What becomes of a configuration that cannot be published at once for want of memory.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "switch/private.h"
#include "tests/unit/kit_eal.h"
#include "tests/unit/kit_schema.h"

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

static char run_dir[] = "/tmp/weir-test-apply-XXXXXX", vm_dir[sizeof(run_dir) + 3];
static struct weir_switch *sw;

static void apply(const char *text)
{
	struct error err = {0};
	struct config *config = check(text);
	int rc = sw ? switch_apply(sw, config, &err)
		    : switch_create(&sw, config, &(struct switch_options){run_dir}, &err);
	cr_assert_eq(rc, 0, "%s", err.text);
	config_free(config);
}

static void begin(void)
{
	kit_eal_start();
	cr_assert(mkdtemp(run_dir));
	snprintf(vm_dir, sizeof(vm_dir), "%s/vm", run_dir);
	cr_assert_eq(mkdir(vm_dir, 0700), 0);
}

static void end(void)
{
	switch_destroy(sw);
	rmdir(vm_dir);
	rmdir(run_dir);
	kit_eal_stop();
}

TestSuite(apply, .init = begin, .fini = end);

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
	apply(VM "    addresses: {ip: [10.0.0.1]}");
	struct port *port = switch_port_by_name(sw, "vm1");
	learn(port);
	apply(VM "    addresses: {ip: [10.0.0.2]}");
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 0);
	learn(port);
	apply(VM "    addresses: {ip: [10.0.0.2]}\n    mtu: 9000");
	cr_expect_eq(mac_count_of(port->bridge->macs, port->id), 1, "nothing of it has changed");

	// The old snapshot goes on, and workers learn by it, until there is memory for another.
	no_memory = true;
	apply(VM "    addresses: {ip: [10.0.0.3]}");
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

// SPDX-License-Identifier: BSD-3-Clause
// What is told of a chain's instances: of one look at them, and once.
#include <criterion/criterion.h>

#include "switch/private.h"
#include "tests/unit/kit_schema.h"
#include "tests/unit/kit_switch.h"

// Not in the order of their names.
#define PORTS \
	"switch: {workers: [0]}\n" \
	"ports:\n" \
	"  c: {vhost-user: {socket: c.sock}}\n" \
	"  a: {vhost-user: {socket: a.sock}}\n" \
	"  d: {vhost-user: {socket: d.sock}}\n" \
	"  b: {vhost-user: {socket: b.sock}}\n"
#define CHAIN "chains: {x: {match: {}, hops: [{nf: f, instances: [{left: d, right: a}]}]}}\n"

static void begin(void)
{
	kit_switch_begin();
	kit_switch_apply(PORTS CHAIN);
}

TestSuite(chain_status, .init = begin, .fini = kit_switch_end);

static struct nf *nf(void)
{
	return sw->chains[0]->nfs[0][0];
}

static void expect_status(enum instance_state state, const char *port)
{
	struct instance_status status;
	instance_status(sw, sw->chains[0], nf(), &status);
	cr_expect_eq(status.state, state);
	if (port)
		cr_expect_str_eq(status.port, port);
	else
		cr_expect_null(status.port);
}

// Neither VM is there, at any time.
Test(chain_status, names_the_port_that_was_to_blame_when_the_state_was_found)
{
	expect_status(INSTANCE_DOWN, "d");
	atomic_store(&nf()->state, INSTANCE_STALLED);
	nf()->blamed = CHAIN_RIGHT;
	expect_status(INSTANCE_STALLED, "a");
	atomic_store(&nf()->state, INSTANCE_IN_SERVICE);
	expect_status(INSTANCE_IN_SERVICE, NULL);
	chains_look(sw, false);
	expect_status(INSTANCE_DOWN, "d");
}

static unsigned told;

static void on_change(void *ctx, const struct config_chain *chain, size_t hop, size_t instance,
	const struct instance_status *status)
{
	cr_expect(ctx == &told && chain->nhops == 1 && !hop && !instance);
	cr_expect_eq(status->state, INSTANCE_DOWN);
	cr_expect_eq(status->original.packets, 3);
	told++;
}

Test(chain_status, is_told_once_with_its_counts)
{
	counter_add(&nf()->counters[0].original, 3, 180);
	switch_on_chain_change(sw, on_change, &told);
	for (unsigned i = 0; i < 3; i++)
		chains_look(sw, true);
	cr_expect_eq(told, 1);
}

Test(chain_status, ports_are_found_whatever_their_order_was)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	for (unsigned i = 0; i < 4; i++) {
		const struct port *port = switch_port_by_name(sw, names[i]);
		cr_assert(port);
		cr_expect_str_eq(port->config.name, names[i]);
	}
	cr_expect_null(switch_port_by_name(sw, "e"));
	cr_expect_null(switch_port_by_name(sw, ""));
	kit_switch_apply("switch: {workers: [0]}\n");
	cr_expect_null(switch_port_by_name(sw, "a"));
}

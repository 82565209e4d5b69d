// SPDX-License-Identifier: BSD-3-Clause
// The schema of rates: a port's own and those that several ports share.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/kit_schema.h"

#define RATE PORT "    rate:\n      "
#define VMS \
	"ports:\n" \
	"  vm1: {vhost-user: {socket: a}}\n" \
	"  vm2: {vhost-user: {socket: b}}\n" \
	"  uplink: {dpdk: {device: net_null0}}\n" \
	"rates:\n"

static bool is_none(const struct config_rate *rate)
{
	static const struct config_rate none;
	return !memcmp(rate, &none, sizeof(none));
}

// --- what a document means ---------------------------------------------------------------------

Test(schema_rates, left_out_there_is_none)
{
	struct config *config = check(PORT "    rate: {}\n  vm2: {vhost-user: {socket: b}}");
	for (size_t i = 0; i < 2; i++)
		cr_expect(is_none(&config->ports[i].from_vm) && is_none(&config->ports[i].to_vm));
	cr_expect_eq(config->nshared, 0);
	config_free(config);
}

Test(schema_rates, everything_lands)
{
	struct config *config = check(
		RATE "from-vm: {bits: 1.5Gbit, packets: 500kpps, burst: 64KiB, layer: wire}\n"
		     "      to-vm: {bits: 1kbit, scheduler: fq-codel, queue: 1MiB, target: 1ms,"
		     " interval: 20ms, ecn: false}\n");
	const struct config_rate *rate = &config->ports[0].from_vm;
	cr_expect(rate->bits == 1500000000 && rate->packets == 500000);
	cr_expect(rate->burst_bytes == 65536 && rate->layer == LAYER_WIRE && !rate->police);
	rate = &config->ports[0].to_vm;
	cr_expect(rate->bits == 1000 && !rate->packets && !rate->burst_bytes);
	cr_expect(rate->layer == LAYER_L2 && rate->scheduler == SCHEDULER_FQ_CODEL);
	cr_expect(rate->queue_bytes == 1 << 20 && !rate->ecn);
	cr_expect(rate->target_ns == 1000000 && rate->interval_ns == 20000000);
	config_free(config);
}

Test(schema_rates, what_is_given_has_defaults)
{
	struct config *config = check(RATE "to-vm: {packets: 1pps}\n"
					   "      from-vm: {bits: 400Gbit, police: true}\n");
	const struct config_rate *rate = &config->ports[0].to_vm;
	cr_expect(!rate->bits && rate->packets == 1 && !rate->burst_bytes && !rate->queue_bytes);
	cr_expect(rate->layer == LAYER_L2 && rate->scheduler == SCHEDULER_FIFO && rate->ecn);
	cr_expect(rate->target_ns == 5000000 && rate->interval_ns == 100000000);
	cr_expect(config->ports[0].from_vm.bits == 400000000000 && config->ports[0].from_vm.police);
	config_free(config);
}

Test(schema_rates, shared_ones_have_members_and_weights)
{
	struct config *config = check(
		VMS "  b: {packets: 10kpps, layer: wire, ports: {vm2: 1000}}\n"
		    "  a: {bits: 5Gbit, burst: 1MiB, ports: {vm1: 1, vm2: 2}}");
	cr_assert_eq(config->nshared, 2);
	const struct config_shared *shared = config->shared;
	cr_expect_str_eq(shared[0].name, "b");
	cr_expect(!shared[0].rate.bits && shared[0].rate.packets == 10000);
	cr_expect_eq(shared[0].rate.layer, LAYER_WIRE);
	cr_assert_eq(shared[0].nmembers, 1);
	cr_expect_str_eq(shared[0].members[0].port, "vm2");
	cr_expect_eq(shared[0].members[0].weight, 1000);
	cr_expect(shared[1].rate.bits == 5000000000 && shared[1].rate.burst_bytes == 1 << 20);
	cr_assert_eq(shared[1].nmembers, 2);
	cr_expect_str_eq(shared[1].members[0].port, "vm1");
	cr_expect(shared[1].members[0].weight == 1 && shared[1].members[1].weight == 2);
	config_free(config);
}

// --- what it must not say ----------------------------------------------------------------------

Test(schema_rates, refuses_wrong_rates)
{
	REFUSES(EINVAL,
		{RATE "from-vm: {bits: 1000}",
			"weir.yaml:5: ports.vm1.rate.from-vm.bits: expected a bit rate such as "
			"200Mbit, found 1000"},
		{RATE "from-vm: {bits: 999bit}",
			"weir.yaml:5: ports.vm1.rate.from-vm.bits: expected a bit rate from 1kbit "
			"to 400Gbit, found 999bit"},
		{RATE "to-vm: {bits: 401Gbit}",
			"weir.yaml:5: ports.vm1.rate.to-vm.bits: expected a bit rate from 1kbit to "
			"400Gbit, found 401Gbit"},
		{RATE "to-vm: {packets: 0pps}",
			"weir.yaml:5: ports.vm1.rate.to-vm.packets: expected a packet rate from "
			"1pps to 100Mpps, found 0pps"},
		{RATE "to-vm: {bits: 1Gbit, queue: 1GiB, burst: 512MiB}",
			"weir.yaml:5: ports.vm1.rate.to-vm.burst: expected a size from 1KiB to "
			"256MiB, found 512MiB"},
		{RATE "to-vm: {bits: 1Gbit, scheduler: codel}",
			"weir.yaml:5: ports.vm1.rate.to-vm.scheduler: expected fifo, prio, drr or "
			"fq-codel, found codel"},
		{RATE "from-vm: {bits: 1Gbit, scheduler: fifo}",
			"weir.yaml:5: ports.vm1.rate.from-vm.scheduler: unknown key; known here "
			"are "
			"bits, packets, burst, layer, police"},
		{RATE "to-vm: {bits: 1Gbit, target: 101ms}",
			"weir.yaml:5: ports.vm1.rate.to-vm.target: expected at most the interval, "
			"found more"},
		{RATE "up: {}",
			"weir.yaml:5: ports.vm1.rate.up: unknown key; known here are from-vm, "
			"to-vm"}, );
}

Test(schema_rates, refuses_what_limits_nothing)
{
	REFUSES(EINVAL,
		{RATE "from-vm: {}",
			"weir.yaml:5: ports.vm1.rate.from-vm: expected bits or packets, "
			"found neither"},
		{RATE "to-vm: {scheduler: fq-codel}",
			"weir.yaml:5: ports.vm1.rate.to-vm: expected bits or packets, found "
			"neither"},
		{RATE "from-vm: {packets: 1kpps, police: true}",
			"weir.yaml:5: ports.vm1.rate.from-vm.police: expected bits beside it, "
			"found "
			"none"},
		{RATE "from-vm: {packets: 1kpps, bits: 1Mbit, police: true}",
			"weir.yaml:5: ports.vm1.rate.from-vm.packets: expected bits alone beside "
			"police, found packets too"},
		{"ports:\n  up:\n    dpdk: {device: net_null0}\n    rate: {to-vm: {bits: 1Gbit}}",
			"weir.yaml:4: ports.up.rate: expected vhost-user beside it, found dpdk, "
			"which "
			"has no rates"},
		{VMS "  a: {ports: {vm1: 1}}",
			"weir.yaml:6: rates.a: expected bits or packets, found neither"}, );
}

Test(schema_rates, refuses_wrong_members)
{
	REFUSES(EINVAL,
		{VMS "  a: {bits: 1Gbit}", "weir.yaml:6: rates.a.ports: expected a map of 1 to "
					   "1024 names, each with an "
					   "integer from 1 to 1000, found nothing"},
		{VMS "  a: {bits: 1Gbit, ports: {}}", "weir.yaml:6: rates.a.ports: expected a map "
						      "of 1 to 1024 names, each with an "
						      "integer from 1 to 1000, found a map"},
		{VMS "  a: {bits: 1Gbit, ports: [vm1]}",
			"weir.yaml:6: rates.a.ports: expected a map of 1 to 1024 names, each with "
			"an "
			"integer from 1 to 1000, found a list of 1"},
		{VMS "  a: {bits: 1Gbit, ports: {vm1: 0}}",
			"weir.yaml:6: rates.a.ports.vm1: expected an integer from 1 to 1000, found "
			"0"},
		{VMS "  a: {bits: 1Gbit, ports: {vm1: 1001}}",
			"weir.yaml:6: rates.a.ports.vm1: expected an integer from 1 to 1000, found "
			"1001"},
		{VMS "  a: {bits: 1Gbit, ports: {vm1: }}",
			"weir.yaml:6: rates.a.ports.vm1: expected an integer from 1 to 1000, found "
			"nothing"},
		{VMS "  a: {bits: 1Gbit, ports: {vm1: {a: 1}}}",
			"weir.yaml:6: rates.a.ports.vm1: expected an integer from 1 to 1000, found "
			"a map"},
		{VMS "  a: {bits: 1Gbit, ports: {v/1: 1}}",
			"weir.yaml:6: rates.a.ports.v/1: expected a name of at most 31 letters, "
			"digits, _ and -"},
		{VMS "  a:\n    bits: 1Gbit\n    ports:\n      vm1: 1\n      vm3: 1",
			"weir.yaml:10: rates.a.ports.vm3: expected a port that exists, found vm3"},
		{VMS "  a: {bits: 1Gbit, ports: {uplink: 1}}",
			"weir.yaml:6: rates.a.ports.uplink: expected a VM's port, found a dpdk "
			"one, "
			"which has no rates"}, );
}

Test(schema_rates, long_names_are_told_whole)
{
#define LONG "a234567890123456789012345678901"
	refuses(VMS "  " LONG ": {bits: 1Gbit, ports: {" LONG ": 1}}", EINVAL,
		"weir.yaml:6: rates." LONG ".ports." LONG
		": expected a port that exists, found " LONG);
}

Test(schema_rates, a_port_shares_four_at_the_most)
{
#define ONE(name) "  " name ": {bits: 1Gbit, ports: {vm1: 1, vm2: 1}}\n"
	config_free(check(VMS ONE("a") ONE("b") ONE("c") ONE("d")));
	refuses(VMS ONE("a") ONE("b") ONE("c") ONE("d") "  e: {bits: 1Gbit, ports: {vm2: 1}}\n",
		EINVAL,
		"weir.yaml:10: rates.e.ports.vm2: expected at most 4 shared rates of a port, found "
		"more");
}

// --- differences and printing ------------------------------------------------------------------

Test(schema_rates, differ_by_what_they_mean)
{
	differ(RATE "from-vm: {bits: 1Gbit, police: false}", RATE "from-vm: {bits: 1000Mbit}", 0,
		"");
	differ(PORT, RATE "to-vm: {}", 0, "");
	differ(PORT, RATE "from-vm: {bits: 1Gbit}", 1,
		"ports.vm1.rate.from-vm.bits: - > 1Gbit, live\n");
	differ(RATE "to-vm: {bits: 1Gbit, ecn: false}", RATE "to-vm: {bits: 2Gbit, scheduler: drr}",
		3,
		"ports.vm1.rate.to-vm.bits: 1Gbit > 2Gbit, live\n"
		"ports.vm1.rate.to-vm.scheduler: - > drr, live\n"
		"ports.vm1.rate.to-vm.ecn: false > -, live\n");
	differ(VMS "  a: {bits: 1Gbit, ports: {vm1: 1, vm2: 2}}",
		VMS "  a: {ports: {vm2: 2, vm1: 1}, bits: 1Gbit}", 0, "");
	differ(VMS "  a: {bits: 1Gbit, ports: {vm1: 1}}",
		VMS "  a: {bits: 1Gbit, ports: {vm1: 2}}\n  b: {packets: 1pps, ports: {vm1: 1}}", 2,
		"rates.a.ports: {vm1: 1} > {vm1: 2}, live\n"
		"rates.b: - > {packets: 1pps, ports: {vm1: 1}}, live\n");
}

Test(schema_rates, print_in_order)
{
	struct doc *doc = parse(VMS "  a: {ports: {vm2: 2, vm1: 1}, bits: 1Gbit}");
	cr_assert(!doc_set(doc, "ports.vm1.rate.from-vm.bits", "200Mbit", NULL));
	cr_assert(!doc_set(doc, "ports.vm1.rate.from-vm.police", "true", NULL));
	cr_assert(!doc_set(doc, "ports.vm1.rate.to-vm", "{bits: 1Gbit}", NULL));
	char *text = doc_print(doc, true);
	cr_expect(strstr(text, "    rate: {from-vm: {bits: 200Mbit, layer: l2, police: true}, "
			       "to-vm: {bits: 1Gbit, layer: l2, scheduler: fifo, target: 5ms, "
			       "interval: 100ms, ecn: true}}\n"
			       "    limits:"),
		"%s", text);
	cr_expect(strstr(text, "rates:\n"
			       "  a:\n"
			       "    bits: 1Gbit\n"
			       "    layer: l2\n"
			       "    ports: {vm2: 2, vm1: 1}\n"),
		"%s", text);
	same_again(doc, text);
	free(text);
	doc_free(doc);
}

// --- completion --------------------------------------------------------------------------------

static void on_word(void *ctx, const char *word)
{
	add_line(ctx, "%s ", word);
}

Test(schema_rates, words_are_offered)
{
	struct lines lines = {0};
	cr_expect(!schema_words("ports.*.rate.to-vm.scheduler", on_word, &lines));
	cr_expect(!schema_words("rates.a.layer", on_word, &lines));
	cr_expect(!schema_words("rates.a.ports", on_word, &lines));
	cr_expect_eq(schema_words("rates.a.ports.vm1", on_word, &lines), -ENOENT);
	cr_expect_str_eq(lines.text, "fifo prio drr fq-codel l2 wire ");
}

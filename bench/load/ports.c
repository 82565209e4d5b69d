// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load/ports.h"

#include <errno.h>
#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/frames.h"

enum {
	CACHE = 256,
};

static int fail(const char *what, int rc)
{
	fprintf(stderr, "weir-load: %s: %s\n", what, strerror(-rc));
	return rc;
}

static int start_eal(const struct ports_setup *setup, const char *program)
{
	char cpu[16], memory[16], prefix[32];
	snprintf(cpu, sizeof(cpu), "%u", setup->cpu);
	snprintf(memory, sizeof(memory), "%u", setup->memory_mib);
	snprintf(prefix, sizeof(prefix), "weir-load-%d", getpid());
	// A switch knows no more than eight pieces of memory: huge pages are not to be one each.
	char *argv[] = {(char *)(uintptr_t)program, "-l", cpu, "-m", memory, "--no-pci",
		"--no-telemetry", "--file-prefix", prefix, "--log-level", "error",
		setup->huge ? "--in-memory" : "--no-huge",
		setup->huge ? "--single-file-segments" : NULL, NULL};
	int argc = (int)(sizeof(argv) / sizeof(argv[0])) - (setup->huge ? 1 : 2);
	return rte_eal_init(argc, argv) < 0 ? fail("EAL", -rte_errno) : 0;
}

static struct rte_mempool *make_pool(const char *name, unsigned count, unsigned data)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, count, CACHE,
		FRAME_SIZES * sizeof(uint32_t) + sizeof(uint32_t),
		(uint16_t)(data + RTE_PKTMBUF_HEADROOM), 0);
	if (!pool)
		fprintf(stderr, "weir-load: no memory for %u buffers of %u bytes: %s\n", count,
			data, rte_strerror(rte_errno));
	return pool;
}

// A ring holds that many at most, and bursts and the pool's cache keep some more. What a network
// function sends are buffers that it received.
static int make_pools(struct ports *ports, const struct ports_setup *setup)
{
	unsigned each = setup->ring + 2 * PORT_BURST;
	unsigned some = setup->count * each + 2 * CACHE;
	ports->received = make_pool("received", some + 2 * setup->relays * each, setup->buffer);
	ports->heads = make_pool("heads", some, SMALL_MAX);
	if (setup->tso)
		ports->bodies = make_pool("bodies", 2 * some, PATTERN_PERIOD);
	else
		ports->jumbo = make_pool("jumbo", some, FRAME_LONGEST);
	bool made = ports->received && ports->heads && (ports->bodies || ports->jumbo);
	return made ? 0 : -ENOMEM;
}

// An interface stands where a socket could: `iface=eth0`.
static bool is_interface(const char *socket)
{
	return !strncmp(socket, "iface=", 6);
}

static int make_device(struct ports *ports, const char *name, const char *args, unsigned n)
{
	int rc = rte_vdev_init(name, args);
	if (rc)
		return fail(args, rc < 0 ? rc : -EIO);
	rc = rte_eth_dev_get_port_by_name(name, &ports->ids[n]);
	return rc ? fail(name, rc) : 0;
}

static int add_device(struct ports *ports, const struct ports_setup *setup, unsigned n)
{
	char name[32], args[512];
	uint8_t mac[6];
	if (is_interface(setup->sockets[n])) {
		snprintf(name, sizeof(name), "net_af_packet%u", n);
		return make_device(ports, name, setup->sockets[n], n);
	}
	frame_mac(mac, (uint8_t)n, 0);
	snprintf(name, sizeof(name), "net_virtio_user%u", n);
	snprintf(args, sizeof(args),
		"path=%s,server=1,queues=1,queue_size=%u,mrg_rxbuf=%d,in_order=0,"
		"mac=%02x:%02x:%02x:%02x:%02x:%02x",
		setup->sockets[n], setup->ring, setup->mergeable, mac[0], mac[1], mac[2], mac[3],
		mac[4], mac[5]);
	unlink(setup->sockets[n]);
	return make_device(ports, name, args, n);
}

static struct rte_eth_conf configuration(const struct ports_setup *setup, const char *socket)
{
	struct rte_eth_conf conf = {0};
	// Its frames are those of its interface.
	if (is_interface(socket))
		return conf;
	conf.rxmode.mtu = FRAME_LONGEST - 14;
	if (setup->mergeable && setup->buffer < FRAME_LONGEST)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	if (setup->tso) {
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
					RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
		conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				       RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	}
	return conf;
}

static int start_device(struct ports *ports, const struct ports_setup *setup, unsigned n)
{
	uint16_t id = ports->ids[n];
	struct rte_eth_conf conf = configuration(setup, setup->sockets[n]);
	int rc = rte_eth_dev_configure(id, 1, 1, &conf);
	if (rc)
		return fail("configuring a port", rc);
	rc = rte_eth_rx_queue_setup(
		id, 0, (uint16_t)setup->ring, SOCKET_ID_ANY, NULL, ports->received);
	if (!rc)
		rc = rte_eth_tx_queue_setup(id, 0, (uint16_t)setup->ring, SOCKET_ID_ANY, NULL);
	if (rc)
		return fail("setting up a queue", rc);
	rc = rte_eth_dev_start(id);
	return rc ? fail("starting a port", rc) : 0;
}

int ports_open(struct ports *ports, const struct ports_setup *setup, const char *program)
{
	const unsigned all = setup->count + setup->relays;
	*ports = (struct ports){.count = setup->count,
		.relays = setup->relays,
		.one_armed = setup->one_armed,
		.tso = setup->tso,
		.ring = setup->ring,
		.buffer = setup->buffer};
	int rc = start_eal(setup, program);
	if (rc)
		return rc;
	rc = make_pools(ports, setup);
	for (unsigned n = 0; !rc && n < all; n++)
		rc = add_device(ports, setup, n);
	for (unsigned n = 0; !rc && n < all; n++)
		rc = start_device(ports, setup, n);
	return rc;
}

void ports_close(struct ports *ports)
{
	for (unsigned n = 0; n < ports->count + ports->relays; n++) {
		rte_eth_dev_stop(ports->ids[n]);
		rte_eth_dev_close(ports->ids[n]);
	}
	rte_eal_cleanup();
}

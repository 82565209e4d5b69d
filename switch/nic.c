// SPDX-License-Identifier: BSD-3-Clause
// A NIC's life. nic_device.c makes the device that is configured and started here.
#include "switch/nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mempool.h>

#include "base/log.h"
#include "switch/nic_device.h"
#include "vhost/ring.h"

enum {
	RX_ENTRIES = 1024, // as far as the device has so many
	TX_ENTRIES = 512,
	POOL_MIN = 4096, // some devices fill a ring of 2048 by themselves
	POOL_CACHE = 256,
	ROOM = 2048,
	OVERHEAD = 14 + 2 * 4, // Ethernet and two VLAN tags
};

// --- buffers -------------------------------------------------------------------------------------

// Pools of NICs that are closed, of which other devices still hold buffers to be sent.
static struct {
	size_t count;
	struct rte_mempool *pools[2 * PORTS_MAX];
} closed;

void nic_reclaim(void)
{
	for (size_t i = 0; i < closed.count;) {
		if (rte_mempool_full(closed.pools[i])) {
			rte_mempool_free(closed.pools[i]);
			closed.pools[i] = closed.pools[--closed.count];
		} else {
			i++;
		}
	}
}

static void retire_pool(struct rte_mempool *pool)
{
	if (pool && closed.count < sizeof(closed.pools) / sizeof(closed.pools[0]))
		closed.pools[closed.count++] = pool;
	nic_reclaim();
}

static int make_pool(struct nic *nic, unsigned entries, uint16_t nworkers, struct error *err)
{
	static unsigned number;
	char name[RTE_MEMPOOL_NAMESIZE];
	unsigned n = entries + nworkers * (2 * POOL_CACHE + BURST_MAX);
	if (n < POOL_MIN && nic->room == ROOM)
		n = POOL_MIN;
	snprintf(name, sizeof(name), "nic-%u", number++);
	nic->pool = rte_pktmbuf_pool_create(name, n, POOL_CACHE, 0,
		(uint16_t)(RTE_PKTMBUF_HEADROOM + nic->room), SOCKET_ID_ANY);
	if (nic->pool)
		return 0;
	return error_set(err, ENOMEM,
		"no memory for %u packet buffers of %u bytes: raise switch.memory", n, nic->room);
}

// --- the device ----------------------------------------------------------------------------------

// What a driver does in software is done better here, and for IPv6 as well.
static bool in_software(const struct rte_eth_dev_info *info)
{
	return !strcmp(info->driver_name, "net_tap");
}

static uint64_t features_of(const struct rte_eth_dev_info *info, uint64_t tx_offloads)
{
	const uint64_t checksums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t tso = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	uint64_t features = 0;
	if (in_software(info))
		return 0;
	if ((tx_offloads & checksums) == checksums)
		features |= 1ull << VIRTIO_NET_F_GUEST_CSUM;
	if (features && (tx_offloads & tso) == tso)
		features |= 1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |
			    1ull << VIRTIO_NET_F_GUEST_ECN;
	return features;
}

static struct rte_eth_conf wanted(
	const struct nic *nic, const struct rte_eth_dev_info *info, uint16_t mtu)
{
	struct rte_eth_conf conf = {
		.rxmode.mtu = mtu,
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM & info->rx_offload_capa,
		.txmode.offloads = info->tx_offload_capa &
				   (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
					   RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
					   RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
					   RTE_ETH_TX_OFFLOAD_TCP_TSO),
	};
	if (in_software(info)) {
		conf.rxmode.offloads = 0;
		conf.txmode.offloads &= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	}
	if (mtu + OVERHEAD > ROOM)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER & info->rx_offload_capa;
	if (nic->nrx > 1 && info->flow_type_rss_offloads) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads &
						   (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP |
							   RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
	}
	return conf;
}

static int set_up_queues(struct nic *nic, uint16_t nworkers, struct error *err)
{
	uint16_t rx = RX_ENTRIES, tx = TX_ENTRIES;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(nic->ethdev, &rx, &tx);
	if (rc)
		return error_set(err, -rc, "the device takes no ring sizes: %s", strerror(-rc));
	rc = make_pool(nic, (unsigned)nic->nrx * rx + (unsigned)nic->ntx * tx, nworkers, err);
	if (rc)
		return rc;
	for (uint16_t q = 0; q < nic->nrx && !rc; q++)
		rc = rte_eth_rx_queue_setup(nic->ethdev, q, rx, SOCKET_ID_ANY, NULL, nic->pool);
	for (uint16_t q = 0; q < nic->ntx && !rc; q++)
		rc = rte_eth_tx_queue_setup(nic->ethdev, q, tx, SOCKET_ID_ANY, NULL);
	return rc ? error_set(err, -rc, "the device's queues cannot be set up: %s", strerror(-rc))
		  : 0;
}

static bool has_interfaces(const struct nic *nic)
{
	bool has = nic->interfaces[0].name[0];
	for (uint16_t i = 0; i < nic->nmembers; i++)
		has |= nic->interfaces[1 + i].name[0];
	return has;
}

static int configure(struct nic *nic, uint16_t mtu, uint16_t nworkers, struct error *err)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(nic->ethdev, &info);
	if (rc)
		return error_set(
			err, -rc, "the device does not tell what it is: %s", strerror(-rc));
	nic->nrx = RTE_MIN(nic->config.queues, info.max_rx_queues);
	nic->ntx = RTE_MIN(nworkers, info.max_tx_queues);
	struct rte_eth_conf conf = wanted(nic, &info, mtu);
	// A device that is an interface of the kernel takes what that takes, and its driver does
	// not know how much: the interface's MTU is its owner's.
	if (has_interfaces(nic) && mtu + (uint32_t)OVERHEAD > info.max_rx_pktlen)
		conf.rxmode.mtu = 0;
	rc = rte_eth_dev_configure(nic->ethdev, nic->nrx, nic->ntx, &conf);
	if (rc)
		return error_set(err, -rc,
			"the device refuses %u receive and %u transmit queues with MTU %u (at most "
			"%u): %s",
			nic->nrx, nic->ntx, mtu, info.max_mtu, strerror(-rc));
	// The driver asks for 100 ms.
	if (!strcmp(info.driver_name, "net_bonding"))
		nic->nudge_each = rte_get_tsc_hz() / 50;
	nic->features = features_of(&info, conf.txmode.offloads);
	nic->ip_checksum = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	nic->room = ROOM;
	if (mtu + OVERHEAD > ROOM && !(conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER))
		nic->room = RTE_ALIGN_CEIL(mtu + OVERHEAD, 64);
	uint32_t slot = device_number(nic->device, "framesz");
	if (nic->room < slot)
		nic->room = RTE_ALIGN_CEIL(slot, 64);
	return set_up_queues(nic, nworkers, err);
}

static int on_removed(uint16_t ethdev, enum rte_eth_event_type event, void *ctx, void *unused)
{
	struct nic *nic = ctx;
	(void)ethdev;
	(void)event;
	(void)unused;
	atomic_store(&nic->removed, true);
	return 0;
}

static int start(struct nic *nic, struct error *err)
{
	int rc = rte_eth_dev_start(nic->ethdev);
	if (rc)
		return error_set(err, -rc, "the device does not start: %s", strerror(-rc));
	rte_eth_dev_callback_register(nic->ethdev, RTE_ETH_EVENT_INTR_RMV, on_removed, nic);
	pci_watch(nic->ethdev, &nic->removed);
	// A bridge takes frames for all addresses behind it. Virtual devices that cannot be told so
	// do it anyway.
	rc = rte_eth_promiscuous_enable(nic->ethdev);
	if (rc && rc != -ENOTSUP)
		return error_set(
			err, -rc, "the device does not take frames for others: %s", strerror(-rc));
	return 0;
}

static int make_devices(struct nic *nic, uint16_t mtu, struct error *err)
{
	const struct config_dpdk *config = &nic->config;
	int rc = interface_find(&nic->interfaces[0], config->device, err);
	for (uint16_t i = 0; i < config->nmembers && !rc; i++) {
		rc = interface_find(&nic->interfaces[1 + i], config->members[i], err);
		device_complete(config->members[i], mtu, config->queues, nic->device);
		if (!rc)
			rc = device_make(nic->device, &nic->members[i], err);
		nic->nmembers += !rc;
	}
	device_complete(config->device, mtu, config->queues, nic->device);
	return rc ? rc : device_make(nic->device, &nic->ethdev, err);
}

static void free_nic(struct nic *nic)
{
	for (uint16_t i = 0; i < nic->nmembers; i++)
		if (!nic->interfaces[1 + i].lost)
			device_remove(nic->members[i]);
	retire_pool(nic->pool);
	free(nic);
}

int nic_open(struct nic **out, const char *name, const struct config_dpdk *config, uint16_t mtu,
	uint16_t nworkers, struct error *err)
{
	struct nic *nic = aligned_alloc(64, RTE_ALIGN_CEIL(sizeof(*nic), 64));
	if (!nic)
		return error_set(err, ENOMEM, "no memory for port %s", name);
	memset(nic, 0, sizeof(*nic));
	snprintf(nic->name, sizeof(nic->name), "%s", name);
	nic->config = *config;
	int rc = make_devices(nic, mtu, err);
	if (rc)
		goto free_nic;
	rc = configure(nic, mtu, nworkers, err);
	if (!rc)
		rc = start(nic, err);
	if (rc)
		goto remove;
	struct error nothing;
	nic_look(nic, &nothing);
	*out = nic;
	return 0;

remove:
	pci_unwatch(nic->ethdev);
	device_remove(nic->ethdev);
free_nic:
	free_nic(nic);
	return rc;
}

void nic_close(struct nic *nic)
{
	pci_unwatch(nic->ethdev);
	rte_eth_dev_callback_unregister(nic->ethdev, RTE_ETH_EVENT_INTR_RMV, on_removed, nic);
	device_remove(nic->ethdev);
	free_nic(nic);
}

bool nic_needs_reopen(const struct config_dpdk *a, const struct config_dpdk *b)
{
	bool differs = strcmp(a->device, b->device) || a->queues != b->queues ||
		       a->nmembers != b->nmembers;
	for (uint16_t i = 0; i < a->nmembers && !differs; i++)
		differs = strcmp(a->members[i], b->members[i]);
	return differs;
}

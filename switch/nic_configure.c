// SPDX-License-Identifier: BSD-3-Clause
// What a device is asked to be: queues, offloads, the size of its buffers.
#include <errno.h>
#include <string.h>

#include "switch/nic_device.h"
#include "vhost/ring.h"

enum {
	RX_ENTRIES = 1024, // as far as the device has so many
	TX_ENTRIES = 512,
	OVERHEAD = 14 + 2 * 4, // Ethernet and two VLAN tags
};

// What has to be known of a driver beside what it tells of its devices.
struct driver {
	const char *name;
	bool in_software; // does its offloads itself, and some of them for IPv4 only
	bool equal_queues;
	bool bond;
	// A guest's side of a virtio card: a checksum that it calls checked may not be there yet.
	// Tags it moves in by itself.
	bool unfinished;
	// Its cards insert tags only while they also strip them (CTRL.VME), and else drop those
	// that they are given.
	bool insert_with_strip;
};

static const struct driver drivers[] = {
	{.name = "net_tap", .in_software = true, .equal_queues = true},
	{.name = "net_bonding", .bond = true},
	{.name = "net_virtio", .unfinished = true},
	{.name = "net_virtio_user", .unfinished = true},
	{.name = "net_vhost", .unfinished = true},
	{.name = "net_e1000_em", .insert_with_strip = true},
	{.name = "net_e1000_igb", .insert_with_strip = true},
	{.name = "net_igc", .insert_with_strip = true},
};

static const struct driver *driver_of(const struct rte_eth_dev_info *info)
{
	static const struct driver any = {.name = ""};
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(drivers[i].name, info->driver_name))
			return &drivers[i];
	return &any;
}

static uint64_t features_of(uint64_t tx_offloads)
{
	const uint64_t checksums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t tso = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	uint64_t features = 0;
	if ((tx_offloads & checksums) == checksums)
		features |= 1ull << VIRTIO_NET_F_GUEST_CSUM;
	if (features && (tx_offloads & tso) == tso)
		features |= NIC_TSO;
	return features;
}

// The driver of a virtual device would move the frame's start as we do.
static bool can_insert_tags(const struct rte_eth_dev_info *info, const struct driver *driver)
{
	return info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_VLAN_INSERT && info->device &&
	       pci_is(rte_dev_name(info->device)) && !driver->unfinished &&
	       !driver->insert_with_strip;
}

static struct rte_eth_conf wanted(const struct nic *nic, const struct rte_eth_dev_info *info,
	const struct driver *driver, uint16_t mtu)
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
	if (driver->in_software || driver->unfinished)
		conf.rxmode.offloads = 0;
	if (driver->in_software)
		conf.txmode.offloads &= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (can_insert_tags(info, driver))
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	if (mtu + OVERHEAD > NIC_ROOM)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER & info->rx_offload_capa;
	if (nic->nrx > 1 && info->flow_type_rss_offloads) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads &
						   (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP |
							   RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
	}
	return conf;
}

// A bond has the queues of the member that has fewest, and does not know them before it is
// configured.
static int count_queues(struct nic *nic, struct rte_eth_dev_info *info, const struct driver *driver,
	uint16_t nworkers, struct error *err)
{
	for (uint16_t i = 0; i < nic->nmembers; i++) {
		struct rte_eth_dev_info member;
		if (nic->interfaces[1 + i].lost || rte_eth_dev_info_get(nic->members[i], &member))
			continue;
		info->max_rx_queues = RTE_MIN(info->max_rx_queues, member.max_rx_queues);
		info->max_tx_queues = RTE_MIN(info->max_tx_queues, member.max_tx_queues);
	}
	nic->nrx = RTE_MIN(nic->config.queues, info->max_rx_queues);
	nic->ntx = RTE_MIN(RTE_MIN(nworkers, QUEUE_PAIRS_MAX), info->max_tx_queues);
	if (driver->equal_queues)
		nic->ntx = nic->nrx;
	if (nic->nrx && nic->ntx)
		return 0;
	return error_set(err, ENOTSUP, "the device has no queues");
}

static int set_up_queues(struct nic *nic, uint16_t nworkers, struct error *err)
{
	uint16_t rx = RX_ENTRIES, tx = TX_ENTRIES;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(nic->ethdev, &rx, &tx);
	if (rc)
		return error_set(err, -rc, "the device takes no ring sizes: %s", strerror(-rc));
	// Each member of a bond has all the queues.
	unsigned devices = RTE_MAX(nic->nmembers, 1);
	rc = pool_make(
		nic, devices * ((unsigned)nic->nrx * rx + (unsigned)nic->ntx * tx), nworkers, err);
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

int device_configure(struct nic *nic, uint16_t mtu, uint16_t nworkers, struct error *err)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(nic->ethdev, &info);
	if (rc)
		return error_set(
			err, -rc, "the device does not tell what it is: %s", strerror(-rc));
	const struct driver *driver = driver_of(&info);
	rc = count_queues(nic, &info, driver, nworkers, err);
	if (rc)
		return rc;
	struct rte_eth_conf conf = wanted(nic, &info, driver, mtu);
	// A device that is an interface of the kernel takes what that takes, and its driver does
	// not know how much: the interface's MTU is its owner's.
	if (has_interfaces(nic) && (driver->bond || mtu + (uint32_t)OVERHEAD > info.max_rx_pktlen))
		conf.rxmode.mtu = 0;
	rc = rte_eth_dev_configure(nic->ethdev, nic->nrx, nic->ntx, &conf);
	if (rc)
		return error_set(err, -rc,
			"the device refuses %u receive and %u transmit queues with MTU %u (at most "
			"%u): %s",
			nic->nrx, nic->ntx, mtu, info.max_mtu, strerror(-rc));
	// The driver of bonds asks for 100 ms.
	if (driver->bond)
		nic->nudge_each = rte_get_tsc_hz() / 50;
	nic->features = features_of(conf.txmode.offloads);
	nic->ip_checksum = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	nic->insert_tags = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	nic->multi_segs = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (mtu + OVERHEAD > NIC_ROOM && !(conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER))
		nic->room = RTE_MAX(nic->room, RTE_ALIGN_CEIL(mtu + (uint32_t)OVERHEAD, 64u));
	return set_up_queues(nic, nworkers, err);
}

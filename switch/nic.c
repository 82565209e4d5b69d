// SPDX-License-Identifier: BSD-3-Clause
// A NIC's life: its devices are made, configured (nic_configure.c) and started here.
#include "switch/nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "switch/nic_device.h"

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

// However far start came.
static void stop(struct nic *nic)
{
	pci_unwatch(nic->ethdev);
	// Not while it runs on another thread.
	while (rte_eth_dev_callback_unregister(
		       nic->ethdev, RTE_ETH_EVENT_INTR_RMV, on_removed, nic) == -EAGAIN)
		rte_delay_us_sleep(100);
	device_remove(nic->ethdev);
}

// One of a bond's members. One whose interface is not there is left out until it comes.
static int make_member(struct nic *nic, uint16_t i, uint16_t mtu, struct error *err)
{
	char args[DEVICE_ARGS_SIZE];
	struct nic_interface *interface = &nic->interfaces[1 + i];
	const char *text = nic->config.members[i];
	interface->lost = interface_find(interface, text, err) == -ENODEV;
	if (interface->lost) {
		log_warning(LOG_SWITCH, "port %s: its member %s is not there", nic->name,
			interface->name);
		device_without(nic->device, "slave", text);
		return 0;
	}
	device_complete(text, mtu, nic->config.queues, args);
	nic->room = RTE_MAX(nic->room, device_number(args, "framesz"));
	return device_make(args, &nic->members[i], err);
}

static int make_devices(struct nic *nic, uint16_t mtu, struct error *err)
{
	const struct config_dpdk *config = &nic->config;
	unsigned lost = 0;
	int rc = interface_find(&nic->interfaces[0], config->device, err);
	device_complete(config->device, mtu, config->queues, nic->device);
	for (uint16_t i = 0; i < config->nmembers && !rc; i++) {
		rc = make_member(nic, i, mtu, err);
		nic->nmembers += !rc;
		lost += nic->interfaces[1 + i].lost;
	}
	if (!rc && lost && lost == config->nmembers)
		return -ENODEV; // the last one's sentence stands
	nic->room = RTE_MAX(nic->room, device_number(nic->device, "framesz"));
	return rc ? rc : device_make(nic->device, &nic->ethdev, err);
}

static void free_nic(struct nic *nic)
{
	for (uint16_t i = 0; i < nic->nmembers; i++)
		if (!nic->interfaces[1 + i].lost)
			device_remove(nic->members[i]);
	pool_retire(nic->pool);
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
	nic->room = NIC_ROOM;
	int rc = make_devices(nic, mtu, err);
	if (rc)
		goto free_nic;
	rc = device_configure(nic, mtu, nworkers, err);
	if (!rc)
		rc = start(nic, err);
	if (rc)
		goto stop;
	struct error nothing;
	nic_look(nic, &nothing);
	*out = nic;
	return 0;

stop:
	stop(nic);
free_nic:
	free_nic(nic);
	return rc;
}

void nic_close(struct nic *nic)
{
	stop(nic);
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

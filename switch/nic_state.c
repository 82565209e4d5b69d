// SPDX-License-Identifier: BSD-3-Clause
// What becomes of a NIC: its link, its interfaces, its members, and what it counts.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eth_bond.h>

#include "base/log.h"
#include "switch/nic_device.h"

static bool link_is_up(const struct nic *nic)
{
	struct rte_eth_link link;
	if (rte_eth_link_get_nowait(nic->ethdev, &link) || link.link_status != RTE_ETH_LINK_UP)
		return false;
	return !nic->interfaces[0].name[0] || interface_look(&nic->interfaces[0]) == INTERFACE_UP;
}

static enum nic_news look_at_members(const struct nic *nic)
{
	enum nic_news news = NIC_SAME;
	for (uint16_t i = 0; i < nic->nmembers; i++) {
		const struct nic_interface *interface = &nic->interfaces[1 + i];
		if (!interface->name[0])
			continue;
		bool up;
		if (interface->lost) {
			// It may be another one of that name by now.
			struct nic_interface now = *interface;
			now.index = if_nametoindex(now.name);
			up = now.index && interface_look(&now) == INTERFACE_UP;
		} else {
			up = interface_look(interface) == INTERFACE_UP;
		}
		if (interface->lost && up)
			return NIC_MEMBER_BACK;
		if (!interface->lost && !up)
			news = NIC_MEMBER_LOST;
	}
	return news;
}

enum nic_news nic_look(struct nic *nic, struct error *err)
{
	const struct nic_interface *interface = &nic->interfaces[0];
	if (atomic_load(&nic->removed) || rte_eth_dev_is_removed(nic->ethdev) > 0) {
		error_set(err, ENODEV, "device %s was removed", nic->config.device);
		return NIC_GONE;
	}
	if (interface->name[0] && interface_look(interface) == INTERFACE_GONE) {
		error_set(err, ENODEV, "interface %s is gone", interface->name);
		return NIC_GONE;
	}
	atomic_store_explicit(&nic->running, link_is_up(nic), memory_order_relaxed);
	return look_at_members(nic);
}

void nic_drop_members(struct nic *nic)
{
	for (uint16_t i = 0; i < nic->nmembers; i++) {
		struct nic_interface *interface = &nic->interfaces[1 + i];
		if (!interface->name[0] || interface->lost ||
			interface_look(interface) == INTERFACE_UP)
			continue;
		log_warning(
			LOG_SWITCH, "port %s: its member %s is down", nic->name, interface->name);
		interface->lost = true;
		// Its driver does not see that the interface is down, so the bond does not either.
		rte_eth_dev_stop(nic->members[i]);
		rte_eth_bond_slave_remove(nic->ethdev, nic->members[i]);
		device_remove(nic->members[i]);
	}
}

void nic_status(const struct nic *nic, struct port_status *status)
{
	unsigned lost = 0;
	for (uint16_t i = 0; i < nic->nmembers; i++)
		lost += nic->interfaces[1 + i].lost;
	*status = (struct port_status){.features = nic->features, .pairs = nic->nrx};
	if (!atomic_load(&nic->running)) {
		status->state = PORT_LINK_DOWN;
		snprintf(status->text, sizeof(status->text), "link down");
		snprintf(
			status->mend, sizeof(status->mend), "look at the cable and the other side");
		if (nic->interfaces[0].name[0])
			snprintf(status->mend, sizeof(status->mend),
				"ip link set %s up, and the other side of it",
				nic->interfaces[0].name);
		return;
	}
	status->state = PORT_UP;
	snprintf(status->text, sizeof(status->text), "up");
	if (lost)
		snprintf(status->mend, sizeof(status->mend),
			"%u of its %u members are down; they come back by themselves", lost,
			nic->nmembers);
}

size_t nic_statistics(const struct nic *nic, struct port_statistic *statistics, size_t max)
{
	int n = rte_eth_xstats_get_names(nic->ethdev, NULL, 0);
	struct rte_eth_xstat *values = n > 0 ? calloc((size_t)n, sizeof(*values)) : NULL;
	struct rte_eth_xstat_name *names = n > 0 ? calloc((size_t)n, sizeof(*names)) : NULL;
	size_t count = 0;
	// The device may have changed how many there are.
	if (values && names && rte_eth_xstats_get_names(nic->ethdev, names, (unsigned)n) == n &&
		rte_eth_xstats_get(nic->ethdev, values, (unsigned)n) == n) {
		for (int i = 0; i < n && count < max; i++) {
			if (!values[i].value || values[i].id >= (uint64_t)n)
				continue;
			struct port_statistic *s = &statistics[count++];
			snprintf(s->name, sizeof(s->name), "%s", names[values[i].id].name);
			s->value = values[i].value;
		}
	}
	free(values);
	free(names);
	return count;
}

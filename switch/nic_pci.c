// SPDX-License-Identifier: BSD-3-Clause
// PCI devices before DPDK takes them: of one that it cannot take it says only that it cannot. And
// when somebody wants one back.

// Of DPDK 22.11 the events of devices are not yet declared stable; there is no other way to hear
// that the kernel waits for a device of vfio.
#define ALLOW_EXPERIMENTAL_API
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_memory.h>
#include <rte_vfio.h>

#include "switch/nic_device.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
#define MIB         (1u << 20)

bool pci_is(const char *name)
{
	unsigned domain, bus, device, function;
	return sscanf(name, "%x:%x:%x.%x", &domain, &bus, &device, &function) == 4 ||
	       sscanf(name, "%x:%x.%x", &bus, &device, &function) == 3;
}

// What the link `file` of the device points to, without its folders; false if there is none.
static bool points_to(const char *name, const char *file, char *target, size_t size)
{
	char path[PATH_MAX], link[PATH_MAX];
	const char *domain = strchr(name, ':') == strrchr(name, ':') ? "0000:" : "";
	snprintf(path, sizeof(path), PCI_DEVICES "/%s%s/%s", domain, name, file);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	const char *slash = strrchr(link, '/');
	snprintf(target, size, "%.*s", (int)size - 1, slash ? slash + 1 : link);
	return true;
}

static bool is_one_of(const char *driver, const char *const *drivers)
{
	while (*drivers && strcmp(driver, *drivers))
		drivers++;
	return *drivers;
}

// The device reads and writes the switch's memory. Without an IOMMU between them it needs to be
// told physical addresses, which DPDK knows of huge pages only, and root only may ask for.
static int check_addresses(const char *name, const char *driver, struct error *err)
{
	if (rte_eal_iova_mode() == RTE_IOVA_PA)
		return 0;
	return error_set(err, ENOTSUP,
		"PCI device %s without an IOMMU (%s) needs huge pages and root; or use vfio-pci "
		"with an IOMMU",
		name, driver);
}

static int check_vfio(const char *name, struct error *err)
{
	char group[32], path[sizeof("/dev/vfio/") + sizeof(group)];
	if (rte_vfio_is_enabled("vfio_pci") <= 0)
		return error_set(err, ENODEV,
			"vfio came after the switch was started, or without vfio_iommu_type1: "
			"start it again");
	if (rte_vfio_noiommu_is_enabled() > 0)
		return check_addresses(name, "vfio without IOMMU", err);
	if (!points_to(name, "iommu_group", group, sizeof(group)))
		return 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	if (!access(path, R_OK | W_OK))
		return 0;
	return error_set(err, errno, "PCI device %s: %s: %s", name, path, strerror(errno));
}

int pci_check(const char *name, struct error *err)
{
	static const char *const uio[] = {"uio_pci_generic", "igb_uio", NULL};
	// Their devices stay the kernel's as well.
	static const char *const shared[] = {"mlx4_core", "mlx5_core", "hv_netvsc", NULL};
	char driver[40];
	// Each device has this one.
	if (!points_to(name, "subsystem", driver, sizeof(driver)))
		return error_set(err, ENODEV, "there is no PCI device %s", name);
	if (!points_to(name, "driver", driver, sizeof(driver)))
		return error_set(err, ENODEV,
			"PCI device %s has no driver; bind it: dpdk-devbind.py -b vfio-pci %s",
			name, name);
	if (!strcmp(driver, "vfio-pci"))
		return check_vfio(name, err);
	if (is_one_of(driver, uio))
		return check_addresses(name, driver, err);
	if (is_one_of(driver, shared))
		return 0;
	return error_set(err, EBUSY,
		"PCI device %s is bound to the kernel's driver %s; bind it to DPDK's: "
		"dpdk-devbind.py -b vfio-pci %s",
		name, driver, name);
}

int pci_explain(const char *name, int rc, struct error *err)
{
	char driver[40] = "";
	struct rlimit limit;
	uint64_t pinned = rte_eal_get_physmem_size();
	if (points_to(name, "driver", driver, sizeof(driver)) && !strcmp(driver, "vfio-pci") &&
		!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur < pinned)
		return error_set(err, ENOMEM,
			"PCI device %s needs %u MiB of locked memory, and %u MiB are allowed "
			"(LimitMEMLOCK)",
			name, (unsigned)(pinned / MIB), (unsigned)(limit.rlim_cur / MIB));
	return error_set(err, -rc, "DPDK cannot make PCI device %s: %s", name, strerror(-rc));
}

// --- devices that the kernel wants back ----------------------------------------------------------

static struct {
	pthread_mutex_t lock;
	unsigned count;
	struct {
		uint16_t ethdev;
		char name[DEVICE_SIZE];
		_Atomic bool *removed;
	} of[RTE_MAX_ETHPORTS];
} watched = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_event(const char *name, enum rte_dev_event_type event, void *unused)
{
	(void)unused;
	pthread_mutex_lock(&watched.lock);
	for (unsigned i = 0; i < watched.count; i++)
		if (event == RTE_DEV_EVENT_REMOVE && !strcmp(watched.of[i].name, name))
			atomic_store(watched.of[i].removed, true);
	pthread_mutex_unlock(&watched.lock);
}

void pci_watch(uint16_t ethdev, _Atomic bool *removed)
{
	// One for all and for good, so that none goes with the wrong device.
	static bool registered;
	struct rte_eth_dev_info info;
	if (rte_eth_dev_info_get(ethdev, &info) || !info.device ||
		!pci_is(rte_dev_name(info.device)))
		return;
	if (!registered)
		registered = !rte_dev_event_callback_register(NULL, on_event, NULL);
	pthread_mutex_lock(&watched.lock);
	if (watched.count < RTE_MAX_ETHPORTS) {
		unsigned i = watched.count++;
		watched.of[i].ethdev = ethdev;
		watched.of[i].removed = removed;
		snprintf(watched.of[i].name, DEVICE_SIZE, "%s", rte_dev_name(info.device));
	}
	pthread_mutex_unlock(&watched.lock);
}

void pci_unwatch(uint16_t ethdev)
{
	pthread_mutex_lock(&watched.lock);
	for (unsigned i = 0; i < watched.count; i++)
		if (watched.of[i].ethdev == ethdev)
			watched.of[i--] = watched.of[--watched.count];
	pthread_mutex_unlock(&watched.lock);
}

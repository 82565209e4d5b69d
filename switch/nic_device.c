// SPDX-License-Identifier: BSD-3-Clause
#include "switch/nic_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>

static bool is_of(const char *text, const char *driver)
{
	return !strncmp(text, driver, strlen(driver));
}

static size_t name_of(const char *text, char *name, size_t size)
{
	int n = snprintf(name, size, "%.*s", (int)strcspn(text, ","), text);
	return (size_t)n;
}

// The value of `key=` in the arguments, up to the next comma; false if it is not there.
static bool argument(const char *text, const char *key, char *value, size_t size)
{
	size_t len = strlen(key);
	for (const char *at = strchr(text, ','); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, key, len) || at[len] != '=')
			continue;
		name_of(at + len + 1, value, size);
		return true;
	}
	return false;
}

unsigned device_number(const char *text, const char *key)
{
	char value[16];
	return argument(text, key, value, sizeof(value)) ? (unsigned)strtoul(value, NULL, 10) : 0;
}

// --- interfaces of the kernel --------------------------------------------------------------------

// net_tap makes its own, and tells when its link changes.
static bool has_interface(const char *text)
{
	return is_of(text, "net_af_packet") || is_of(text, "net_af_xdp") || is_of(text, "net_pcap");
}

int interface_find(struct nic_interface *interface, const char *text, struct error *err)
{
	char name[IF_NAMESIZE] = "";
	*interface = (struct nic_interface){0};
	if (!has_interface(text) || !argument(text, "iface", name, sizeof(name)))
		return 0;
	memcpy(interface->name, name, sizeof(interface->name));
	interface->index = if_nametoindex(name);
	if (!interface->index)
		return error_set(err, ENODEV, "there is no interface %s", name);
	return 0;
}

enum interface_state interface_look(const struct nic_interface *interface)
{
	struct ifreq request = {0};
	if (if_nametoindex(interface->name) != interface->index)
		return INTERFACE_GONE;
	memcpy(request.ifr_name, interface->name, sizeof(request.ifr_name));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	// Without a descriptor nothing is known, and nothing is taken down for that.
	if (fd < 0)
		return INTERFACE_UP;
	int rc = ioctl(fd, SIOCGIFFLAGS, &request);
	close(fd);
	if (rc)
		return INTERFACE_GONE;
	return request.ifr_flags & IFF_UP && request.ifr_flags & IFF_RUNNING ? INTERFACE_UP
									     : INTERFACE_DOWN;
}

// --- devices -------------------------------------------------------------------------------------

static void append(char *text, size_t size, const char *key, unsigned value)
{
	size_t n = strlen(text);
	if (!device_number(text, key))
		snprintf(text + n, size - n, ",%s=%u", key, value);
}

// af_packet's rings have slots of one size, several to a block of whole pages.
void device_complete(const char *text, uint16_t mtu, uint16_t queues, char *args)
{
	snprintf(args, DEVICE_ARGS_SIZE, "%s", text);
	if (!is_of(text, "net_af_packet"))
		return;
	if (queues > 1)
		append(args, DEVICE_ARGS_SIZE, "qpairs", queues);
	if (mtu > 1500 && !device_number(text, "framesz")) {
		append(args, DEVICE_ARGS_SIZE, "framesz", 10240);
		append(args, DEVICE_ARGS_SIZE, "blocksz", 40960);
	}
}

void device_without(char *args, const char *key, const char *text)
{
	char name[DEVICE_SIZE], wanted[DEVICE_ARGS_SIZE];
	name_of(text, name, sizeof(name));
	size_t len = (size_t)snprintf(wanted, sizeof(wanted), ",%s=%s", key, name);
	for (char *at = strstr(args, wanted); at; at = strstr(at + 1, wanted))
		if (!at[len] || at[len] == ',') {
			memmove(at, at + len, strlen(at + len) + 1);
			return;
		}
}

// Which devices are some port's: a device has one owner, whatever name it was asked for by.
static bool taken[RTE_MAX_ETHPORTS];

static int take(uint16_t ethdev, const char *name, struct error *err)
{
	if (taken[ethdev])
		return error_set(err, EBUSY, "device %s is another port's", name);
	taken[ethdev] = true;
	return 0;
}

static int ethdev_of(const char *name, uint16_t *ethdev)
{
	uint16_t id;
	RTE_ETH_FOREACH_DEV(id)
	{
		struct rte_eth_dev_info info;
		if (rte_eth_dev_info_get(id, &info) || !info.device)
			continue;
		const char *is = rte_dev_name(info.device);
		// A PCI address may be given without its domain.
		if (!strcmp(is, name) ||
			(pci_is(name) && !strncmp(is, "0000:", 5) && !strcmp(is + 5, name))) {
			*ethdev = id;
			return 0;
		}
	}
	return -ENODEV;
}

int device_make(const char *args, uint16_t *ethdev, struct error *err)
{
	char name[DEVICE_SIZE];
	name_of(args, name, sizeof(name));
	int rc = pci_is(name) ? pci_check(name, err) : 0;
	if (rc)
		return rc;
	if (!pci_is(name) && !is_of(name, "net_") && !is_of(name, "eth_"))
		return error_set(err, EINVAL,
			"device %s is neither a PCI address nor a virtual device's name such as "
			"net_tap0",
			name);
	// One that --vdev has made is there already.
	if (!ethdev_of(name, ethdev))
		return take(*ethdev, name, err);
	rc = rte_dev_probe(args);
	if (rc && pci_is(name))
		return pci_explain(name, rc, err);
	if (rc)
		return error_set(err, -rc, "DPDK cannot make device %s: %s", args, strerror(-rc));
	if (!ethdev_of(name, ethdev))
		return take(*ethdev, name, err);
	return error_set(err, ENODEV, "device %s is no Ethernet device", name);
}

void device_remove(uint16_t ethdev)
{
	enum {
		BOND_MONITOR_US =
			20000 // twice the interval at which a bond's driver looks at links
	};
	struct rte_eth_dev_info info;
	bool known = !rte_eth_dev_info_get(ethdev, &info);
	struct rte_device *device = known ? info.device : NULL;
	rte_eth_dev_stop(ethdev);
	// Its monitor ends when it finds the bond stopped; it must not find another device there.
	if (known && !strcmp(info.driver_name, "net_bonding"))
		rte_delay_us_sleep(BOND_MONITOR_US);
	rte_eth_dev_close(ethdev);
	if (device)
		rte_dev_remove(device);
	taken[ethdev] = false;
}
